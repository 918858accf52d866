"""The keys of the rows that are known downstream, in an SQLite file: what is missing in the table was deleted.

The file is scratch: where it is lost, or older than a position, the tables are read again and it is filled anew.
"""

import json
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fluxion.errors import DependencyDownError
from fluxion.log import get_logger

_BATCH = 500
# Durable before the journal is: a key that the journal knows and this file has forgotten would be a deletion that nobody tells.
_PRAGMAS = ("journal_mode = wal", "synchronous = full", "cache_size = -2000", "temp_store = file")
_SCHEMA = """
create table if not exists about (id text not null, generation integer not null);
create table if not exists keys (
  place text not null, key text not null, seen integer not null, gone integer, primary key (place, key)
) without rowid;
create index if not exists gone on keys (gone) where gone is not null;
create temp table present (key text primary key) without rowid;
"""
_PUT = "insert into keys values (?, ?, ?, null) on conflict do update set seen = excluded.seen, gone = null"
_LEARN = """
insert into keys select ?, key, ?, null from temp.present where true
on conflict do update set gone = null where gone is not null
"""
_MISSING = """
select key from keys where place = ? and key > ? and gone is null and seen < ?
and not exists (select 1 from temp.present where present.key = keys.key) order by key limit ?
"""
_MARK = "update keys set gone = ? where place = ? and key = ?"
_MARK_ALL = "update keys set gone = ? where place = ? and gone is null and seen < ?"
_COUNT = "select count(*) from keys where place = ? and gone is null"

Values = list[str | None]


class Keys:
    """Opened at its first use. Each call is one transaction; safe from several threads.

    A key belongs to a `place`, a table with the columns of its key. `seen`: the generation, which is the number of a
    comparison, in which it was last read; `gone`: the one that missed it. A mark is kept until a stream starts behind it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._link: sqlite3.Connection | None = None

    @property
    def id(self) -> str:
        """What tells this file from one that was lost."""
        with self._opened() as link:
            return _about(link)[0]

    @property
    def generation(self) -> int:
        """The number of the last comparison."""
        with self._opened() as link:
            return _about(link)[1]

    def begin(self, ident: str, generation: int) -> None:
        """Begin behind a position: what was gone by its generation is told, what was missed later is to be told again.

        A file that has not all that the position has told, being another or an older one, gets an id of its own.
        """
        with self._opened() as link:
            known, reached = _about(link)
            if ident == known and reached >= generation:
                link.execute("delete from keys where gone <= ?", (generation,))
            else:
                link.execute("update about set id = ?, generation = max(generation, ?)", (uuid.uuid4().hex, generation))
            link.execute("update keys set gone = null where gone is not null")

    def next_generation(self, last: int) -> int:
        """Count a comparison, before it opens its view of the data: what is put from now on, it may not have in view.

        last: the caller's own last one. What somebody else has missed since (`fluxion agent check`, who tells nobody) is
        missed again.
        """
        with self._opened() as link:
            link.execute("update keys set gone = null where gone > ?", (last,))
            link.execute("update about set generation = generation + 1")
            return _about(link)[1]

    def put(self, place: str, keys: Iterable[Values]) -> None:
        """Know these keys of a place."""
        with self._opened() as link:
            _, generation = _about(link)
            link.executemany(_PUT, [(place, _text(key), generation) for key in keys])

    def count(self, place: str) -> int:
        """Return how many keys are known and not gone."""
        with self._opened() as link:
            ((count,),) = link.execute(_COUNT, (place,)).fetchall()
            return int(count)

    def compare(self, place: str, present: Iterable[Sequence[Values]], generation: int) -> Iterator[list[Values]]:
        """Yield the known keys that are not `present`, by the batch, each marked as gone before it is yielded.

        Those that are present and were not known are known from then on.
        """
        with self._opened() as link:
            link.execute("delete from temp.present")
        for keys in present:
            with self._opened() as link:
                link.executemany("insert or ignore into temp.present values (?)", [(_text(key),) for key in keys])
        with self._opened() as link:
            link.execute(_LEARN, (place, generation))
        last = ""
        while True:
            with self._opened() as link:
                found = [key for (key,) in link.execute(_MISSING, (place, last, generation, _BATCH))]
                link.executemany(_MARK, [(generation, place, key) for key in found])
            if not found:
                return
            last = found[-1]
            yield [json.loads(key) for key in found]

    def empty(self, place: str, generation: int) -> bool:
        """Mark every key of a place as gone; tell whether there was one."""
        with self._opened() as link:
            return link.execute(_MARK_ALL, (generation, place, generation)).rowcount > 0

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._link is None:
                    self._open()
                assert self._link is not None  # noqa: S101 -- opened above
                self._link.execute("begin immediate")
                yield self._link
                self._link.execute("commit")
            except BaseException as fault:  # (a transaction is never left open)
                self._leave(fault)
                if not isinstance(fault, sqlite3.Error | OSError):
                    raise
                where = self._path or "a temporary file"
                message = f"the keys of the tables' rows cannot be kept in {where} ({fault})"
                raise DependencyDownError(message, "free space on its disk, or let the agent write there") from fault

    def _open(self) -> None:
        if self._path is not None:
            self._path.touch(mode=0o600)
        link = sqlite3.connect(self._path or "", timeout=10, isolation_level=None, check_same_thread=False)
        self._link = link
        weakref.finalize(self, link.close)
        for pragma in _PRAGMAS:
            link.execute(f"pragma {pragma}")
        link.executescript(_SCHEMA)
        link.execute("begin immediate")
        link.execute("insert into about select ?, 0 where not exists (select 1 from about)", (uuid.uuid4().hex,))
        link.execute("commit")

    def _leave(self, fault: BaseException) -> None:
        """Close the file; where it is damaged, delete it: another one, with another id, has the tables read again."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._path is not None and type(fault) is sqlite3.DatabaseError:
            get_logger().warning("the file of keys is damaged, so the tables are read again", reason=str(fault))
            for suffix in ("-wal", "-shm", ""):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)


def _about(link: sqlite3.Connection) -> tuple[str, int]:
    ((ident, generation),) = link.execute("select id, generation from about").fetchall()
    return str(ident), int(generation)


def _text(key: Values) -> str:
    return json.dumps(key, ensure_ascii=False, separators=(",", ":"))
