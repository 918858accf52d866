"""Where we are in what a database's Change Data Capture has recorded."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from fluxion.errors import PositionLostError
from producers.source import Position
from producers.sources.sqlserver.identity import MEND, Identity
from producers.sources.sqlserver.position import decoded

LSN_BYTES = 10
NO_LSN = bytes(LSN_BYTES)
_LSN = re.compile(rf"[0-9a-f]{{{2 * LSN_BYTES}}}")


class Captured(Struct, frozen=True, array_like=True):
    """The capture instance from which a table's changes behind the position come, as it was when the position was taken.

    table, source: the objects that keep the changes, and whose they are. created: local time of the server. start: the
    instance's least LSN, in hexadecimal. It may lie above the position: right after the instance was made, or where the
    table was read again because its changes were not whole.
    """

    instance: str
    table: int
    source: int
    created: str
    start: str


class CapturedPosition(Struct, frozen=True, tag_field="method", tag="cdc"):
    """Behind the changes of the transaction `lsn` (in hexadecimal), in every table."""

    database: Identity
    lsn: str
    tables: dict[str, Captured]

    @property
    def number(self) -> bytes:
        """The LSN as SQL Server has it."""
        return bytes.fromhex(self.lsn)

    def text(self) -> Position:
        """Return the position as the journal keeps it."""
        return msgspec.json.encode(self).decode()


def parse_captured(position: Position) -> CapturedPosition:
    """Read `CapturedPosition.text` back; PositionLostError for anything else, such as a position of another method."""
    try:
        found: Any = msgspec.json.decode(position)
    except msgspec.DecodeError:
        found = None
    if isinstance(found, dict) and "database" in found and found.get("method") != "cdc":
        raise PositionLostError("the stored position was taken by another method than Change Data Capture", MEND)
    read = decoded(position, CapturedPosition)
    if not _LSN.fullmatch(read.lsn):
        raise PositionLostError(f"the stored position cannot be read ({read.lsn!r} is no LSN)", MEND)
    return read


def next_lsn(lsn: bytes) -> bytes:
    """Return the least LSN above one."""
    return (int.from_bytes(lsn) + 1).to_bytes(LSN_BYTES)


def lsn_before(lsn: bytes) -> bytes:
    """Return the greatest LSN below one."""
    return (int.from_bytes(lsn) - 1).to_bytes(LSN_BYTES)
