"""Events of the log: their kinds, their checksums, and the bodies of those that are not rows.

An event is 19 bytes of header (timestamp u32, kind u8, server id u32, length u32, end position u32, flags u16) and a body.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fluxion.errors import DataValidationError

HEADER: Final = 19
KIND: Final = 4  # where an event's kind stands

QUERY: Final = 2
STOP: Final = 3
ROTATE: Final = 4
INTVAR: Final = 5
RAND: Final = 13
USER_VAR: Final = 14
FORMAT_DESCRIPTION: Final = 15
XID: Final = 16
EXECUTE_LOAD_QUERY: Final = 18
TABLE_MAP: Final = 19
WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS = 23, 24, 25
INCIDENT: Final = 26
HEARTBEAT: Final = 27
XA_PREPARE: Final = 38
ANNOTATE_ROWS, BINLOG_CHECKPOINT, GTID, GTID_LIST, START_ENCRYPTION = 160, 161, 162, 163, 164
QUERY_COMPRESSED: Final = 165
WRITE_ROWS_COMPRESSED, UPDATE_ROWS_COMPRESSED, DELETE_ROWS_COMPRESSED = 166, 167, 168

ROWS = frozenset({*range(WRITE_ROWS, DELETE_ROWS + 1), *range(WRITE_ROWS_COMPRESSED, DELETE_ROWS_COMPRESSED + 1)})
STATEMENTS = frozenset({QUERY, QUERY_COMPRESSED, EXECUTE_LOAD_QUERY})
# What says nothing of our tables: the log's own affairs, and (5, 13, 14, 9, 11, 17) what goes with a statement.
SILENT: Final = frozenset(
    {STOP, INTVAR, RAND, USER_VAR, 9, 11, 17, FORMAT_DESCRIPTION, ANNOTATE_ROWS, BINLOG_CHECKPOINT, GTID_LIST, START_ENCRYPTION}
)  # fmt: skip

# A transaction's flags in its GTID event.
STANDALONE, TRANSACTIONAL = 1, 4

_IGNORABLE = 0x80
_CHECKSUM = 4
_CHECKSUM_OFF = 0
# The CRC-32 of any bytes that are followed by their own CRC-32.
_RESIDUE = 0x2144DF1C
_END, _FLAGS = struct.Struct("<I"), struct.Struct("<H")
_GTID = struct.Struct("<QIB")
_QUERY = struct.Struct("<IIBHH")
_TWO_BYTES_FOLLOW = 0xFC  # in front of an integer; 0xFB stands for NULL elsewhere
_LOADED_FILE = 13  # bytes more in the header of EXECUTE_LOAD_QUERY


@dataclass(frozen=True)
class Gtid:
    """The head of a transaction. text: `domain-server-sequence`."""

    domain: int
    text: str
    standalone: bool
    transactional: bool


@dataclass(frozen=True)
class Query:
    """A statement as it was given, and the database that was in use."""

    database: str
    text: str


def verified(packets: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """Pass events on without their checksums; DataValidationError where one does not fit. None passes.

    Which events have one is told by the description at the head of each file, which always has one itself. Before it,
    all do: that is what `dump` asks for.
    """
    checked = True
    for packet in packets:
        if packet is None:
            yield None
            continue
        described = packet[KIND] == FORMAT_DESCRIPTION
        if (checked or described) and zlib.crc32(packet) != _RESIDUE:
            message = f"an event of the binary log (kind {packet[KIND]}, to offset {end_of(packet)}) is damaged: its checksum does not fit"
            raise DataValidationError(message, "it is read again; if it stays, a new snapshot passes over it")
        if described:
            checked = packet[-_CHECKSUM - 1] != _CHECKSUM_OFF
        yield packet[:-_CHECKSUM] if checked or described else packet


def end_of(event: bytes) -> int:
    """Return the position behind an event in its file, modulo 2**32; 0 where it stands in none."""
    (end,) = _END.unpack_from(event, 13)
    return int(end)


def timestamp_of(event: bytes) -> int:
    """Return when the event's statement began, in seconds since 1970."""
    (seconds,) = _END.unpack_from(event)
    return int(seconds)


def is_ignorable(event: bytes) -> bool:
    """Tell whether a reader that does not know this kind of event may leave it out."""
    (flags,) = _FLAGS.unpack_from(event, 17)
    return bool(flags & _IGNORABLE)


def gtid(event: bytes) -> Gtid:
    """Read a GTID event."""
    sequence, domain, flags = _GTID.unpack_from(event, HEADER)
    (server,) = _END.unpack_from(event, 5)
    return Gtid(domain, f"{domain}-{server}-{sequence}", bool(flags & STANDALONE), bool(flags & TRANSACTIONAL))


def rotation(event: bytes) -> str:
    """Return the name of the file that follows."""
    return event[HEADER + 8 :].decode()


def query(event: bytes) -> Query:
    """Read a statement, compressed or not, also one that loads a file."""
    _, _, database_size, _, status_size = _QUERY.unpack_from(event, HEADER)
    at = HEADER + _QUERY.size + status_size + (_LOADED_FILE if event[KIND] == EXECUTE_LOAD_QUERY else 0)
    database, statement = event[at : at + database_size], event[at + database_size + 1 :]
    if event[KIND] == QUERY_COMPRESSED:
        statement = inflated(statement)
    return Query(_text(database), _text(statement))


def inflated(raw: bytes) -> bytes:
    """Return what a compressed event holds: a byte 0x80 + n, n bytes of the original length, a zlib stream."""
    return zlib.decompress(raw[1 + (raw[0] & 0x07) :])


def packed_int(event: bytes, at: int) -> tuple[int, int]:
    """Read a length-encoded integer; return it and the place behind it."""
    first = event[at]
    if first < _TWO_BYTES_FOLLOW - 1:
        return first, at + 1
    size = {_TWO_BYTES_FOLLOW: 2, 0xFD: 3, 0xFE: 8}[first]
    end = at + 1 + size
    return int.from_bytes(event[at + 1 : end], "little"), end


def packed(number: int) -> bytes:
    """Return a number below 65,536 as a length-encoded integer."""
    if number < _TWO_BYTES_FOLLOW - 1:
        return bytes([number])
    return bytes([_TWO_BYTES_FOLLOW]) + number.to_bytes(2, "little")


def _text(raw: bytes) -> str:
    """Read a statement: it stands in the log in its writer's own character set, which is Unicode or about latin1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
