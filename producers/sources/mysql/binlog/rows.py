"""Rows of one version of a table, by decoders compiled once."""

import struct
import zlib
from collections.abc import Callable
from operator import itemgetter
from typing import NoReturn

from fluxion.errors import DataValidationError, SourceNotReadyError
from producers.source import CaptureRow
from producers.sources.mysql.binlog import events
from producers.sources.mysql.binlog.decoders import decoder
from producers.sources.mysql.binlog.numbers import Decode
from producers.sources.mysql.binlog.table_map import TableMap
from schemas.records import Column, Layout, Op

Values = list[str | None]
Image = Callable[[bytes, int], tuple[Values, int]]

_BODY = events.HEADER + 8  # behind the table's number and the flags
_OPS: dict[int, Op] = {
    events.WRITE_ROWS: "c", events.UPDATE_ROWS: "u", events.DELETE_ROWS: "d",
    events.WRITE_ROWS_COMPRESSED: "c", events.UPDATE_ROWS_COMPRESSED: "u", events.DELETE_ROWS_COMPRESSED: "d",
}  # fmt: skip
_UNREADABLE = (IndexError, ValueError, struct.error, zlib.error)
_COMPRESSED = {events.WRITE_ROWS_COMPRESSED, events.UPDATE_ROWS_COMPRESSED, events.DELETE_ROWS_COMPRESSED}


class TableRows:
    """Reads the rows events behind one table map. table: its name as the template has it."""

    def __init__(self, map_: TableMap, table: str) -> None:
        _refuse_unusable(map_)
        decoders = [decoder(field) for field in map_.fields]
        names = [field.name for field in map_.fields]
        self.layout = Layout(
            table=table,
            key=list(map_.key),
            columns=[Column(name, one.type) for name, one in zip(names, decoders, strict=True)],
        )
        self._key = itemgetter(*(names.index(name) for name in map_.key))
        self._image = _image([one.decode for one in decoders], sum(1 << names.index(name) for name in map_.key))
        # What stands in front of rows with every column: their number, and a bitmap for each image.
        count, every = len(decoders), (1 << len(decoders)) - 1
        bitmap = every.to_bytes((count + 7) // 8, "little")
        self._whole_row = events.packed(count) + bitmap
        self._whole_change = self._whole_row + bitmap

    def read(self, event: bytes, layout: int) -> list[CaptureRow]:
        """Return the rows of an event; `layout` is what they carry as theirs. A changed key is a delete and a create."""
        op = _OPS[event[events.KIND]]
        at = self._first_row(event, self._whole_change if op == "u" else self._whole_row)
        if event[events.KIND] in _COMPRESSED:
            event = event[:at] + events.inflated(event[at:])
        when = events.timestamp_of(event) * 1_000_000
        try:
            read = self._changes(event, at, layout, when) if op == "u" else self._rows(event, at, layout, when, op)
        except _UNREADABLE as fault:
            self._unreadable(str(fault), fault)
        return read

    def _rows(self, event: bytes, at: int, layout: int, when: int, op: Op) -> list[CaptureRow]:
        image, end = self._image, len(event)
        rows = []
        while at < end:
            values, at = image(event, at)
            rows.append(CaptureRow(layout, op, when, values))
        if at != end:
            self._unreadable("it ends within a row")
        return rows

    def _changes(self, event: bytes, at: int, layout: int, when: int) -> list[CaptureRow]:
        image, key, end = self._image, self._key, len(event)
        rows = []
        while at < end:
            old, at = image(event, at)
            new, at = image(event, at)
            if key(old) == key(new):
                rows.append(CaptureRow(layout, "u", when, new))
            else:
                rows += (CaptureRow(layout, "d", when, old), CaptureRow(layout, "c", when, new))
        if at != end:
            self._unreadable("it ends within a row")
        return rows

    def _first_row(self, event: bytes, whole: bytes) -> int:
        """Return where the rows begin; SourceNotReadyError where their images lack columns."""
        if event.startswith(whole, _BODY):
            return _BODY + len(whole)
        raise SourceNotReadyError(
            f"the binary log has incomplete rows of {self.layout.table}",
            "SET GLOBAL binlog_row_image = FULL, see that no session sets another, then `fluxion agent resnapshot`",
        )

    def _unreadable(self, why: str, cause: Exception | None = None) -> NoReturn:
        message = f"a row of {self.layout.table} in the binary log cannot be read ({why})"
        raise DataValidationError(message, "correct the row in the source; a new snapshot passes over it") from cause


def _refuse_unusable(map_: TableMap) -> None:
    if not map_.has_names:
        message = f"the binary log has rows of {map_.table} without the columns' names"
        mend = "SET GLOBAL binlog_row_metadata = FULL and write it to my.cnf, then take a new snapshot"
        raise SourceNotReadyError(message, mend)
    if not map_.key:
        raise SourceNotReadyError(f"table {map_.table} has no primary key over whole columns", "give it one")


def _image(decoders: list[Decode], key: int) -> Image:
    """Return what reads one row image: a bitmap of the columns that are NULL, then the values of the others.

    key: the bits of the key's columns, which are never NULL: what says so is no row.
    """
    size = (len(decoders) + 7) // 8
    every = (1 << len(decoders)) - 1  # the bits behind the last column are set, too

    def image(event: bytes, at: int) -> tuple[Values, int]:
        start = at + size
        nulls = int.from_bytes(event[at:start], "little") & every
        at = start
        values: Values = []
        append = values.append
        if nulls & key:
            raise ValueError("its key is NULL")
        if nulls:
            for decode in decoders:
                if nulls & 1:
                    append(None)
                else:
                    value, at = decode(event, at)
                    append(value)
                nulls >>= 1
            return values, at
        for decode in decoders:
            value, at = decode(event, at)
            append(value)
        return values, at

    return image
