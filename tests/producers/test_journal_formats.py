import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fluxion.errors import ConfigurationError, DependencyDownError
from producers import journal_formats
from producers.fitting import MAX_ROW_BYTES
from producers.journal import Journal, Place, prepare
from producers.journal_formats import FORMAT
from producers.source import Capture, CaptureRow
from tests.producers.captures import ITEMS, STOCK, StillClock, change, chunk, streaming

# As the first release made it, word for word.
FORMAT_1 = """
create table if not exists state (
  id integer primary key check (id = 1),
  format integer not null,
  journal_id text not null,
  next_number integer not null default 1,       -- of the next row
  last_sequence integer not null default 0,
  stream_position text,                         -- null until the first snapshot is whole
  snapshot_position text,
  stream_start text,                            -- where the stream begins behind the snapshot's run
  snapshot_first integer not null default 1     -- the next row's number when that run began
);
create table if not exists shipped (            -- apart from state: the shipper writes it from its own thread
  id integer primary key check (id = 1),
  acknowledged integer not null
);
create table if not exists entries (
  sequence integer primary key,
  first_number integer not null,
  snapshot_first integer not null,
  skipped text not null,                        -- JSON: which of its rows were set aside; their numbers stay unused
  row_count integer not null,
  byte_count integer not null,
  stored_at integer not null,                   -- microseconds since the epoch
  body blob not null                            -- the Capture as MessagePack
);
create table if not exists quarantined (        -- rows too large to be sent; nothing is thrown away
  number integer primary key,
  sequence integer not null,
  source_table text not null,
  reason text not null,
  stored_at integer not null,
  body blob not null
);
insert into state (id, format, journal_id) values (1, 1, '7e3b0c2e-6d0f-4a61-9f0b-0a4f5c0e9b11') on conflict do nothing;
insert into shipped values (1, 0) on conflict do nothing;
"""


class FirstCapture(msgspec.Struct):
    """A Capture as the first release wrote it: nothing said of parts."""

    kind: str
    position: str
    layouts: object
    rows: object
    ends: object
    captured_at: int
    stream_start: str | None


def old_body(capture: Capture) -> bytes:
    first = FirstCapture(*(getattr(capture, name) for name in FirstCapture.__struct_fields__))
    return msgspec.msgpack.encode(first)


def old_journal(path: Path, *, whole: bool) -> None:
    """Three entries with rows 1, 2 and 3, 5 (rows 4 and 6 were set aside as too large), the first acknowledged."""
    link = sqlite3.connect(path, isolation_level=None)
    link.execute("pragma journal_mode = wal")
    link.executescript(FORMAT_1)
    captures = [chunk("s1", ["read"], end="items"), change("p1", ["a"]), change("p2", ["b", "c"])]
    for sequence, (capture, first, skipped) in enumerate(
        zip(captures, [1, 2, 3], ["[]", "[]", "[1, 3]"], strict=True), 1
    ):
        body = old_body(capture)
        link.execute(
            "insert into entries values (?, ?, 1, ?, ?, ?, 7, ?)",
            [sequence, first, skipped, len(capture.rows), len(body), body],
        )
    for number, layout in ((4, ITEMS), (6, STOCK)):
        row = CaptureRow(0, "c", None, ["9", "x" * (MAX_ROW_BYTES + 1)])
        body = msgspec.msgpack.encode([layout, row])
        link.execute("insert into quarantined values (?, 3, 'items', 'too large', 7, ?)", [number, body])
    link.execute(
        "update state set next_number = 7, last_sequence = 3, stream_position = ?, snapshot_position = 's1',"
        " stream_start = 'start'",
        ["p2" if whole else None],
    )
    link.execute("update shipped set acknowledged = 1")
    link.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_a_journal_of_the_first_release_goes_on_where_it_was(path: Path) -> None:
    old_journal(path, whole=True)
    journal = Journal(path, StillClock())
    state = journal.state()
    assert (state.journal_id, state.next_number, state.last_sequence, state.stream_position, state.rows) == (
        "7e3b0c2e-6d0f-4a61-9f0b-0a4f5c0e9b11",
        7,
        3,
        "p2",
        6,
    )
    assert (state.acknowledged, state.unshipped) == (1, 2)
    assert journal.place() == Place(1, "s1")
    journal.append([change("p3", ["d"])])
    assert [(entry.sequence, entry.numbers, entry.ends_from) for entry in journal.unshipped()] == [
        (2, [2], 1),
        (3, [3, 4, 5, 6], 1),
        (4, [7], 7),
    ]
    entries = journal.unshipped()
    found = [(entry.capture.layouts[row.layout], row.values) for entry in entries for row in entry.capture.rows]
    names = [(layout.table, [column.name for column in layout.columns], values) for layout, values in found]
    assert names == [
        ("items", ["id", "name"], ["0", "a"]),
        ("items", ["id", "name"], ["0", "b"]),
        ("items", ["id"], ["9"]),
        ("items", ["id", "name"], ["1", "c"]),
        ("stock", ["id"], ["9"]),
        ("items", ["id", "name"], ["0", "d"]),
    ], "what was set aside is back in its place, without what is too large"
    journal.close()
    assert prepare(path) is None


def test_a_first_snapshot_of_the_first_release_that_was_under_way_begins_anew(path: Path) -> None:
    old_journal(path, whole=False)
    journal = Journal(path, StillClock())
    assert journal.state().stream_position is None
    assert journal.run() is None, "it must be asked for: the old format did not know its tables"
    journal.request_run("first", ["items"], {})
    journal.append([chunk("s1", ["again"], start="later", end="items")])
    assert journal.unshipped()[-1].ends_from == 7
    journal.close()


def test_a_new_journal_looks_like_one_that_grew(tmp_path: Path) -> None:
    old_journal(tmp_path / "old.db", whole=True)
    streaming(tmp_path / "new.db").close()
    Journal(tmp_path / "old.db", StillClock()).close()
    shapes = []
    for name in ("old.db", "new.db"):
        link = sqlite3.connect(tmp_path / name)
        tables = [row[0] for row in link.execute("select name from sqlite_master where type = 'table' order by 1")]
        shapes.append({table: link.execute(f"pragma table_info({table})").fetchall() for table in tables})
        link.close()
    assert shapes[0] == shapes[1]


def test_an_upgrade_that_is_cut_off_leaves_the_old_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_journal(path, whole=True)
    steps = list(journal_formats.STEPS)

    def cut_off(link: sqlite3.Connection) -> None:
        steps[1](link)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal_formats, "STEPS", [steps[0], cut_off, *steps[2:]])
        with pytest.raises(KeyboardInterrupt):
            Journal(path, StillClock())
    link = sqlite3.connect(path)
    assert link.execute("select format, snapshot_position from state").fetchone() == (1, "s1")
    link.close()
    journal = Journal(path, StillClock())
    assert journal.state().last_sequence == 3
    journal.close()


def test_an_upgrade_that_sqlite_takes_back_by_itself_leaves_the_old_journal_and_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does where the disk is full or fails: then there is no transaction any more that could be taken back."""
    old_journal(path, whole=True)
    first, second, *others = journal_formats.STEPS

    def interrupted(link: sqlite3.Connection) -> None:
        once = iter([1])
        link.set_progress_handler(lambda: next(once, 0), 1)
        second(link)

    with monkeypatch.context() as patch:
        patch.setattr(journal_formats, "STEPS", [first, interrupted, *others])
        with pytest.raises(DependencyDownError, match="interrupted"):
            Journal(path, StillClock())
    link = sqlite3.connect(path)
    assert link.execute("select format, snapshot_position from state").fetchone() == (1, "s1")
    link.close()
    journal = Journal(path, StillClock())
    assert journal.state().last_sequence == 3
    journal.close()


def test_every_step_of_a_later_format_runs_once_and_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_journal(path, whole=True)
    done: list[int] = []

    def step(number: int) -> Callable[[sqlite3.Connection], None]:
        return lambda _: done.append(number)

    monkeypatch.setattr(journal_formats, "STEPS", [*journal_formats.STEPS, step(4), step(5)])
    monkeypatch.setattr(journal_formats, "FORMAT", FORMAT + 2)
    for _ in range(2):
        Journal(path, StillClock()).close()
    assert done == [4, 5]


def test_a_journal_of_a_newer_agent_is_refused_and_left_alone(path: Path) -> None:
    streaming(path).close()
    link = sqlite3.connect(path)
    link.execute("update state set format = 99")
    link.commit()
    link.close()
    for attempt in (lambda: Journal(path, StillClock()), lambda: prepare(path)):
        with pytest.raises(ConfigurationError, match=r"format 99.*newer agent"):
            attempt()
    assert list(path.parent.glob("*damaged*")) == []


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    link = sqlite3.connect(path)
    link.execute("create table ventas (factura text)")
    link.close()
    for attempt in (lambda: Journal(path, StillClock()), lambda: prepare(path)):
        with pytest.raises(ConfigurationError, match="something else"):
            attempt()
    assert path.exists()
