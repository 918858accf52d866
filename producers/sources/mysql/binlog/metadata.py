"""The optional metadata of a table map (binlog_row_metadata): names, key, signs, character sets and labels of the columns.

They come as (kind u8, length, value); most are lists over the columns of one sort only: numeric, text, ENUM and SET, ….
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from producers.sources.mysql.binlog.events import packed_int

Labels = tuple[bytes, ...]


class _Kind(IntEnum):
    """The server's enum Optional_metadata_field_type, as far as it is of use to us."""

    SIGNEDNESS = 1
    DEFAULT_CHARSET = 2
    COLUMN_CHARSET = 3
    COLUMN_NAME = 4
    SET_LABELS = 5
    ENUM_LABELS = 6
    SIMPLE_PRIMARY_KEY = 8
    LABELS_DEFAULT_CHARSET = 10
    LABELS_COLUMN_CHARSET = 11


@dataclass(frozen=True)
class Collations:
    """Collation numbers by a column's place among those that have one: a default and what differs, or all of them."""

    default: int = 0
    others: dict[int, int] = field(default_factory=dict)

    def at(self, place: int) -> int:
        """Return the number of one column; 0 where the log does not say."""
        return self.others.get(place, self.default)


@dataclass
class Metadata:
    """What a table map says beside the types.

    names: of every column, or empty. key: indexes of the primary key's columns; empty where there is none, or one over
    parts of columns. unsigned: of the numeric columns. texts, labelled: of text columns; of ENUM and SET columns.
    """

    names: list[str] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    unsigned: list[bool] = field(default_factory=list)
    texts: Collations = Collations()
    labelled: Collations = Collations()
    enums: list[Labels] = field(default_factory=list)
    sets: list[Labels] = field(default_factory=list)


def metadata(event: bytes, at: int) -> Metadata:
    """Read the metadata from `at` to the end of the event; what is of no use to us is passed over."""
    found = Metadata()
    while at < len(event):
        kind = event[at]
        size, at = packed_int(event, at + 1)
        _take(found, kind, event[at : at + size])
        at += size
    return found


def _take(found: Metadata, kind: int, value: bytes) -> None:
    match kind:
        case _Kind.SIGNEDNESS:
            found.unsigned = [bit == "1" for byte in value for bit in f"{byte:08b}"]
        case _Kind.DEFAULT_CHARSET:
            found.texts = _differing(value)
        case _Kind.COLUMN_CHARSET:
            found.texts = _each(value)
        case _Kind.COLUMN_NAME:
            found.names = [name.decode() for name in _texts(value)]
        case _Kind.SET_LABELS:
            found.sets = list(_labels(value))
        case _Kind.ENUM_LABELS:
            found.enums = list(_labels(value))
        case _Kind.SIMPLE_PRIMARY_KEY:
            found.key = list(_ints(value))
        case _Kind.LABELS_DEFAULT_CHARSET:
            found.labelled = _differing(value)
        case _Kind.LABELS_COLUMN_CHARSET:
            found.labelled = _each(value)


def _differing(value: bytes) -> Collations:
    default, *pairs = _ints(value)
    return Collations(default, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def _each(value: bytes) -> Collations:
    return Collations(0, dict(enumerate(_ints(value))))


def _ints(value: bytes) -> Iterator[int]:
    at = 0
    while at < len(value):
        number, at = packed_int(value, at)
        yield number


def _texts(value: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(value):
        size, at = packed_int(value, at)
        yield value[at : at + size]
        at += size


def _labels(value: bytes) -> Iterator[Labels]:
    at = 0
    while at < len(value):
        count, at = packed_int(value, at)
        labels = []
        for _ in range(count):
            size, at = packed_int(value, at)
            labels.append(value[at : at + size])
            at += size
        yield tuple(labels)
