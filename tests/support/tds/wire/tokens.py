"""The server's token stream (MS-TDS 2.2.7)."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from tests.support.tds.errors import SqlError
from tests.support.tds.instance import SERVER_NAME
from tests.support.tds.results import Column, Result
from tests.support.tds.types import SqlType
from tests.support.tds.wire.encode import encoder, type_info

DONE, DONE_PROC, DONE_IN_PROC = 0xFD, 0xFE, 0xFF
DONE_BYTES = 13
MORE, ERROR, COUNT, ATTENTION = 0x01, 0x02, 0x10, 0x20
SELECTED, CALLED = 0xC1, 0xE0  # the command that a DONE ends
ENV_DATABASE, ENV_LANGUAGE, ENV_PACKET_SIZE, ENV_COLLATION = 1, 2, 4, 7
ENV_BEGIN, ENV_COMMIT, ENV_ROLLBACK, ENV_RESET = 8, 9, 10, 18
ROWVERSION_USER_TYPE = 80


def b_varchar(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("utf-16-le")


def error(failure: SqlError) -> bytes:
    return _message(0xAA, failure.number, failure.message, failure.severity, failure.state)


def info(number: int, text: str) -> bytes:
    return _message(0xAB, number, text, 0, 1)


def _message(token: int, number: int, text: str, severity: int, state: int) -> bytes:
    body = struct.pack("<iBB", number, state, severity) + struct.pack("<H", len(text)) + text.encode("utf-16-le")
    body += b_varchar(SERVER_NAME) + b_varchar("") + struct.pack("<i", 1)
    return struct.pack("<BH", token, len(body)) + body


def env_change(kind: int, new: bytes, old: bytes) -> bytes:
    body = bytes((kind,)) + new + old
    return struct.pack("<BH", 0xE3, len(body)) + body


def database_change(new: str, old: str) -> bytes:
    change = env_change(ENV_DATABASE, b_varchar(new), b_varchar(old))
    return change + info(5701, f"Changed database context to '{new}'.")


def done(token: int, status: int = 0, command: int = 0, count: int = 0) -> bytes:
    return struct.pack("<BHHQ", token, status, command, count)


def failed(failure: SqlError) -> bytes:
    """The end of a batch that an error ended."""
    return error(failure) + done(DONE, ERROR)


def return_value(name: str, value: int) -> bytes:
    """An output parameter; drivers ask for an int only, the handle of a prepared statement."""
    kind = SqlType("int")
    head = struct.pack("<BH", 0xAC, 0) + b_varchar(name) + struct.pack("<BIH", 1, 0, 0)
    return head + type_info(kind) + encoder(kind)[0](value)


def results(outcomes: Iterable[Result], token: int, database: str) -> bytes:
    """The token stream of a batch that began in `database`; every DONE says MORE, `close` ends the stream."""
    out = bytearray()
    for outcome in outcomes:
        for text in outcome.messages:
            out += info(0, text)
        if outcome.database is not None:
            out += database_change(outcome.database, database)
        if outcome.columns is not None:
            out += _columns(outcome.columns) + _rows(outcome.columns, outcome.rows)
            out += done(token, MORE | COUNT, SELECTED, len(outcome.rows))
        else:
            counted = 0 if outcome.rowcount is None else COUNT
            out += done(token, MORE | counted, 0, outcome.rowcount or 0)
    return bytes(out)


def close(stream: bytes) -> bytes:
    """Clear MORE on the last DONE of a batch, or add a DONE."""
    last = len(stream) - DONE_BYTES
    if last >= 0 and stream[last] == DONE and stream[last + 1] & MORE:
        return stream[: last + 1] + bytes((stream[last + 1] & ~MORE,)) + stream[last + 2 :]
    return stream + done(DONE)


def _columns(columns: Sequence[Column]) -> bytes:
    """COLMETADATA."""
    parts = []
    for column in columns:
        flags = int(column.nullable) | 8 | (0x10 if column.identity else 0)
        user_type = ROWVERSION_USER_TYPE if column.type.name == "rowversion" else 0
        parts.append(struct.pack("<IH", user_type, flags) + type_info(column.type) + b_varchar(column.name))
    return struct.pack("<BH", 0x81, len(parts)) + b"".join(parts)


def _rows(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> bytes:
    encoders = [encoder(column.type) for column in columns]
    out = bytearray()
    for row in rows:
        out.append(0xD1)
        for (encode, null), value in zip(encoders, row, strict=True):
            out += null if value is None else encode(value)
    return bytes(out)
