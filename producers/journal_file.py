"""The journal's file: opened, upgraded, checked, set aside where it is damaged; SQLite's errors become ours here.

A damaged file cannot be renamed while other threads hold it open (Windows), and a thread that comes late must not take a
fresh file for the old one. So who finds damage leaves a note beside the file and raises JournalSetAsideError; the agent ends
its threads and calls `prepare`, which does the rest.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from fluxion.errors import ConfigurationError, DependencyDownError, ErrorClass, FluxionError, Retry
from fluxion.log import get_logger
from producers.journal_formats import upgrade
from producers.retention import LOG_BYTES

_BUSY_TIMEOUT_S = 30.0
# secure_delete, which some distributions have on, would write every page that is freed once more.
# Entries are written once and read once: the cache of 2 MB that each of five connections would fill is of no use.
_PRAGMAS = ("journal_mode = wal", "synchronous = full", "secure_delete = off", "cache_size = -256")
# Every start leaves out this many row numbers: a disk that lied, or a copy that was put back, may have lost the last
# commits, and their numbers may be in Kafka already. 2^47 numbers are enough for a hundred million starts.
NUMBERS_LEFT_OUT = 1 << 20

# -wal and -shm get the mode of the file itself (https://sqlite.org/src/doc/trunk/src/os_unix.c, findCreateFileMode).
_OWNER_ONLY = 0o600

Reason = Literal["damaged", "copy"]
_MEANINGS: dict[Reason, str] = {
    "damaged": "rows that were not shipped yet are in it only; a new journal takes a new snapshot",
    "copy": "the cloud knows more of this journal than the file: a newer copy of it has shipped; a new journal takes a new snapshot",
}


class JournalFullError(DependencyDownError):
    """Unshipped entries fill the journal's budget, or the disk is full. The source waits; it goes on by itself."""

    code = "JOURNAL_FULL"


class JournalSetAsideError(FluxionError):
    """The journal cannot be gone on with. End every thread that uses it, call `prepare`, begin anew: a first run is needed."""

    code = "JOURNAL_SET_ASIDE"
    error_class = ErrorClass.CONNECTION
    retry = Retry.SOON
    exit_code = 70


def prepare(path: Path) -> Path | None:
    """Make the journal at `path` ready, while nothing else has it open: the agent's first step, and after JournalSetAsideError.

    Creates what is missing, upgrades an older format, checks the pages of the file, leaves numbers out. Returns where a
    file that was damaged, or a restored copy, was set aside: the journal is then a new one, with an id of its own.
    """
    aside = _set_aside(path, *_noted(path)) if _note(path).exists() else None
    try:
        _open_whole(path)
    except JournalSetAsideError:
        aside = _set_aside(path, *_noted(path))
        _open_whole(path)
    return aside


def _open_whole(path: Path) -> None:
    _keep_private(path)
    with closing(JournalFile(path)) as file, file.translated():
        (said,) = file.link.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            raise note_for_setting_aside(path, "damaged", said)
        file.link.execute("update state set next_number = next_number + ? where last_sequence > 0", [NUMBERS_LEFT_OUT])
        file.link.execute("update shipped set baseline = coalesce(baseline, (select last_sequence from state))")


def _keep_private(path: Path) -> None:
    """What an older agent left readable for others: sales stand in it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):  # not there, or somebody else's: then SQLite says what is wrong
            path.with_name(path.name + suffix).chmod(_OWNER_ONLY)


def note_for_setting_aside(path: Path, reason: Reason, detail: str) -> JournalSetAsideError:
    """Leave the note that makes `prepare` set the file aside, and return the error to raise."""
    # A disk that is full may refuse it; then the file's own check finds the damage again.
    try:
        _note(path).write_text(f"{reason}\n{detail}", encoding="utf-8")
    except OSError as fault:
        get_logger().warning("no note could be left beside the journal", path=str(path), reason=str(fault))
    return JournalSetAsideError(f"the journal {path} is set aside ({detail}): {_MEANINGS[reason]}", "nothing to do")


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".set-aside")


def _noted(path: Path) -> tuple[Reason, str]:
    reason, _, detail = (
        _note(path).read_text(encoding="utf-8").partition("\n") if _note(path).exists() else ("", "", "")
    )
    return ("copy" if reason == "copy" else "damaged"), detail


def _set_aside(path: Path, reason: Reason, detail: str) -> Path:
    """Rename the file with its -wal and -shm, so that they still fit each other."""
    number = 1
    while (target := path.with_name(f"{path.name}.{reason}-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):  # the file itself last: a crash in between is found by its missing log
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))
    _note(path).unlink(missing_ok=True)
    get_logger().error("the journal was set aside", file=str(target), reason=detail, meaning=_MEANINGS[reason])
    return target


class JournalFile:
    """A connection to the journal's file, in the present format. `close` it in the thread that made it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with suppress(OSError):  # SQLite says what is wrong
            path.touch(_OWNER_ONLY)
        with self.translated():
            self.link = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            try:
                for words in (*_PRAGMAS, f"journal_size_limit = {LOG_BYTES}"):
                    self.link.execute(f"pragma {words}")
                upgrade(self.link)
            except BaseException:
                self.link.close()
                raise

    def close(self) -> None:
        """Close the connection; the last one writes the log back into the file."""
        self.link.close()

    def one(self, query: str, *values: Any) -> Any:
        """Return the first row, or None."""
        return self.link.execute(query, values).fetchone()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block writes, or nothing of it."""
        with self.translated():
            self.link.execute("begin immediate")
            try:
                yield
                self.link.execute("commit")
            except BaseException:
                if self.link.in_transaction:
                    self.link.execute("rollback")
                raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise SQLite's errors, and those of reading back what was stored, as ours."""
        try:
            yield
        except msgspec.DecodeError as fault:
            raise note_for_setting_aside(self.path, "damaged", str(fault)) from fault
        except ConfigurationError as fault:
            raise ConfigurationError(f"{self.path}: {fault.message}", fault.mend) from None
        except sqlite3.DatabaseError as fault:
            known = self._translate(fault)
            if known is None:
                raise
            raise known from fault

    def _translate(self, fault: sqlite3.DatabaseError) -> FluxionError | None:
        kind = getattr(fault, "sqlite_errorcode", 0) & 0xFF  # the primary code; none where the module itself complains
        if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return note_for_setting_aside(self.path, "damaged", str(fault))
        if kind == sqlite3.SQLITE_FULL:
            message = f"the disk of the journal {self.path} is full"
            return JournalFullError(message, "make room on the disk; the source waits and goes on by itself")
        if isinstance(fault, sqlite3.OperationalError):  # locked, unreadable, read-only
            message = f"the journal {self.path} cannot be written or read ({fault})"
            return DependencyDownError(message, "give the agent its folder")
        return None
