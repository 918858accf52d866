"""What PostgreSQL cannot take is set aside alone."""

from typing import Any

import pytest

from tests.stream_processors.own_pos import DOCUMENTS, LINES, PAYMENT, PAYMENTS, SHOPS, TEXT, document, made, mapping
from tests.stream_processors.own_pos import LINE as OWN_LINE
from tests.stream_processors.sets import (
    DETAILS,
    ITEM,
    ITEMS,
    LINE,
    SALE,
    TRANSACTIONS,
    cells,
    change_set,
    layout,
    read,
    system,
)


@pytest.mark.parametrize(
    ("value", "kept", "warned"),
    [
        ("1.00005", "1.0000", True),
        ("1.00015", "1.0002", True),
        ("1.000000", "1.0000", False),
        ("-99999999999999.9999", "-99999999999999.9999", False),
        ("99999999999999.99999", None, False),
        ("100000000000000", None, False),
        ("NaN", None, False),
        ("Infinity", None, False),
        ("1e5", "100000.0000", False),
        ("1e999999", None, False),
        ("abc", None, False),
    ],
)
def test_numbers_fit_postgresql(value: str, kept: str | None, warned: bool) -> None:  # noqa: FBT001 -- a row of the table above
    made = read(change_set((DETAILS, "c", 0, cells(DETAILS, LINE, qty=value)), (DETAILS, "c", 0, LINE)))
    quantities = [line.quantity for sale in made.sales for line in sale.lines]
    assert quantities == ([kept] if kept is not None else []) + ["2.500"]
    assert [row.error_class for row in made.quarantined] == ([] if kept is not None else ["DATA_VALIDATION_ERROR"])
    assert made.sales[0].lines[0].warnings == ([f"PRECISION_REDUCED:quantity={value}"] if warned else [])


@pytest.mark.parametrize(
    "changed",
    [
        {"item_name": "a\0b"},
        {"item_code": None},
        {"item_code": "   "},
        {"item_code": "x" * 501},
        {"item_name": "x" * 10_001},
        {"item_id": None},
        {"last_sale_date": "0001-01-01T00:00:00"},
        {"last_sale_date": "2026-02-30T00:00:00"},
    ],
)
def test_a_bad_row_is_set_aside_alone(changed: dict[str, str | None]) -> None:
    made = read(
        change_set((ITEMS, "c", 0, cells(ITEMS, ITEM, **changed)), (ITEMS, "c", 0, cells(ITEMS, ITEM, item_id="6")))
    )
    assert [product.external_id for product in made.products] == ["6"]
    assert [row.error_class for row in made.quarantined] == ["DATA_VALIDATION_ERROR"]
    assert "; " in made.quarantined[0].message


@pytest.mark.parametrize("kind", ["datetime", "instant", "date", "text"])
@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "0001-01-01", "1899-12-31T00:00:00+00:00"]
)
@pytest.mark.parametrize("store", ["1", "2"])
def test_a_sale_at_the_ends_of_time_is_set_aside_alone(kind: Any, moment: str, store: str) -> None:
    other = layout(
        "transactions", ["trans_id"], **{c.name: c.type for c in TRANSACTIONS.columns} | {"trans_date": kind}
    )
    odd = cells(other, SALE, trans_date=moment, location_id=store)
    found = read(change_set((other, "c", 0, odd), (TRANSACTIONS, "c", 1, cells(TRANSACTIONS, SALE, trans_id="2"))))
    assert [sale.header and sale.header.external_id for sale in found.sales] == ["2"]
    assert [entry.error_class for entry in found.quarantined] == ["DATA_VALIDATION_ERROR"]


def test_a_rate_of_exchange_has_ten_decimals_and_a_taxs_rate_four() -> None:
    rate = "36.12345678901"
    text = TEXT.replace("rate: {value: 16}", "rate: tasa")
    rows = change_set(
        (DOCUMENTS, "c", 0, document(tasa=rate)),
        (PAYMENTS, "c", 0, cells(PAYMENTS, PAYMENT, tasa="36.1234567890")),
    )
    (sale,) = made(rows, system(mapping(text), SHOPS)).sales
    assert sale.header is not None
    assert sale.header.exchange_rate == "36.1234567890"
    assert sale.header.warnings == [f"PRECISION_REDUCED:exchange_rate={rate}"]
    assert [(one.rate, one.warnings) for one in sale.payments] == [
        ("36.1234567890", ["PRECISION_REDUCED:amount_base=4074.725925799200"]),
    ]
    assert next((tax.rate, tax.warnings) for tax in sale.taxes) == ("36.1235", [f"PRECISION_REDUCED:rate={rate}"])


@pytest.mark.parametrize("field", ["cliente", "control", "impresora", "rif", "serie", "cajero"])
@pytest.mark.parametrize("bad", ["a\0b", "x" * 10_001])
def test_no_text_of_a_document_goes_past_what_postgresql_takes(field: str, bad: str) -> None:
    found = made(change_set((DOCUMENTS, "c", 0, document(**{field: bad})), (LINES, "c", 0, OWN_LINE)))
    assert [len(sale.lines) for sale in found.sales] == [1]
    (entry,) = found.quarantined
    assert (entry.external_id, entry.error_class) == ("01/000123/FAC", "DATA_VALIDATION_ERROR")
