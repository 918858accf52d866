"""Times and business days, as the chain gives them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Layout, SaleHeader
from stream_processors.moments import local_moment, parse_day, parse_time, text_moment
from tests.stream_processors.sets import (
    ITEM,
    ITEMS,
    SALE,
    TRANSACTIONS,
    cells,
    change_set,
    layout,
    read,
    system,
    template,
)

ZONES = ["America/Caracas", "America/Havana", "America/New_York", "Europe/London", "Australia/Lord_Howe"]


def test_the_business_day_ends_at_the_cutoff() -> None:
    def day(store: str, time: str) -> str | None:
        row = cells(TRANSACTIONS, SALE, location_id=store, trans_date=f"2026-11-01T{time}")
        header = read(change_set((TRANSACTIONS, "c", 0, row))).sales[0].header
        return header.business_date if header else None

    assert (day("1", "03:59:59"), day("2", "03:59:59"), day("2", "04:00:00")) == (
        "2026-11-01",
        "2026-10-31",
        "2026-11-01",
    )


@pytest.mark.parametrize(
    ("kind", "value", "sold_at", "precision"),
    [
        ("datetime", "2026-11-17T23:30:00.5", "2026-11-17T23:30:00.500000-04:00", "second"),
        ("instant", "2026-11-18T03:30:00Z", "2026-11-17T23:30:00-04:00", "second"),
        ("date", "2026-11-17", "2026-11-17T00:00:00-04:00", "date"),
        ("text", "2026-11-17 23:30", "2026-11-17T23:30:00-04:00", "minute"),
        ("datetime", "2015-03-01T12:00:00", "2015-03-01T12:00:00-04:30", "second"),
    ],
)
def test_times_are_the_stores(kind: Any, value: str, sold_at: str, precision: str) -> None:
    other = layout(
        "transactions", ["trans_id"], **{c.name: c.type for c in TRANSACTIONS.columns} | {"trans_date": kind}
    )
    header = read(change_set((other, "c", 0, cells(other, SALE, trans_date=value)))).sales[0].header
    assert header is not None
    assert (header.sold_at, header.sold_at_precision) == (sold_at, precision)
    assert header.business_date == sold_at[:10]


ODD_DAYS = [
    ("2016-05-01T02:29:59", "-04:30", []),
    ("2016-05-01T02:30:00", "-04:30", ["AMBIGUOUS_TIME"]),  # (that half hour was skipped)
    ("2016-05-01T02:59:59", "-04:30", ["AMBIGUOUS_TIME"]),
    ("2016-05-01T03:00:00", "-04:00", []),
    ("2007-12-09T02:29:59", "-04:00", []),
    ("2007-12-09T02:30:00", "-04:00", ["AMBIGUOUS_TIME"]),  # (that half hour came twice)
    ("2007-12-09T02:59:59", "-04:00", ["AMBIGUOUS_TIME"]),
    ("2007-12-09T03:00:00", "-04:30", []),
]


@pytest.mark.parametrize(("local", "offset", "warnings"), ODD_DAYS)
@pytest.mark.parametrize("kind", ["datetime", "text"])
def test_on_the_odd_days_of_caracas_the_offset_before_the_change_holds(
    kind: Any, local: str, offset: str, warnings: list[str]
) -> None:
    found = sold(kind, local)
    assert (found.sold_at, found.warnings) == (local + offset, warnings)


def test_a_date_on_an_odd_day_is_not_ambiguous() -> None:
    found = sold("date", "2016-05-01")
    assert (found.sold_at, found.sold_at_precision, found.warnings) == ("2016-05-01T00:00:00-04:30", "date", [])


@given(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001 -- a POS's own
def test_a_local_time_is_placed_as_the_zone_itself_places_it(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    text, precision, is_odd = local_moment(moment.isoformat(), zone)
    expected = moment.replace(tzinfo=zone)
    assert (text, precision) == (expected.isoformat(), "second")
    assert is_odd == (expected.utcoffset() != expected.replace(fold=1).utcoffset())


STYLES = ["%d/%m/%Y %H:%M:%S", "%m-%d-%Y %I:%M:%S %p", "%Y%m%d%H%M%S", "%d.%m.%y %H:%M:%S"]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)), st.sampled_from(STYLES))  # noqa: DTZ001 -- a POS's own
def test_a_time_in_text_is_the_time_that_was_written(moment: datetime, style: str) -> None:
    zone, whole = ZoneInfo("America/Caracas"), moment.replace(microsecond=0)
    assert text_moment(style)(f" {whole.strftime(style)} ", zone) == local_moment(whole.isoformat(), zone)
    assert text_moment(None)(str(whole), zone) == local_moment(whole.isoformat(), zone)
    assert parse_day(style)(whole.strftime(style)) == whole.date().isoformat()
    assert parse_time(style)(whole.strftime(style)) == whole.time().isoformat()


@pytest.mark.parametrize(
    ("value", "style", "sold_at", "precision"),
    [
        ("17/11/2026 11:30 p. m.", "%d/%m/%Y %I:%M %p", "2026-11-17T23:30:00-04:00", "minute"),
        ("17/11/2026 11:30:05 AM", "%d/%m/%Y %I:%M:%S %p", "2026-11-17T11:30:05-04:00", "second"),
        ("20261117", "%Y%m%d", "2026-11-17T00:00:00-04:00", "date"),
    ],
)
def test_times_in_text_are_read_by_their_format(value: str, style: str, sold_at: str, precision: str) -> None:
    found = sold("text", value, sale__sold_at={"column": "trans_date", "format": style})
    assert (found.sold_at, found.sold_at_precision) == (sold_at, precision)


def test_a_date_in_a_number_is_read_by_its_format() -> None:
    found = sold("integer", "20261117", sale__sold_at={"column": "trans_date", "format": "%Y%m%d"})
    assert (found.sold_at, found.business_date) == ("2026-11-17T00:00:00-04:00", "2026-11-17")


@pytest.mark.parametrize(
    ("date", "day", "clock", "hour", "sold_at", "precision"),
    [
        ("date", "2026-11-17", "time", "23:59:59", "2026-11-17T23:59:59-04:00", "second"),
        ("datetime", "2026-11-17T00:00:00", "datetime", "1899-12-30T08:05:00", "2026-11-17T08:05:00-04:00", "second"),
        ("text", "17/11/26", "text", "0805", "2026-11-17T08:05:00-04:00", "second"),
        ("date", "2026-11-17", "time", None, "2026-11-17T00:00:00-04:00", "date"),
        ("date", "2016-05-01", "time", "02:45:00", "2016-05-01T02:45:00-04:30", "second"),
    ],
)
def test_date_and_time_in_two_columns(
    date: Any, day: str, clock: Any, hour: str | None, sold_at: str, precision: str
) -> None:
    two: list[Any] = ["fecha", "hora"]
    if date == "text":
        two = [{"column": "fecha", "format": "%d/%m/%y"}, {"column": "hora", "format": "%H%M"}]
    on = system(template(sale__sold_at={"columns": two, "call": "date_and_time"}, sale__since="fecha"))
    kind = layout("transactions", ["trans_id"], trans_id="integer", location_id="integer", fecha=date, hora=clock)
    (sale,) = read(change_set((kind, "c", 0, ["1", "1", day, hour])), on).sales
    assert sale.header is not None
    assert (sale.header.sold_at, sale.header.sold_at_precision) == (sold_at, precision)
    assert sale.header.warnings == (["AMBIGUOUS_TIME"] if day.startswith("2016") else [])


def test_no_date_is_no_date() -> None:
    rows = [cells(ITEMS, ITEM, last_sale_date=value) for value in ("1899-12-30T00:00:00", None)]
    made = read(change_set(*[(ITEMS, "c", 0, row) for row in rows]))
    assert [(one.last_sale_at, "last_sale_at" in one.fields) for one in made.products] == [(None, True)] * 2


@pytest.mark.parametrize("value", ["ayer", "17/11/2026", "25:00", ""])
def test_a_sale_without_a_readable_time_is_set_aside(value: str) -> None:
    made = read(change_set((changed("text"), "c", 0, cells(changed("text"), SALE, trans_date=value))))
    assert (made.sales, [entry.error_class for entry in made.quarantined]) == ([], ["DATA_VALIDATION_ERROR"])


def changed(kind: Any) -> Layout:
    return layout("transactions", ["trans_id"], **{c.name: c.type for c in TRANSACTIONS.columns} | {"trans_date": kind})


def sold(kind: Any, value: str, **parts: Any) -> SaleHeader:
    (sale,) = read(
        change_set((changed(kind), "c", 0, cells(changed(kind), SALE, trans_date=value))), system(template(**parts))
    ).sales
    assert sale.header is not None
    return sale.header
