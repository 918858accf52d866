"""The file of known keys that capture by rowversion compares with: what it forgets, and what becomes of it."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fluxion.errors import DependencyDownError
from producers.sources.sqlserver.keys import Keys
from tests.producers.sql_shop import SqlShop, changes
from tests.producers.versioned import Versioned, behind, rows, with_items


@pytest.fixture
def items(sql_shop: SqlShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versioned:
    return with_items(sql_shop, tmp_path / "keys.db", monkeypatch)


def reread_whole(items: Versioned, start: str) -> None:
    """Every table is read again, once, and its deletions are told from then on."""
    captures = items.stream(start)
    (capture,) = changes(captures, 1)
    assert capture.resnapshot == ["items"]
    assert [row[1] for row in rows(*items.again())] == ["1"]
    items.run("DELETE FROM items WHERE id = 1", "INSERT INTO items (id, name) VALUES (5, N'cinco')")
    found = rows(*changes(items.stream(capture.position), 1))
    assert ("u", "5") in found
    assert not any(later.resnapshot for later in changes(captures, 1))


def test_lost_keys_have_every_table_read_again(items: Versioned) -> None:
    start = items.now()
    items.run("DELETE FROM items WHERE id = 2")
    items.stop()
    items.scratch.unlink()
    reread_whole(items, start)


def test_keys_older_than_the_position_have_every_table_read_again(items: Versioned) -> None:
    start = items.now()
    items.stop()
    shutil.copy(items.scratch, older := items.scratch.with_suffix(".old"))
    items.run("INSERT INTO items (id, name) VALUES (3, N'tres')")
    captures = items.stream(start)
    later = next(one.position for one in captures if json.loads(one.position)["generation"] > 0)
    del captures
    items.run("DELETE FROM items WHERE id <> 1")
    items.stop()
    older.replace(items.scratch)
    reread_whole(items, later)


def test_damaged_keys_have_every_table_read_again(items: Versioned) -> None:
    start = items.now()
    items.run("DELETE FROM items WHERE id = 2")
    items.stop()
    items.scratch.write_bytes(b"no database, whatever its name says " * 100)
    with pytest.raises(DependencyDownError, match="cannot be kept"):
        next(items.stream(start))
    reread_whole(items, start)


def test_what_somebody_else_has_missed_and_told_nobody_is_told(items: Versioned) -> None:
    captures = items.stream(start := items.now())
    next(captures)
    items.run("DELETE FROM items WHERE id = 2")
    other = items.stream(start)
    assert behind(other) == [("d", "2")]
    assert behind(captures) == [("d", "2")]


def test_a_row_that_comes_while_keys_are_compared_is_not_missed(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.db")
    keys.put("t", [["old"], ["gone"]])
    generation = keys.next_generation(0)
    keys.put("t", [["new"]])  # by a snapshot beside the stream, whose view is newer than the comparison's
    assert list(keys.compare("t", [[["old"]]], generation)) == [[["gone"]]]
    assert keys.count("t") == 2
    assert not Keys(tmp_path / "keys.db").empty("t", generation - 1)


def test_marks_are_kept_until_a_stream_begins_behind_them(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.db")
    keys.put("t", [["a"]])
    generation = keys.next_generation(0)
    assert list(keys.compare("t", [], generation)) == [[["a"]]]
    keys.begin(keys.id, generation - 1)
    assert keys.count("t") == 1
    generation = keys.next_generation(generation)
    assert list(keys.compare("t", [], generation)) == [[["a"]]]
    known = keys.id
    keys.begin(known, generation)
    with closing(sqlite3.connect(tmp_path / "keys.db")) as link:
        assert link.execute("select count(*) from keys").fetchall() == [(0,)]
    keys.begin(known, generation + 1)
    assert keys.id != known, "it cannot have what came later"


def test_rows_that_are_not_read_again_are_known_by_the_first_comparison(items: Versioned) -> None:
    """A later reading is bounded, and leaves old rows out."""
    start = items.now()
    items.stop()
    items.scratch.unlink()
    captures = items.stream(start)
    assert changes(captures, 1)[0].resnapshot == ["items"]
    assert any(json.loads(one.position)["generation"] for one in captures)
    items.run("DELETE FROM items WHERE id = 2")
    assert behind(captures) == [("d", "2")]
