"""Capture of SQL Server by rowversion: what a scan finds, and what a comparison of keys misses."""

import itertools
import json
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fluxion.errors import AnotherSourceError, ConfigurationError, PositionLostError, SourceNotReadyError
from producers.sources.sqlserver import SQLServerConfig, rowversion
from producers.sources.sqlserver.keys import Values
from producers.sources.sqlserver.rowversion_tables import VersionedTable
from tests.producers.sql_shop import SqlShop, changes, state_of, told
from tests.producers.versioned import NEVER, Versioned, behind, rows, with_items


@pytest.fixture
def items(sql_shop: SqlShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versioned:
    return with_items(sql_shop, tmp_path / "keys.db", monkeypatch)


# What a scan finds ---------------------------------------------------------------------------------------------------


def test_an_older_version_that_is_committed_later_is_not_passed_over(items: Versioned) -> None:
    captures = items.stream(items.now(), **NEVER)
    with closing(items.shop.link()) as slow, closing(slow.cursor()) as register:
        register.execute("BEGIN TRANSACTION")
        register.execute("INSERT INTO items (id, name) VALUES (3, N'first')")
        items.run("INSERT INTO items (id, name) VALUES (4, N'second')")
        ((older,),) = register.execute("SELECT rv FROM items WHERE id = 3").fetchall()
        assert bytes(older) < bytes(items.run("SELECT rv FROM items WHERE id = 4")[0][0])
        # Neither is told while it may not be known what lies between them.
        assert [rows(next(captures)) for _ in range(2)] == [[], []]
        register.execute("COMMIT")
    assert set(behind(captures)) == {("u", "3"), ("u", "4")}


def test_what_was_committed_meanwhile_is_told_once(items: Versioned) -> None:
    captures = items.stream(items.now(), **NEVER)
    for number in range(3, 6):
        items.run(f"INSERT INTO items (id, name) VALUES ({number}, N'x')")
        assert behind(captures) == [("u", str(number))]
    items.run("UPDATE items SET name = N'y' WHERE id = 2")
    assert behind(captures) == [("u", "2")]


def test_after_a_poll_the_point_of_sale_has_its_tables_for_itself(
    items: Versioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rowversion, "REST_POLLS", 10_000)
    captures = items.stream(items.now(), **NEVER)
    next(captures)
    items.run("UPDATE items SET name = N'x'")
    assert not next(captures).rows


def test_a_huge_change_comes_in_parts_and_so_does_its_deletion(items: Versioned) -> None:
    start = items.now()
    items.shop.insert_numbers("items", "{n}, N'x'", 10, 1200, "(id, name)")
    captures = items.stream(start)
    parts = changes(captures, 3)
    assert [(part.part, part.last_part, len(part.rows)) for part in parts] == [
        (0, False, 500), (1, False, 500), (2, True, 200),
    ]  # fmt: skip
    assert parts[0].position == parts[1].position == start
    items.run("DELETE FROM items WHERE id >= 10")
    gone = changes(captures, 3)
    assert [(part.part, part.last_part) for part in gone] == [(0, False), (1, False), (2, True)]
    assert gone[0].position == gone[1].position
    assert {op for op, _ in rows(*gone)} == {"d"}
    assert len(set(rows(*gone))) == 1200


# What a comparison misses --------------------------------------------------------------------------------------------


def test_a_deleted_row_is_told_by_its_key_once(items: Versioned) -> None:
    captures = items.stream(items.now())
    next(captures)
    items.run("DELETE FROM items WHERE id = 2")
    (capture,) = changes(captures, 1)
    assert told([capture]) == [("d", "items", {"id": "2"})]
    assert [row.source_time for row in capture.rows] == [None]
    items.run("INSERT INTO items (id, name) VALUES (3, N'tres')", "DELETE FROM items WHERE id = 1")
    found = changes(captures, 1)
    while len(rows(*found)) < 2:
        found += changes(captures, 1)
    assert sorted(rows(*found)) == [("d", "1"), ("u", "3")]


def test_rows_that_only_a_poll_has_seen_are_missed_too(items: Versioned) -> None:
    captures = items.stream(items.now())
    items.run("INSERT INTO items (id, name) VALUES (3, N'tres')")
    assert behind(captures) == [("u", "3")]
    items.run("DELETE FROM items WHERE id = 3")
    assert behind(captures) == [("d", "3")]


def test_what_was_deleted_while_the_agent_was_down_is_told(items: Versioned) -> None:
    start = items.now()
    captures = items.stream(start)
    items.run("INSERT INTO items (id, name) VALUES (3, N'tres')")
    (last,) = changes(captures, 1)
    items.run("DELETE FROM items WHERE id <> 1")
    assert sorted(behind(items.stream(last.position))) == [("d", "2"), ("d", "3")]


def test_a_deletion_that_was_yielded_and_not_stored_is_told_again(items: Versioned) -> None:
    start = items.now()
    items.run("DELETE FROM items WHERE id = 2")
    (first,) = changes(items.stream(start), 1)
    (again,) = changes(items.stream(start), 1)
    assert rows(first) == rows(again) == [("d", "2")]
    captures = items.stream(again.position)
    items.run("UPDATE items SET name = N'x'")
    assert behind(captures) == [("u", "1")], "told and stored, so never more"


def test_a_key_that_is_deleted_and_inserted_again_is_there(items: Versioned) -> None:
    captures = items.stream(items.now())
    next(captures)
    items.run("DELETE FROM items WHERE id = 2", "INSERT INTO items (id, name) VALUES (2, N'otra')")
    found = changes(captures, 1)
    items.run("DELETE FROM items WHERE id = 1")
    while ("d", "1") not in rows(*found):
        found += changes(captures, 1)
    assert list(state_of(found).values()) == [("2", "otra")]
    items.run("INSERT INTO items (id, name) VALUES (1, N'nueva')")
    assert behind(captures) == [("u", "1")]
    items.run("DELETE FROM items WHERE id = 1")
    assert behind(captures) == [("d", "1")]


def test_a_row_whose_key_changes_is_a_new_one_and_a_deletion(items: Versioned) -> None:
    captures = items.stream(items.now())
    items.run("UPDATE items SET id = 20 WHERE id = 2")
    found = changes(captures, 1)
    while len(rows(*found)) < 2:
        found += changes(captures, 1)
    assert sorted(rows(*found)) == [("d", "2"), ("u", "20")]


def test_a_table_that_is_empty_was_emptied(items: Versioned) -> None:
    captures = items.stream(items.now())
    next(captures)
    items.run("TRUNCATE TABLE items")
    (capture,) = changes(captures, 1)
    assert (rows(capture), [end.table for end in capture.ends]) == ([], ["items"])
    items.run("INSERT INTO items (id, name) VALUES (1, N'x')")
    assert behind(captures) == [("u", "1")]


def test_keys_are_read_only_where_the_number_of_rows_differs(items: Versioned, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    read_keys = VersionedTable.read_keys

    def counted(self: VersionedTable, found: list[Any]) -> list[Values]:
        nonlocal read
        read += 1
        return read_keys(self, found)

    monkeypatch.setattr(VersionedTable, "read_keys", counted)
    captures = items.stream(items.now())
    assert any(json.loads(one.position)["generation"] > 2 for one in captures)
    assert read == 1, "the first time only"
    items.run("DELETE FROM items WHERE id = 2")
    assert behind(captures) == [("d", "2")]
    assert read == 2


def test_keys_of_several_columns_and_types_come_back_as_they_were(items: Versioned) -> None:
    items.create("lines (sale decimal(18,2), at datetime, code varchar(10), primary key (code, sale, at))")
    items.run(
        "INSERT INTO lines (sale, at, code) VALUES (1.50, '2026-01-31T08:00:00.003', 'a\"b'), (2, '2026-02-01', 'ñ')"
    )
    start = items.now("lines")
    items.run("DELETE FROM lines WHERE sale < 2")
    (capture,) = changes(items.stream(start, "lines"), 1)
    assert told([capture]) == [("d", "lines", {"code": 'a"b', "sale": "1.50", "at": "2026-01-31T08:00:00.003000"})]
    assert state_of([capture]) == {}


def test_wherever_it_ends_and_goes_on_it_comes_to_what_the_table_holds(items: Versioned) -> None:
    known = list(items.source().snapshot(None, frozenset({"items"}), {}))
    position, chance = known[-1].stream_start or "", Random(7)
    for _ in range(5):
        captures = items.stream(position)
        for number in chance.choices(range(2, 40), k=12):
            statements = (
                f"DELETE FROM items WHERE id = {number}",
                f"UPDATE items SET name = N'{number}' WHERE id % 3 = {number % 3}",
                f"UPDATE items SET id = id + 50 WHERE id = {number} AND {number} + 50 NOT IN (SELECT id FROM items)",
                f"INSERT INTO items (id, name) SELECT {number}, N'new' WHERE {number} NOT IN (SELECT id FROM items)",
            )
            items.run(chance.choice(statements))
        read = list(itertools.islice(captures, 2))
        known += (stored := read[: chance.randrange(3)])  # the others are yielded, and lost in a crash
        position = stored[-1].position if stored else position
    captures, held = items.stream(position), state_of(items.again())
    until_s = time.monotonic() + 15
    while state_of(known) != held and time.monotonic() < until_s:
        known.append(next(captures))
    assert state_of(known) == held


# What is lost, and what is refused -----------------------------------------------------------------------------------


def test_tables_without_a_rowversion_are_refused_with_their_mend(items: Versioned) -> None:
    items.run("CREATE TABLE dbo.bare (id int primary key)", "INSERT INTO bare VALUES (1)")
    (fault,) = items.source("items", "bare").check()
    assert fault.code == "NO_ROWVERSION"
    statement, _, warning = fault.mend.partition(" (it rewrites the table")
    assert (statement, bool(warning)) == ("ALTER TABLE [dbo].[bare] ADD [fluxion_rv] rowversion", True)
    with pytest.raises(SourceNotReadyError, match="no column of type rowversion"):
        items.now("bare")
    items.run(statement)
    assert items.source("items", "bare").check() == []
    captures = items.stream(items.now("bare"), "bare")
    items.run("UPDATE bare SET id = 2")
    assert behind(captures)[0] == ("u", "2")


def test_a_table_that_was_created_again_is_read_again_and_the_others_go_on(items: Versioned) -> None:
    items.create("stock (id int primary key, units int)")
    captures = items.stream(items.now("items", "stock"), "items", "stock")
    next(captures)
    items.run("DROP TABLE items")
    items.create("items (id int primary key, other int)")
    items.run("INSERT INTO items (id, other) VALUES (7, 7)", "INSERT INTO stock (id, units) VALUES (1, 1)")
    found = changes(captures, 1)
    while not any(capture.resnapshot for capture in found) or ("u", "1") not in rows(*found):
        found += changes(captures, 1)
    assert [capture.resnapshot for capture in found if capture.resnapshot] == [["items"]]
    assert rows(*items.again("items", "stock"))[0] == ("r", "7")


def test_a_table_that_was_captured_only_later_is_read(items: Versioned) -> None:
    items.create("stock (id int primary key, units int)")
    (capture,) = changes(items.stream(items.now("items"), "items", "stock"), 1)
    assert capture.resnapshot == ["stock"]


def test_row_versions_that_went_back_are_a_lost_position(items: Versioned) -> None:
    position = json.loads(items.now())
    with pytest.raises(PositionLostError, match="have gone back"):
        next(items.stream(json.dumps(position | {"rowversion": 10**12})))
    for place, kind in ((0, AnotherSourceError), (1, PositionLostError)):
        other = list(position["database"])
        other[place] = "2020"
        with pytest.raises(kind):
            next(items.stream(json.dumps(position | {"database": other})))


def test_a_position_of_another_method_is_lost(items: Versioned) -> None:
    items.run("ALTER TABLE items ENABLE CHANGE_TRACKING")
    with pytest.raises(PositionLostError):
        next(items.stream(items.shop.now("items")))
    with pytest.raises(PositionLostError):
        next(items.shop.stream(items.now(), "items"))


@pytest.mark.parametrize("said", ["0", "-1", "soon", "nan", "inf"])
def test_what_is_no_time_between_comparisons_is_refused(said: str) -> None:
    with pytest.raises(ConfigurationError, match="no number of seconds"):
        SQLServerConfig("caja", 1433, "cdc", "stellar", frozenset({"items"}), compare_s=said)
