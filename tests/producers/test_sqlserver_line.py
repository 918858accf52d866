"""The line to SQL Server: cut, silent, refused, closed; and who gives way to whom."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pyodbc
import pytest

from fluxion.errors import (
    AccessDeniedError,
    ConfigurationError,
    DependencyDownError,
    FluxionError,
    Retry,
    SourceNotReadyError,
)
from producers.sources.sqlserver import SQLServerConfig, ask, change_tracking, chunks, connection
from producers.sources.sqlserver.connection import Links
from producers.sources.sqlserver.drivers import PREFERRED, chosen, connection_string
from producers.sources.sqlserver.errors import LOCK_TIMEOUT_MS, number_of, translate
from tests.producers.sql_shop import SqlShop, changes, told, whole

CONFIG = SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset({"items"}), "geheim")


@dataclass
class Line:
    """A line to a server that can be cut without a word: nothing comes through any more, and nobody is told."""

    to: tuple[str, int]
    port: int = 0
    silent: threading.Event = field(default_factory=threading.Event)
    ends: list[socket.socket] = field(default_factory=list)

    def run(self, listener: socket.socket) -> None:
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            there = socket.create_connection(self.to)
            self.ends += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                while self.silent.is_set():
                    time.sleep(0.02)
                other.sendall(data)
        except OSError:
            return
        finally:
            for end in (one, other):
                end.close()

    def cut(self) -> None:
        for end in self.ends:
            end.close()


@pytest.fixture
def line(sql_items: SqlShop) -> Iterator[Line]:
    server = sql_items.database.server
    made = Line((server.host, server.port))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.run(listener)
        yield made
        made.silent.clear()
        made.cut()


def test_a_line_that_has_gone_silent_is_noticed(
    sql_items: SqlShop, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection.QUERY_TIMEOUT_S + connection.MARGIN_S < 30
    monkeypatch.setattr(connection, "QUERY_TIMEOUT_S", 1)
    monkeypatch.setattr(connection, "MARGIN_S", 0.5)
    start = sql_items.now("items")
    captures = sql_items.source("items", port=line.port).stream(start)
    sql_items.run("UPDATE items SET price = 5 WHERE id = 1")
    changes(captures, 1)
    line.silent.set()
    begun = time.monotonic()
    with pytest.raises(DependencyDownError, match="the line is silent"):
        list(captures)
    assert time.monotonic() - begun < 4


def test_a_source_on_a_silent_line_can_be_closed(sql_items: SqlShop, line: Line) -> None:
    start = sql_items.now("items")
    source = sql_items.source("items", port=line.port)
    captures = source.stream(start)
    next(captures)
    line.silent.set()
    threading.Timer(0.3, source.close).start()
    begun = time.monotonic()
    assert all(not capture.rows for capture in captures)
    assert time.monotonic() - begun < 2.3


def test_a_line_that_is_cut_is_noticed_at_once(sql_items: SqlShop, line: Line) -> None:
    captures = sql_items.source("items", port=line.port).stream(sql_items.now("items"))
    next(captures)
    line.cut()
    with pytest.raises(DependencyDownError) as fault:
        list(captures)
    assert fault.value.retry is Retry.SOON


def test_a_server_that_ends_in_the_middle_of_a_poll_loses_nothing(sql_shop: SqlShop) -> None:
    sql_shop.create("notes (id int primary key, t nvarchar(400))")
    start = sql_shop.now("notes")
    sql_shop.insert_numbers("notes", "{n}, REPLICATE(N'x', 400)", 0, 10_000)
    captures = sql_shop.stream(start, "notes")
    first = next(capture for capture in captures if capture.rows)
    sql_shop.database.server.kill()
    with pytest.raises(DependencyDownError):
        list(captures)
    with pytest.raises(DependencyDownError):
        next(sql_shop.stream(first.position, "notes"))
    sql_shop.restart_server()
    again = whole(sql_shop.stream(first.position, "notes"))
    assert sorted(int(row.values[0] or 0) for part in again for row in part.rows) == list(range(10_000))


def test_a_wrong_password_is_told_as_such(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    for attempt in (
        lambda: list(sql_items.source("items", password="de antes").stream(start)),
        lambda: list(sql_items.source("items", password="de antes").snapshot(None, frozenset({"items"}), {})),
        lambda: ask(sql_items.config("items", password="de antes")),
    ):
        with pytest.raises(AccessDeniedError, match="refuses the login") as fault:
            attempt()
        assert "FLUXION_SOURCE_PASSWORD" in fault.value.mend
        assert "de antes" not in str(fault.value)


def test_a_password_may_hold_what_a_connection_string_means_otherwise(sql_items: SqlShop) -> None:
    with pytest.raises(AccessDeniedError):
        ask(sql_items.config("items", password="x;DATABASE={y}}"))
    ask(sql_items.config("items"))


def test_a_database_that_is_not_there_is_told_as_such(sql_items: SqlShop) -> None:
    with pytest.raises(SourceNotReadyError, match="does not open the database 'nada'"):
        ask(sql_items.config("items", database="nada"))


def test_a_server_that_is_not_there_is_tried_again(sql_items: SqlShop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(DependencyDownError):
        ask(sql_items.config("items", port=port))


def test_a_closed_source_ends_quietly_and_opens_nothing_more(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    source = sql_items.source("items")
    source.close()
    source.close()
    assert list(source.stream(start)) == []
    assert list(source.snapshot(None, frozenset({"items"}), {})) == []


# Who gives way -------------------------------------------------------------------------------------------------------


def test_a_lock_is_not_waited_for(sql_items: SqlShop) -> None:
    links = Links(sql_items.config("items"))
    with closing(sql_items.link()) as register:
        register.execute("BEGIN TRANSACTION")
        register.execute("UPDATE items SET price = 2 WHERE id = 1")
        link = links.open()
        begun = time.monotonic()
        with pytest.raises(DependencyDownError) as fault:
            link.rows("UPDATE items SET price = 3 WHERE id = 1")
        assert LOCK_TIMEOUT_MS / 1000 - 0.5 < time.monotonic() - begun < LOCK_TIMEOUT_MS / 1000 + 3
        assert "(1222)" in fault.value.message
        register.execute("ROLLBACK")
    links.drop(link)


def test_a_deadlock_s_victim_is_tried_again(sql_items: SqlShop) -> None:
    links = Links(sql_items.config("items"))
    link = links.open()
    update = "UPDATE items SET price = price + 1 WHERE id = "
    with closing(sql_items.link()) as register:
        register.execute("BEGIN TRANSACTION")
        register.execute(update + "2")
        link.rows("SET LOCK_TIMEOUT 10000; BEGIN TRANSACTION")
        link.rows(update + "1")

        def wait_for_us() -> None:
            time.sleep(0.3)
            register.execute(update + "1")

        waiting = threading.Thread(target=wait_for_us)
        waiting.start()
        with pytest.raises(DependencyDownError) as fault:
            link.rows(update + "2")
        waiting.join()
        register.execute("ROLLBACK")
    assert "(1205)" in fault.value.message
    assert fault.value.retry is Retry.SOON
    links.drop(link)


def test_a_register_s_lock_keeps_nobody_from_reading(sql_items: SqlShop) -> None:
    start = sql_items.now("items")
    with closing(sql_items.link()) as register:
        register.execute("BEGIN TRANSACTION")
        register.execute("UPDATE items SET price = 2 WHERE id = 1")
        sql_items.run("INSERT INTO items VALUES (3, N'tres', 3)")
        assert len(told(changes(sql_items.stream(start, "items"), 1))) == 1
        assert len(told(sql_items.snapshot("items"))) == 3
        register.execute("ROLLBACK")


def test_a_snapshot_is_not_held_for_who_takes_no_rows(sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HOLD_S", 0.3)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    captures = sql_items.source("items").snapshot(None, frozenset({"items"}), {})
    first = next(captures)
    time.sleep(0.8)
    with pytest.raises(DependencyDownError, match="a snapshot was held"):
        next(captures)
    following = list(sql_items.source("items").snapshot(first.position, frozenset({"items"}), {}))
    assert [values["id"] for _, _, values in told(following)] == ["2"]


def test_a_poll_whose_parts_nobody_takes_comes_again(sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HOLD_S", 0.3)
    monkeypatch.setattr(change_tracking, "PART_ROWS", 1)
    start = sql_items.now("items")
    sql_items.run("UPDATE items SET price = 5")
    captures = sql_items.stream(start, "items")
    (first,) = changes(captures, 1)
    time.sleep(0.8)
    with pytest.raises(DependencyDownError, match="a snapshot was held"):
        list(captures)
    assert len(told(whole(sql_items.stream(first.position, "items")))) == 2


def test_an_idle_stream_holds_nothing(sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    captures = sql_items.stream(sql_items.now("items"), "items")
    next(captures)
    monkeypatch.setattr(connection, "HOLD_S", 0.1)
    sql_items.run("UPDATE items SET price = 5 WHERE id = 1")
    assert len(changes(captures, 1)) == 1
    time.sleep(0.4)
    sql_items.run("UPDATE items SET price = 6 WHERE id = 1")
    assert len(changes(captures, 1)) == 1


# Errors and drivers --------------------------------------------------------------------------------------------------

_MICROSOFT = "[{state}] [Microsoft][ODBC Driver 18 for SQL Server]{text} ({number}) (SQLDriverConnect)"


@pytest.mark.parametrize(
    ("state", "number", "text", "kind", "mend"),
    [
        ("28000", 18456, "[SQL Server]Login failed for user 'cdc'.", AccessDeniedError, "password"),
        ("42000", 229, "[SQL Server]The VIEW CHANGE TRACKING permission was denied", AccessDeniedError, "GRANT SELECT"),
        ("42000", 3952, "[SQL Server]Snapshot isolation transaction failed", SourceNotReadyError, "ALLOW_SNAPSHOT"),
        ("42000", 22105, "[SQL Server]Change tracking is not enabled", SourceNotReadyError, "ENABLE CHANGE_TRACKING"),
        ("42S02", 208, "[SQL Server]Invalid object name 'items'.", SourceNotReadyError, "template"),
        ("40001", 1205, "[SQL Server]deadlock victim", DependencyDownError, "again"),
        ("42000", 3961, "[SQL Server]the object has been modified by a DDL statement", DependencyDownError, "again"),
        ("08S01", 10054, "TCP Provider: An existing connection was forcibly closed", DependencyDownError, "runs"),
        ("42000", 927, "[SQL Server]Database 'stellar' cannot be opened. It is in the middle of a restore.", DependencyDownError, "runs"),
        ("HYT00", 0, "Login timeout expired", DependencyDownError, "runs"),
        ("08001", 0, "SSL Provider: [error:0A000102:SSL routines::unsupported protocol]", SourceNotReadyError, "TLS 1.0"),
        ("08001", 0, "SSL Provider: certificate verify failed:certificate has expired", SourceNotReadyError, "expired"),
        ("08001", 18, "[DBNETLIB]SSL Security error", SourceNotReadyError, "TLS 1.0"),
        ("22012", 8134, "[SQL Server]Divide by zero error encountered.", SourceNotReadyError, "look the number up"),
    ],
)  # fmt: skip
def test_an_error_is_told_by_its_number(
    state: str, number: int, text: str, kind: type[FluxionError], mend: str
) -> None:
    fault = pyodbc.Error(state, _MICROSOFT.format(state=state, text=text, number=number))
    assert number_of(fault) == number
    found = translate(fault, CONFIG)
    assert type(found) is kind
    assert mend in found.mend
    assert "caja:1433" in found.message


def test_the_number_is_found_where_an_error_has_several_parts() -> None:
    text = (
        "[08001] [unixODBC][FreeTDS][SQL Server]Unable to connect (0) (SQLDriverConnect); [42000] Login failed (18456)"
    )
    assert number_of(pyodbc.Error("08001", text)) == 18456


def test_a_driver_that_is_missing_is_a_matter_of_configuration(sql_items: SqlShop) -> None:
    with pytest.raises(ConfigurationError, match="ODBC driver") as fault:
        ask(sql_items.config("items", driver="Nada"))
    assert "install" in fault.value.mend
    with pytest.raises(ConfigurationError, match="none at all"):
        chosen(CONFIG, [])


def test_the_best_driver_that_is_installed_is_taken() -> None:
    assert chosen(CONFIG, ["FreeTDS", "SQL Server", PREFERRED[1]]) == PREFERRED[1]
    assert chosen(CONFIG, ["SQL Server", "FreeTDS"]) == "FreeTDS"


def test_each_driver_is_told_what_it_needs() -> None:
    tds = connection_string(CONFIG, "/usr/lib/odbc/libtdsodbc.so")
    assert {"SERVER=caja", "PORT=1433", "TDS_Version=7.4"} <= set(tds.split(";"))
    microsoft = connection_string(CONFIG, PREFERRED[0])
    for words in ("SERVER={tcp:caja,1433}", "TrustServerCertificate=yes", "Encrypt=yes", "ConnectRetryCount=0"):
        assert words in microsoft
    named = SQLServerConfig("caja\\SQLEXPRESS", 1433, "cdc", "stellar", frozenset())
    assert "PORT" not in connection_string(named, "FreeTDS")
    assert "SERVER=caja\\SQLEXPRESS" in connection_string(named, PREFERRED[0])


def test_a_method_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError) as fault:
        SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset(), method="magic")
    assert "change_tracking" in fault.value.mend
