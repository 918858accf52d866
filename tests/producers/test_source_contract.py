"""What every source of a database promises (`producers.source`), asked of each of them in the same words."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fluxion.clock import SystemClock
from fluxion.errors import AccessDeniedError, PositionLostError
from producers.source import Bound, Capture, Source
from producers.sources.mysql import MySQLConfig, MySQLSource
from tests.producers.conftest import Shop
from tests.producers.sql_shop import SqlShop, state_of

TABLES = ("items (id int primary key, name varchar(20), price decimal(18,4))", "moves (id int primary key, item int)")
DATED = ("sales (id int primary key, sold date)", "details (sale int, line int, primary key (sale, line))")
BEGIN = {"mysql": "begin", "sqlserver": "begin transaction"}


@dataclass
class Store:
    """A point of sale on some database. Statements are what all of them understand."""

    kind: str
    run: Callable[..., object]
    create: Callable[..., None]
    source: Callable[..., Source]
    link: Callable[[], Any]
    stranger: Callable[[], Source]

    def snapshot(self, *tables: str) -> list[Capture]:
        return list(self.source(*tables).snapshot(None, frozenset(tables), {}))

    def now(self, *tables: str) -> str:
        start = self.snapshot(*tables)[-1].stream_start
        assert start is not None
        return start

    def as_one(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with closing(self.link()) as link, closing(link.cursor()) as cursor:
            for statement in (BEGIN[self.kind], *statements, "commit"):
                cursor.execute(statement)


def inserts(table: str, values: str, numbers: range) -> list[str]:
    """Statements that insert a row for each number, {n} in `values`."""
    some = [numbers[at : at + 500] for at in range(0, len(numbers), 500)]
    return [f"insert into {table} values {', '.join(values.format(n=n) for n in part)}" for part in some]


@pytest.fixture(params=["mysql", "sqlserver", "sqlserver-cdc", "sqlserver-rowversion"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlserver-rowversion":
        return by_rowversion(request.getfixturevalue("sql_shop"), tmp_path / "keys.db")
    if request.param == "sqlserver-cdc":
        return by_cdc(request.getfixturevalue("sql_shop"))
    if request.param == "sqlserver":
        sql: SqlShop = request.getfixturevalue("sql_shop")
        return Store("sqlserver", sql.run, sql.create, sql.source, sql.link, lambda: sql.source("items", password="x"))
    shop: Shop = request.getfixturevalue("shop")

    def create(*definitions: str) -> None:
        shop.run(*(f"create table {definition}" for definition in definitions))

    config = MySQLConfig(shop.host, shop.port, "nobody", shop.database, frozenset({"items"}), "x")
    return Store("mysql", shop.run, create, shop.source, shop.link, lambda: MySQLSource(config, SystemClock()))


def by_cdc(sql: SqlShop) -> Store:
    def create(*definitions: str) -> None:
        sql.run(*(f"create table {definition}" for definition in definitions))
        sql.capture(*(definition.split(maxsplit=1)[0] for definition in definitions))

    source = partial(sql.source, method="cdc")
    return Store("sqlserver", sql.run, create, source, sql.link, lambda: source("items", password="x"))


def by_rowversion(sql: SqlShop, scratch: Path) -> Store:
    def create(*definitions: str) -> None:
        sql.run(*(f"create table {definition.removesuffix(')')}, rv rowversion)" for definition in definitions))

    source = partial(sql.source, method="rowversion", scratch=scratch, compare_s=0.2)
    return Store("sqlserver", sql.run, create, source, sql.link, lambda: source("items", password="x"))


@pytest.fixture
def items(store: Store) -> Store:
    store.create(*TABLES)
    store.run("insert into items (id, name, price) values (1, 'uno', 1), (2, 'dos', 2)")
    return store


def until(captures: Iterator[Capture], rows: int) -> list[Capture]:
    """Captures with rows until there are so many, to the end of their transaction."""
    found: list[Capture] = []
    for capture in captures:
        if capture.rows:
            found.append(capture)
        if sum(len(one.rows) for one in found) >= rows and found[-1].last_part:
            break
    return found


def reached(known: list[Capture], captures: Iterator[Capture], state: object) -> object:
    """What is known at the end of these captures, once that is `state`, or after 20 s."""
    until_s = time.monotonic() + 20
    while state_of(known) != state and time.monotonic() < until_s:
        known.append(next(captures))
    return state_of(known)


def ids(captures: list[Capture]) -> list[str | None]:
    return [row.values[0] for capture in captures for row in capture.rows]


# Snapshots -----------------------------------------------------------------------------------------------------------


def test_a_snapshot_reads_every_table_and_ends_each_also_an_empty_one(items: Store) -> None:
    captures = items.snapshot("items", "moves")
    assert state_of(captures) == {("items", "1"): ("1", "uno", "1.0000"), ("items", "2"): ("2", "dos", "2.0000")}
    assert [(capture.kind, [end.table for end in capture.ends]) for capture in captures] == [
        ("snapshot", ["items"]),
        ("snapshot", ["moves"]),
    ]
    assert len({capture.stream_start for capture in captures}) == 1


def test_a_run_goes_on_behind_any_chunk_and_keeps_its_beginning(items: Store) -> None:
    items.run(*inserts("items (id, name, price)", "({n}, 'x', 1)", range(3, 1202)))
    captures = items.snapshot("items", "moves")
    assert [len(capture.rows) for capture in captures] == [500, 500, 201, 0]
    for place, capture in enumerate(captures[:-1]):
        source = items.source("items", "moves")
        following = list(source.snapshot(capture.position, frozenset({"items", "moves"}), {}))
        assert ids(following) == ids(captures[place + 1 :])
        assert {chunk.stream_start for chunk in following} == {captures[0].stream_start}


def test_a_bounded_snapshot_says_from_when_and_lines_follow_their_header(store: Store) -> None:
    store.create(*DATED)
    store.run(
        "insert into sales (id, sold) values (1, '2026-01-09'), (2, '2026-01-10'), (3, null)",
        "insert into details (sale, line) values (1, 1), (2, 1), (2, 2), (3, 1)",
    )
    since = "2026-01-10T00:00:00-04:00"
    bounds = {"details": Bound("sold", since, header="sales", link=("sale",)), "sales": Bound("sold", since)}
    source = store.source("sales", "details")
    captures = list(source.snapshot(None, frozenset(bounds), bounds))
    assert list(state_of(captures)) == [
        ("sales", "2"), ("sales", "3"), ("details", "2", "1"), ("details", "2", "2"), ("details", "3", "1"),
    ]  # fmt: skip
    ends = [end for capture in captures for end in capture.ends]
    assert [(end.table, end.since and end.since.value) for end in ends] == [
        ("sales", "2026-01-10"),
        ("details", "2026-01-10"),
    ]
    assert 1 <= source.estimate(frozenset(bounds), bounds) <= 7


def test_a_snapshot_under_writes_and_the_stream_behind_it_come_to_the_same_state(items: Store) -> None:
    items.run(*inserts("items (id, name, price)", "({n}, 'x', 0)", range(3, 3001)), "update items set price = 0")
    done = threading.Event()

    def write() -> None:
        with closing(items.link()) as link, closing(link.cursor()) as cursor:
            number = 0
            while not done.is_set():
                number += 1
                cursor.execute(BEGIN[items.kind])
                cursor.execute(f"update items set price = price + 1 where id = {number % 100 + 1}")
                cursor.execute(f"insert into moves (id, item) values ({number}, {number % 100 + 1})")
                cursor.execute(f"delete from items where id = {3001 - number} and id > 500")
                cursor.execute("commit")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        read = []
        for capture in items.source("items", "moves").snapshot(None, frozenset({"items", "moves"}), {}):
            read.append(capture)
            time.sleep(0.03)
    finally:
        done.set()
        writer.join()
    seen = state_of(read)
    moves = sum(1 for table, *_ in seen if table == "moves")
    prices = [float(values[2] or 0) for (table, *_), values in seen.items() if table == "items"]
    # Of one moment: in any committed state the prices add up to the moves, and as many items are gone.
    assert (sum(prices), len(prices)) == (moves, 3000 - moves)
    stored = state_of(items.snapshot("items", "moves"))
    assert stored != seen, "nothing was written meanwhile; the test shows nothing"
    captures = items.source("items", "moves").stream(read[0].stream_start or "")
    assert reached(read, captures, stored) == stored


def test_rereading_a_table_sees_what_the_stream_has_told(items: Store) -> None:
    source = items.source("items")
    captures = source.stream(items.now("items"))
    items.run("update items set price = 9 where id = 1", "delete from items where id = 2")
    until(captures, 2)
    again = list(source.resnapshot(None, frozenset({"items"}), {}))
    assert state_of(again) == {("items", "1"): ("1", "uno", "9.0000")}
    assert [(chunk.kind, chunk.stream_start) for chunk in again] == [("snapshot", None)]


# The stream ----------------------------------------------------------------------------------------------------------


def test_a_stream_ends_at_what_the_tables_hold(items: Store) -> None:
    captures = items.source("items", "moves").stream(items.now("items", "moves"))
    before = items.snapshot("items", "moves")
    items.as_one(
        "insert into items (id, name, price) values (3, 'tres', 3)",
        "update items set price = 9 where id = 1",
        "delete from items where id = 2",
        "update items set id = 30 where id = 3",
        "insert into moves (id, item) values (1, 1), (2, 1)",
        "delete from moves where id = 1",
        "insert into moves (id, item) values (1, 3)",
    )
    stored = state_of(items.snapshot("items", "moves"))
    assert reached(before, captures, stored) == stored


def test_what_is_rolled_back_never_appears(items: Store) -> None:
    captures = items.source("items").stream(items.now("items"))
    with closing(items.link()) as link, closing(link.cursor()) as cursor:
        for statement in (
            BEGIN[items.kind],
            "update items set price = 100",
            "insert into items (id, name, price) values (8, 'ocho', 8)",
        ):
            cursor.execute(statement)
        assert not next(captures).rows
        cursor.execute("rollback")
    items.run("update items set price = 7 where id = 2")
    assert state_of(until(captures, 1)) == {("items", "2"): ("2", "dos", "7.0000")}


def test_a_deletion_tells_at_least_the_key(items: Store) -> None:
    captures = items.source("items").stream(items.now("items"))
    items.run("delete from items where id = 2")
    (capture,) = until(captures, 1)
    layout, (row,) = capture.layouts[capture.rows[0].layout], capture.rows
    assert (row.op, layout.key, row.values[0]) == ("d", ["id"], "2")
    assert len(layout.columns) == len(row.values)


def test_a_stream_goes_on_behind_any_capture(items: Store) -> None:
    start = items.now("items")
    captures = items.source("items").stream(start)
    told = []
    for number in range(3, 6):
        items.run(f"insert into items (id, name, price) values ({number}, 'x', 1)")
        told += until(captures, 1)
    for place, capture in enumerate(told[:-1]):
        assert ids(until(items.source("items").stream(capture.position), 1))[0] == str(place + 4)
    assert set(ids(until(items.source("items").stream(start), 3))) == {"3", "4", "5"}


def test_a_large_transaction_comes_in_parts_behind_which_only_the_last_goes_on(items: Store) -> None:
    start = items.now("items")
    items.as_one(*inserts("items (id, name, price)", "({n}, 'a name of 20 letters', 1)", range(3, 4_103)))
    parts = until(items.source("items").stream(start), 4_100)
    assert len(parts) > 1
    assert [part.part for part in parts] == list(range(len(parts)))
    assert [part.last_part for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len({part.position for part in parts[:-1]}) == 1
    assert len(set(ids(parts))) == 4_100
    again = until(items.source("items").stream(parts[0].position), 4_100)
    assert set(ids(again)) == set(ids(parts))


def test_an_idle_stream_yields_within_five_seconds(items: Store) -> None:
    captures = items.source("items").stream(items.now("items"))
    begun = time.monotonic()
    capture = next(captures)
    assert time.monotonic() - begun < 5
    assert (capture.rows, capture.ends, capture.resnapshot) == ([], [], [])


# Ends and faults -----------------------------------------------------------------------------------------------------


def test_closing_ends_a_waiting_stream_within_two_seconds(items: Store) -> None:
    source = items.source("items")
    captures = source.stream(items.now("items"))
    next(captures)
    threading.Timer(0.2, source.close).start()
    begun = time.monotonic()
    assert all(not capture.rows for capture in captures)
    assert time.monotonic() - begun < 2.2
    source.close()


def test_closing_ends_a_snapshot_between_two_chunks(items: Store) -> None:
    items.run(*inserts("items (id, name, price)", "({n}, 'x', 1)", range(3, 2003)))
    source = items.source("items")
    captures = source.snapshot(None, frozenset({"items"}), {})
    next(captures)
    source.close()
    assert len(list(captures)) < 4


@pytest.mark.parametrize("position", ["", "null", '{"server": "other"}'])
def test_a_position_of_something_else_is_lost(items: Store, position: str) -> None:
    with pytest.raises(PositionLostError):
        next(items.source("items").stream(position))
    with pytest.raises(PositionLostError):
        next(items.source("items").snapshot(position, frozenset({"items"}), {}))


def test_a_login_that_is_refused_is_told_by_every_way_in(items: Store) -> None:
    start = items.now("items")
    with pytest.raises(AccessDeniedError):
        next(items.stranger().stream(start))
    with pytest.raises(AccessDeniedError):
        next(items.stranger().snapshot(None, frozenset({"items"}), {}))
    assert [fault.code for fault in items.stranger().check()] == ["ACCESS_DENIED"]


def test_a_check_names_every_table_that_is_not_there(items: Store) -> None:
    faults = [fault for fault in items.source("items", "uno", "dos").check() if not fault.warning]
    assert [fault.code for fault in faults] == ["TABLE_MISSING"] * 2
    assert all(fault.mend for fault in faults)
