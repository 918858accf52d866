"""What a user is told when SQL Server, its driver or a table does not do what it should."""

import struct
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pyodbc
import pytest

from deploy.stack import Stack
from fluxion.errors import (
    AccessDeniedError,
    DataValidationError,
    DependencyDownError,
    FluxionError,
    Retry,
    SourceNotReadyError,
)
from producers.source import Bound
from producers.sources import choice
from producers.sources.choice import Place
from producers.sources.sqlserver import SQLServerConfig, check, connection, estimate
from producers.sources.sqlserver.errors import number_of, translate
from producers.sources.sqlserver.identity import Views
from tests.producers.conftest import Shop
from tests.producers.sql_shop import SqlShop, changes

CONFIG = SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset({"items"}))
SINCE = "2026-01-10T00:00:00-04:00"


def _fault(state: str, text: str) -> pyodbc.Error:
    return pyodbc.Error(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server]{text}")


@pytest.mark.parametrize(
    ("state", "text", "kind", "mend"),
    [
        ("28000", "[SQL Server]Login failed, in words of a later version (18999) (SQLDriverConnect)", AccessDeniedError, "FLUXION_SOURCE_PASSWORD"),
        ("28000", "Invalid authorization specification", AccessDeniedError, "FLUXION_SOURCE_PASSWORD"),
        ("HY000", "[SQL Server]Something that nobody has met (31999) (SQLExecDirectW)", SourceNotReadyError, "look the number up"),
        ("01000", "[SQL Server]Something that nobody has met (31999) (SQLExecDirectW)", SourceNotReadyError, "look the number up"),
        ("HY000", "connection is dead", DependencyDownError, "tried again"),
        ("08S01", "Communication link failure (31999) (SQLExecDirectW)", DependencyDownError, "tried again"),
        ("HYT01", "Connection timeout expired", DependencyDownError, "tried again"),
        ("22018", "Invalid character value for cast", SourceNotReadyError, "look the number up"),
    ],
)  # fmt: skip
def test_an_error_of_no_known_number_is_told_by_its_state(
    state: str, text: str, kind: type[FluxionError], mend: str
) -> None:
    """A vague state means a lost line only where the server has said nothing: what it refuses is not tried for ever."""
    found = translate(_fault(state, text), CONFIG)
    assert type(found) is kind
    assert mend in found.mend
    assert text in found.message


def test_an_error_without_a_text_is_told_nonetheless() -> None:
    for fault in (pyodbc.Error(), pyodbc.Error("HY000")):
        assert number_of(fault) == 0
        assert "caja:1433" in translate(fault, CONFIG).message


def _with_instant(shop: SqlShop) -> None:
    shop.create("citas (id int primary key, momento datetimeoffset(0))")
    shop.run("INSERT INTO citas VALUES (1, '2024-01-02T03:04:05Z')")


def test_a_value_that_the_driver_cannot_give_is_a_fault_of_the_row(
    sql_shop: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_instant(sql_shop)
    read = connection._offset_time
    monkeypatch.setattr(
        connection, "_offset_time", lambda _: read(struct.pack("<6hI2h", 10000, 1, 1, 0, 0, 0, 0, 0, 0))
    )
    with pytest.raises(DataValidationError, match="gives a value that cannot be read") as fault:
        sql_shop.snapshot("citas")
    assert fault.value.mend == "correct the row in the source"


class _TwoDaysOff(tzinfo):
    """A zone that there is not: no moment in it can be told."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(days=2)

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


def test_a_value_without_a_canonical_text_names_its_table_by_snapshot_and_by_poll(
    sql_shop: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_instant(sql_shop)
    start = sql_shop.now("citas")
    sql_shop.run("UPDATE citas SET momento = '2024-01-02T03:04:06Z'")
    nowhere = datetime(2024, 1, 2, tzinfo=_TwoDaysOff())
    monkeypatch.setattr(connection, "_offset_time", lambda _: nowhere)
    with pytest.raises(DataValidationError, match="a row of citas cannot be read"):
        sql_shop.snapshot("citas")
    with pytest.raises(DataValidationError, match="a row of citas cannot be read"):
        changes(sql_shop.stream(start, "citas"), 1)


def test_who_asks_on_a_connection_that_was_closed_is_told_at_once_however_often(sql_items: SqlShop) -> None:
    links = sql_items.links("items")
    link = links.open()
    links.drop(link)
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(DependencyDownError, match="the connection was closed") as fault:
            link.rows("SELECT 1")
        assert fault.value.retry is Retry.SOON
    assert time.monotonic() - begun < 2


def test_a_table_that_is_gone_when_it_is_to_be_read_again_is_named(sql_items: SqlShop) -> None:
    source = sql_items.source("items", "nada")
    with pytest.raises(SourceNotReadyError, match="there is no table nada") as fault:
        list(source.resnapshot(None, frozenset({"items", "nada"}), {}))
    assert "GRANT SELECT" in fault.value.mend


def test_a_source_without_tables_only_moves_its_position(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    sql_items.run("UPDATE items SET price = 7 WHERE id = 1")
    capture = next(sql_items.source().stream(start))
    assert (capture.rows, capture.resnapshot) == ([], [])
    assert sql_items.source().estimate(frozenset(), {}) == 0


def test_a_view_that_is_hidden_is_asked_for_once_and_done_without(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    views, links, asked = Views(), sql_items.links("items"), list[str]()
    link = links.open()
    rows = link.rows

    def counted(query: str, *parameters: Any) -> Any:
        asked.append(query)
        return rows(query, *parameters)

    monkeypatch.setattr(link, "rows", counted)
    hidden = "SELECT database_guid FROM sys.no_such_view"
    assert views.seen(link, hidden) == views.seen(link, hidden) == []
    assert asked == [hidden]
    links.drop(link)


# Beside the stream ---------------------------------------------------------------------------------------------------


@pytest.fixture
def sales(sql_shop: SqlShop) -> SqlShop:
    sql_shop.create(
        "ventas (id int primary key, fecha datetime)", "detalle (venta int, linea int, primary key (venta, linea))"
    )
    sql_shop.run(
        "INSERT INTO ventas VALUES (1, '2026-01-01T00:00:00'), (2, '2026-02-01T00:00:00')",
        "INSERT INTO detalle VALUES (1, 1), (1, 2), (2, 1), (2, 2)",
    )
    return sql_shop


BOUNDS = {"ventas": Bound("fecha", SINCE), "detalle": Bound("fecha", SINCE, header="ventas", link=("venta",))}


def test_an_estimate_that_has_no_time_left_counts_as_if_nothing_were_bounded(
    sales: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sales.source("ventas", "detalle")
    assert source.estimate(frozenset(BOUNDS), BOUNDS) == 3
    monkeypatch.setattr(estimate, "ALL_COUNTS_S", -1.0)
    assert source.estimate(frozenset(BOUNDS), BOUNDS) == 6


def test_an_estimate_of_a_table_that_is_not_there_is_of_the_others(sales: SqlShop) -> None:
    bounds = {**BOUNDS, "nada": Bound("fecha", SINCE)}
    assert sales.source("ventas", "nada").estimate(frozenset({"ventas", "nada"}), bounds) == 1
    unbounded = {"detalle": BOUNDS["detalle"]}  # its header has no bound of its own
    assert sales.source("ventas", "detalle").estimate(frozenset({"ventas", "detalle"}), unbounded) == 6


def test_a_check_that_has_no_time_left_says_what_it_has_not_looked_at(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "CHECK_S", -1.0)
    (busy,) = [fault for fault in sql_items.source("items").check() if not fault.warning]
    assert (busy.code, busy.message) == ("TABLE_BUSY", "there was no time to look at items")


@pytest.mark.parametrize("kind", ["mysql", "sqlserver"])
def test_a_sign_of_life_is_asked_of_the_database_of_its_kind(
    stack: Stack, shop: Shop, sql_shop: SqlShop, kind: str
) -> None:
    server = sql_shop.database.server
    place = {
        "mysql": Place("mysql", shop.host, shop.port, shop.user, shop.database, frozenset(), shop.password),
        "sqlserver": Place(
            "sqlserver", server.host, server.port, server.user, sql_shop.database.name, frozenset(), server.password
        ),
    }[kind]
    choice.ask(place)
    wrong = Place(kind, place.host, place.port, place.user, place.database, frozenset(), "de antes")
    with pytest.raises(AccessDeniedError):
        choice.ask(wrong)
    assert stack.mariadb_port == shop.port
