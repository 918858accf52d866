"""The source's thread on its own: a source that fails, loses its place or is ended in the middle, and what the journal keeps."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fluxion.errors import DependencyDownError, FluxionError, PositionLostError, SourceNotReadyError
from producers.context import Context
from producers.fitting import MAX_ROW_BYTES
from producers.following import Following
from producers.handover import Handover
from producers.home import JOURNAL, AgentConfig, SourceSection
from producers.journal import Journal
from producers.layouts import Layouts
from producers.note import Note, read_note
from producers.source import Bounds, Capture, CaptureRow, Fault
from producers.status import Reporter
from schemas.records import Column, Layout
from tests.producers.captures import StillClock, change, chunk, streaming


class Told:
    """A source that yields what it is given, and raises what is among it; `ending` among it ends the agent."""

    def __init__(self, snapshot: list[Any], stream: list[Any], ending: threading.Event) -> None:
        self._snapshot, self._stream, self._ending = snapshot, stream, ending
        self.closed = 0

    def check(self) -> list[Fault]:
        return []

    def estimate(self, tables: frozenset[str], bounds: Bounds) -> int:
        raise SourceNotReadyError(f"{len(tables)} tables, {len(bounds)} bounds", "no estimate is no failure")

    def snapshot(self, *_: Any) -> Iterator[Capture]:
        return self._told(self._snapshot)

    def stream(self, _: str) -> Iterator[Capture]:
        return self._told(self._stream)

    def resnapshot(self, *_: Any) -> Iterator[Capture]:
        return iter([])

    def close(self) -> None:
        self.closed += 1

    def _told(self, what: list[Any]) -> Iterator[Capture]:
        while what:
            one = what.pop(0)
            if isinstance(one, FluxionError):
                raise one
            if one is self._ending:
                self._ending.set()
                return
            yield one


class Run:
    """Following in this thread, the journal's writer in another."""

    def __init__(self, home: Path) -> None:
        self.home, self.ending = home, threading.Event()
        self.snapshot: list[Any] = []
        self.stream: list[Any] = []
        clock = StillClock()
        self.source = Told(self.snapshot, self.stream, self.ending)
        self.context = Context(
            home=home,
            config=AgentConfig(
                system_id="s",
                epoch=1,
                source=SourceSection(host="h", port=1, user="u", database="d", tables=["items"]),
            ),
            clock=clock,
            ending=self.ending,
            written=threading.Event(),
            handover=Handover(self.ending),
            reporter=Reporter("s", "nowhere:1", lambda: 1, clock, self.ending),
            note=Note(home),
            layouts=Layouts(home),
            open_source=lambda: self.source,
            pause=lambda _: not self.ending.is_set(),
        )

    def follow(self) -> None:
        writer = threading.Thread(target=self._write)
        writer.start()
        try:
            Following(self.context).run()
        finally:
            self.ending.set()
            writer.join()

    def _write(self) -> None:
        journal = Journal(self.home / JOURNAL, self.context.clock)
        while (group := self.context.handover.take()) or not self.ending.is_set():
            journal.append(group)
            self.context.handover.stored(len(group))
        journal.close()

    def said(self, kind: str) -> list[str | None]:
        return [event.message for event in self.context.reporter._events if event.kind == kind]

    def journal(self) -> Journal:
        return Journal(self.home / JOURNAL, self.context.clock)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    Journal(tmp_path / JOURNAL, StillClock(), create=True).close()
    return Run(tmp_path)


@pytest.fixture
def streamed(tmp_path: Path) -> Run:
    streaming(tmp_path / JOURNAL).close()
    return Run(tmp_path)


def test_a_first_snapshot_that_a_person_must_mend_ends_the_agent_and_its_job_says_why(run: Run) -> None:
    run.snapshot += [chunk("s1", ["one"]), SourceNotReadyError("a row of items cannot be read", "correct it")]
    with pytest.raises(SourceNotReadyError):
        run.follow()
    assert run.said("job_failed") == run.said("source_error") == ["a row of items cannot be read"]
    journal = run.journal()
    left = journal.run()
    assert left is not None
    assert (left.position, left.rows) == ("s1", 1), "it goes on from there"
    journal.close()
    assert run.source.closed == 1


def test_a_stop_in_the_middle_of_the_first_snapshot_does_not_make_it_whole_and_streams_nothing(run: Run) -> None:
    run.snapshot += [chunk("s1", ["one"]), run.ending]
    run.stream += [change("p1", ["two"])]
    run.follow()
    journal = run.journal()
    assert journal.run() is not None
    assert journal.state().stream_position is None
    journal.close()
    assert len(run.stream) == 1
    assert run.said("job_finished") == []


def test_a_stop_while_the_source_is_opened_reads_nothing_and_closes_it(run: Run) -> None:
    def opened() -> Told:
        run.ending.set()
        return run.source

    run.context.open_source = opened
    run.snapshot += [chunk("s1", ["one"])]
    run.follow()
    assert len(run.snapshot) == 1
    assert run.source.closed == 1


def test_a_position_that_is_lost_while_the_agent_ends_asks_for_no_snapshot(streamed: Run) -> None:
    def lost(*_: Any) -> Iterator[Capture]:
        streamed.ending.set()
        raise PositionLostError("it was purged", "read it again")

    streamed.source.stream = lost  # type: ignore[method-assign,assignment] # one that is ended in this very moment
    streamed.follow()
    journal = streamed.journal()
    assert journal.run() is None
    assert journal.state().stream_position == "start", "the next start finds it out again"
    journal.close()
    assert streamed.said("position_lost") == ["it was purged"]


def test_tables_that_a_statement_changed_are_asked_for_before_its_position_is_stored(streamed: Run) -> None:
    streamed.stream += [msgspec.structs.replace(change("p1", ["two"]), resnapshot=["items"]), streamed.ending]
    streamed.follow()
    journal = streamed.journal()
    again = journal.run()
    assert again is not None
    assert (again.kind, again.tables) == ("again", ["items"])
    journal.close()


def test_a_deleted_row_of_which_only_the_key_is_told_is_no_change_of_its_table(streamed: Run) -> None:
    key_only = Layout("items", ["id"], [Column("id", "integer")])
    deletion = Capture("stream", "p2", [key_only], [CaptureRow(0, "d", None, ["1"])], [], 0)
    streamed.stream += [change("p1", ["two"]), deletion, change("p3", ["three"]), streamed.ending]
    streamed.follow()
    assert [event for event in streamed.context.reporter._events if event.kind == "schema_changed"] == []


def test_a_value_that_is_too_large_stays_behind_its_row_goes_on_and_that_is_said_once_a_column(
    streamed: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    large = "x" * (MAX_ROW_BYTES + 1)
    streamed.stream += [change("p1", [large, "two"]), change("p2", [large]), streamed.ending]
    streamed.follow()
    journal = streamed.journal()
    rows = [row.values for entry in journal.unshipped()[1:] for row in entry.capture.rows]
    assert rows == [["0"], ["1", "two"], ["0"]]
    journal.close()
    (event,) = [event for event in streamed.context.reporter._events if event.kind == "schema_changed"]
    assert (event.table, event.code) == ("items", "VALUE_TOO_LARGE")
    assert f"a value of {MAX_ROW_BYTES + 1} bytes in items.name is not sent" in str(event.message)
    assert event.mend
    assert capsys.readouterr().out.count("a large value is left out") == 1


def test_values_of_a_snapshot_that_are_too_large_stay_behind_too(run: Run) -> None:
    run.snapshot += [chunk("s1", ["x" * (MAX_ROW_BYTES + 1), "two"], end="items"), run.ending]
    run.follow()
    journal = run.journal()
    (entry,) = journal.unshipped()
    assert [row.values for row in entry.capture.rows] == [["0"], ["1", "two"]]
    journal.close()


def test_streaming_is_said_once_the_source_has_told_something(
    streamed: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = DependencyDownError("no line", "wait")
    streamed.stream += [lost, lost, change("p1", ["two"]), change("p2", ["three"]), streamed.ending]
    streamed.follow()
    said = [line for line in capsys.readouterr().out.splitlines() if "streaming" in line or "is lost" in line]
    assert [("streaming" in line, "is lost" in line) for line in said] == [(False, True), (False, True), (True, False)]
    assert "position=start" in said[-1]
    note = read_note(streamed.home)
    assert (note["doing"], note["reason"]) == ("streaming", None)


def test_a_source_that_is_lost_does_not_say_that_it_streams(streamed: Run) -> None:
    doing: list[str | None] = []

    def lost(*_: Any) -> Iterator[Capture]:
        doing.append(read_note(streamed.home).get("doing"))
        if len(doing) == 3:
            streamed.ending.set()
            return iter([])
        raise DependencyDownError("no line", "wait")

    streamed.source.stream = lost  # type: ignore[method-assign,assignment] # one that is never there
    streamed.follow()
    assert doing == [None, "lost", "lost"]


def test_a_snapshot_says_its_own_rows_and_whether_it_is_the_first(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.snapshot += [chunk("s1", ["a", "b"]), chunk("s2", ["c"], end="items")]
    gone = PositionLostError("it was purged", "read it again")
    run.stream += [change("p1", ["d", "e"]), gone]
    asked = iter([None])

    def snapshot(*_: Any) -> Iterator[Capture]:
        if next(asked, run) is not None:  # the second one
            run.snapshot.append(chunk("s3", ["f"], end="items"))
            run.stream.append(run.ending)
        return run.source._told(run.snapshot)

    run.source.snapshot = snapshot  # type: ignore[method-assign] # one that has another row later
    run.follow()
    whole = [line for line in capsys.readouterr().out.splitlines() if "a snapshot is whole" in line]
    assert ["rows=3" in whole[0], "what='the first snapshot'" in whole[0]] == [True, True], whole
    assert ["rows=1" in whole[1], "what='a new snapshot'" in whole[1]] == [True, True], whole
