"""Change Tracking as Microsoft's pages leave it open: whichever way a server tells a change, the same is known in the end.

A test runs against the server as it is, then against the same one whose answers are told the other way, between the driver
and the reader.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyodbc
import pytest

from fluxion.errors import DependencyDownError, Retry
from producers.source import Capture
from producers.sources.sqlserver import stream
from producers.sources.sqlserver.catalogue import Shapes, TableShape
from producers.sources.sqlserver.connection import Link, Row
from producers.sources.sqlserver.identity import Views
from producers.sources.sqlserver.position import Tracked, parse
from producers.sources.sqlserver.tracking import TableState, Tracking
from tests.producers.sql_shop import SqlShop, changes, state_of, told

Told = Callable[[list[Row]], list[Row]]
TellOtherwise = Callable[[Told], None]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> TellOtherwise:
    """Tell the rows of each poll, (version, I, U or D, the key, the row or NULLs), in another way."""

    def tell_otherwise(way: Told) -> None:
        take = Link.take

        def taken(link: Link, rows: int, characters: int, long_places: Sequence[int]) -> tuple[list[Row], int]:
            found, length = take(link, rows, characters, long_places)
            return way([tuple(row) for row in found]), length

        monkeypatch.setattr(Link, "take", taken)

    return tell_otherwise


def _as(*ops: str) -> Told:
    """Every change once for each of `ops`, at the same version."""

    def way(rows: list[Row]) -> list[Row]:
        return [(row[0], op, *row[2:]) for row in rows for op in ops]

    way.__name__ = " and ".join(ops)  # in the test's name
    return way


def _nothing(rows: list[Row]) -> list[Row]:
    """What was deleted is not told."""
    return [row for row in rows if row[1] != "D"]


def _backwards(rows: list[Row]) -> list[Row]:
    return rows[::-1]


def _unchanged(rows: list[Row]) -> list[Row]:
    return rows


def _one_by_one(rows: list[Row]) -> list[Row]:
    """Not net: first what a row was made by, then its changes, each as a row of the result."""
    return [(row[0], op, *row[2:]) for row in rows for op in ("I", "U", row[1])]


def _ends_as_the_shop(shop: SqlShop, before: list[Capture], captures: Iterator[Capture]) -> list[Capture]:
    """Take the next changes; what is known with them is what the table holds. Then the stream goes on."""
    found = changes(captures, 1)
    assert state_of([*before, *found]) == state_of(_read(shop))
    shop.run("INSERT INTO items VALUES (99, N'después', 9)")
    assert ("items", "99") in state_of(changes(captures, 1))
    return found


def _read(shop: SqlShop) -> list[Capture]:
    return list(shop.source("items").resnapshot(None, frozenset({"items"}), {}))


def _begun(shop: SqlShop) -> tuple[list[Capture], Iterator[Capture]]:
    """What a first run read, and the stream behind it, which nobody has asked yet."""
    before = shop.snapshot("items")
    return before, shop.stream(before[-1].stream_start or "", "items")


# Net changes ---------------------------------------------------------------------------------------------------------


def test_several_changes_of_a_row_are_one_change_to_what_it_is_now(sql_items: SqlShop) -> None:
    before, captures = _begun(sql_items)
    sql_items.run(
        *(f"UPDATE items SET price = {price} WHERE id = 1" for price in (3, 4, 5)),
        "INSERT INTO items VALUES (3, N'tres', 3)",
        "UPDATE items SET name = N'cuatro' WHERE id = 3",
    )
    found = _ends_as_the_shop(sql_items, before, captures)
    assert told(found) == [
        ("u", "items", {"id": "1", "name": "uno", "price": "5.0000"}),
        ("u", "items", {"id": "3", "name": "cuatro", "price": "3.0000"}),
        ("c", "items", {"id": "3", "name": "cuatro", "price": "3.0000"}),
    ]


@pytest.mark.parametrize("way", [_one_by_one, _as("U"), _as("I"), _backwards])
def test_changes_that_are_not_net_end_the_same(sql_items: SqlShop, tell: TellOtherwise, way: Told) -> None:
    before, captures = _begun(sql_items)
    sql_items.run(
        "UPDATE items SET price = 3 WHERE id = 1",
        "INSERT INTO items VALUES (3, N'tres', 3)",
        "UPDATE items SET name = N'cuatro' WHERE id = 3",
        "DELETE FROM items WHERE id = 2",
    )
    tell(way)
    found = changes(captures, 1)
    assert state_of([*before, *found]) == {
        ("items", "1"): ("1", "uno", "3.0000"),
        ("items", "3"): ("3", "cuatro", "3.0000"),
    }


# Inserted and deleted between two polls ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [_unchanged, _as("I"), _as("U"), _as("I", "D"), _nothing])
def test_a_row_that_came_and_went_is_gone_whether_or_not_it_is_told(
    sql_items: SqlShop, tell: TellOtherwise, monkeypatch: pytest.MonkeyPatch, way: Told
) -> None:
    monkeypatch.setattr(stream, "QUIET_S", 0.2)
    before, captures = _begun(sql_items)
    sql_items.run("INSERT INTO items VALUES (5, N'efímero', 5)", "DELETE FROM items WHERE id = 5")
    tell(way)
    start = parse(before[-1].stream_start or "").version
    first = next(capture for capture in captures if parse(capture.position).version > start)
    assert {(op, values["id"]) for op, _, values in told([first])} == (set() if way is _nothing else {("d", "5")})
    assert parse(first.position).version == start + 2, "what was not told is not asked for again"
    assert state_of([*before, first]) == {("items", key): (key, *rest) for key, *rest in _OLD}
    sql_items.run("UPDATE items SET price = 3 WHERE id = 2")
    assert state_of(changes(captures, 1)) == {("items", "2"): ("2", "dos", "3.0000")}


_OLD = (("1", "uno", "1.0000"), ("2", "dos", "2.0000"))


# Deleted and inserted again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [_unchanged, _as("U"), _as("I"), _as("D"), _as("D", "I"), _as("I", "D")])
def test_a_key_that_was_deleted_and_inserted_again_ends_as_it_is_however_it_is_told(
    sql_items: SqlShop, tell: TellOtherwise, way: Told
) -> None:
    before, captures = _begun(sql_items)
    sql_items.run("DELETE FROM items WHERE id = 1", "INSERT INTO items VALUES (1, N'otra', 5)")
    tell(way)
    found = changes(captures, 1)
    assert "d" not in {op for op, _, _ in told(found)}, "the row is there"
    assert state_of([*before, *found])["items", "1"] == ("1", "otra", "5.0000")


# A changed key -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [_unchanged, _as("U"), _as("D"), _as("I"), _backwards])
def test_a_changed_key_leaves_nothing_of_the_old_one_however_it_is_told(
    sql_items: SqlShop, tell: TellOtherwise, way: Told
) -> None:
    before, captures = _begun(sql_items)
    sql_items.run("UPDATE items SET id = 7 WHERE id = 1")
    tell(way)
    assert state_of([*before, *changes(captures, 1)]) == {
        ("items", "2"): ("2", "dos", "2.0000"),
        ("items", "7"): ("7", "uno", "1.0000"),
    }


@pytest.mark.parametrize("way", [_unchanged, _as("D", "I"), _as("I", "D"), _backwards])
def test_keys_that_change_places_end_with_each_other_s_rows(sql_items: SqlShop, tell: TellOtherwise, way: Told) -> None:
    before, captures = _begun(sql_items)
    sql_items.run(
        "BEGIN TRANSACTION",
        "UPDATE items SET id = 3 WHERE id = 1",
        "UPDATE items SET id = 1 WHERE id = 2",
        "UPDATE items SET id = 2 WHERE id = 3",
        "COMMIT",
    )
    tell(way)
    assert state_of([*before, *changes(captures, 1)]) == {
        ("items", "1"): ("1", "dos", "2.0000"),
        ("items", "2"): ("2", "uno", "1.0000"),
    }


# TRUNCATE ------------------------------------------------------------------------------------------------------------


def _shows(before: TableState, after: TableState, marks: set[str], further: int) -> TableState:
    """The state after a truncation of a server that shows only these marks of it."""
    assert before.tracked is not None
    assert after.tracked is not None
    assert after.least is not None
    tracked = Tracked(
        before.tracked.object_id,
        after.tracked.begin if "begin" in marks else before.tracked.begin,
        (before.tracked.log or 0) + 1 if "log" in marks else before.tracked.log,
    )
    return TableState(tracked, after.least + further if "least" in marks else before.least)


@pytest.mark.parametrize(
    ("marks", "further"),
    [
        ({"begin"}, 0),
        ({"least"}, 0),
        ({"least"}, 5),
        ({"log"}, 0),
        ({"begin", "least"}, 0),
        ({"begin", "least"}, 5),
        ({"begin", "least", "log"}, 0),
    ],
)
def test_a_truncation_is_read_again_once_by_whichever_mark_it_is_seen(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch, marks: set[str], further: int
) -> None:
    """`further`: the least version may also be above the one that the TRUNCATE itself got, and so above the last."""
    states, links = Tracking.states, sql_items.links("items")
    link = links.open()
    sql_items.create("other (id int primary key)")
    before, captures = _begun(sql_items)
    tracking = Tracking(sql_items.config("items"), Views())
    old = tracking.states(link)["items"]
    sql_items.run("TRUNCATE TABLE items", "INSERT INTO items VALUES (9, N'nueve', 9)")
    monkeypatch.setattr(
        Tracking, "states", lambda self, link: {"items": _shows(old, states(self, link)["items"], marks, further)}
    )
    (first,) = changes(captures, 1)
    assert first.resnapshot == ["items"]
    assert state_of(_read(sql_items)) == {("items", "9"): ("9", "nueve", "9.0000")}
    sql_items.run("UPDATE items SET price = 10", "INSERT INTO other VALUES (1)")
    (second,) = changes(captures, 1)
    assert (second.resnapshot, len(second.rows)) == ([], 1), "it is not read again for ever"
    assert before[-1].stream_start != first.position
    links.drop(link)


# A table that is altered while its changes are read ------------------------------------------------------------------


@pytest.mark.parametrize("number", [207, 208, 1718, 4902, 22105, 31999])
@pytest.mark.parametrize("state", ["42000", "42S02", "HY000"])
def test_whichever_number_tells_that_a_table_is_being_altered_it_is_tried_again(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch, number: int, state: str
) -> None:
    before, captures = _begun(sql_items)
    execute = Link._execute

    def refused(link: Link, query: str, parameters: Sequence[object]) -> pyodbc.Cursor:
        if "CHANGETABLE" in query:
            raise pyodbc.ProgrammingError(
                state, f"[{state}] [FreeTDS][SQL Server]Nobody knows ({number}) (SQLExecDirectW)"
            )
        return execute(link, query, parameters)

    sql_items.run("UPDATE items SET price = 3 WHERE id = 1")
    with monkeypatch.context() as patched:
        patched.setattr(Link, "_execute", refused)
        with pytest.raises(DependencyDownError, match=rf"altered while its changes were read.*\({number}\)") as fault:
            list(captures)
    assert fault.value.retry is Retry.SOON
    again = sql_items.stream(before[-1].stream_start or "", "items")
    assert state_of(changes(again, 1)) == {("items", "1"): ("1", "uno", "3.0000")}


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE items DISABLE CHANGE_TRACKING", "ALTER TABLE items DROP COLUMN price", "DROP TABLE items"],
)
def test_a_table_that_is_altered_in_the_middle_of_a_poll_is_never_passed_over(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Behind the state of its tracking and its columns, and in front of its changes."""
    read = Shapes.read
    _, captures = _begun(sql_items)

    def altered(shapes: Shapes, link: Link) -> dict[str, TableShape]:
        found = read(shapes, link)
        sql_items.run(statement)
        return found

    sql_items.run("UPDATE items SET name = N'ocho' WHERE id = 1")
    with monkeypatch.context() as patched:
        patched.setattr(Shapes, "read", altered)
        with pytest.raises(DependencyDownError) as fault:
            changes(captures, 1)
    assert fault.value.retry is Retry.SOON


@pytest.mark.parametrize("left", ["nothing", "no key"])
def test_a_table_without_its_key_in_the_middle_of_a_poll_is_tried_again(
    sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """As a server shows it whose catalogue is not of the snapshot's moment."""
    read = Shapes.read
    _, captures = _begun(sql_items)

    def shown(shapes: Shapes, link: Link) -> dict[str, TableShape]:
        shape = read(shapes, link)["items"]
        return {} if left == "nothing" else {"items": replace(shape, columns=shape.columns[1:])}

    sql_items.run("UPDATE items SET price = 3 WHERE id = 1")
    monkeypatch.setattr(Shapes, "read", shown)
    with pytest.raises(DependencyDownError, match="its primary key, has gone"):
        list(captures)
