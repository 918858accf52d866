"""What the journal keeps: unshipped entries always, acknowledged ones for 7 days or until the budget needs their room.

Pages that become free are used again; none are given back to the disk. So the file grows once, up to its budget at most, and
the room that an outage will need is already its own; giving pages back would move pages with every append.
"""

import sqlite3
from pathlib import Path

KEPT_MICROS = 7 * 24 * 3600 * 1_000_000
DEFAULT_BUDGET = 2 * 1024**3
MIN_BUDGET = 64 * 1024**2
LOG_BYTES = 8 * 1024**2  # the write-ahead log's share; SQLite cuts it back to this after a larger transaction
# What the log may hold already when a transaction comes: SQLite writes it back after 1,000 pages.
_LOGGED_BYTES = 4 * 1024**2 + 256 * 1024

# An entry's columns, its pages' ends and the pages above them: generously.
_ENTRY_BYTES = 512
_PAGE_SHARE = 1.15
# What one append looks at for its age; more than it adds, so that the sweep keeps up.
_LOOKED_AT = 16
# What one append frees at most beyond what it needs: a budget that was lowered is reached step by step.
_FREED_AT_ONCE = 8 * 1024 * 1024

# The last acknowledged entry stays: a rewind goes on behind it.
_KEPT = "select acknowledged from shipped"


def bytes_on_disk(path: Path) -> int:
    """Return what the journal takes on the disk: its file, free pages too, and its write-ahead log."""
    return path.stat().st_size + _log_bytes(path)


def sweep_old(link: sqlite3.Connection, now: int, appended: int) -> None:
    """Delete acknowledged entries older than 7 days, oldest first, a few more than were `appended`.

    By the store's clock, which may lie: then they go earlier or later, and unshipped ones never.
    """
    link.execute(
        "delete from entries where sequence in"  # noqa: S608 -- no value is put in
        " (select sequence from (select sequence, stored_at from entries order by sequence limit ?)"
        f"  where stored_at < ? and sequence < ({_KEPT}))",
        [_LOOKED_AT + 2 * appended, now - KEPT_MICROS],
    )


def make_room(link: sqlite3.Connection, budget: int, bodies: list[int]) -> bool:
    """Free what storing bodies of these sizes needs, oldest acknowledged entries first; False where it cannot be had.

    What is stored stands in the log before it stands in the file, so the log has a share of its own. Work is bounded: while
    there is more than the budget allows, each append frees a little more than it takes.
    """
    need = _room_for(bodies)
    missing = _in_use(link) + need - (budget - max(LOG_BYTES, _LOGGED_BYTES + need))
    if missing <= 0:
        return True
    freed = free_oldest(link, min(missing, need + _FREED_AT_ONCE))
    return freed >= min(missing, need)


def free_oldest(link: sqlite3.Connection, wanted: int) -> int:
    """Delete acknowledged entries, oldest first, until `wanted` bytes are free; return how many are."""
    freed, last = 0, None
    query = f"select sequence, byte_count from entries where sequence < ({_KEPT}) order by sequence"  # noqa: S608 -- as above
    for sequence, size in link.execute(query):
        if freed >= wanted:
            break
        freed, last = freed + size, sequence
    if last is not None:
        link.execute("delete from entries where sequence <= ?", [last])
    return freed


def _room_for(bodies: list[int]) -> int:
    return int(sum(bodies) * _PAGE_SHARE) + _ENTRY_BYTES * len(bodies)


def _in_use(link: sqlite3.Connection) -> int:
    """Bytes of the pages in use: free ones will be used again before the file grows."""
    pages, free, size = (
        link.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _log_bytes(path: Path) -> int:
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0
