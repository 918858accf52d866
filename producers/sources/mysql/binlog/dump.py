"""The connection on which the server sends its log: opened by mysql-replication, read as raw packets."""

import secrets
import socket
from collections.abc import Callable, Iterator
from typing import Any

from pymysql.err import raise_mysql_exception
from pymysqlreplication import BinLogStreamReader

from fluxion.errors import DependencyDownError
from producers.sources.mysql.connection import Link, Links, translated

HEARTBEAT_S = 2
# How long we wait for bytes before we say that none came; a heartbeat would have.
PATIENCE_S = 3.0
# A line that is silent for so long is dead. The server sends no heartbeat while it looks for our place in its files.
SILENCE_S = 60.0
_RECEIVE = 64 * 1024
_OUR_IDS = 1 << 30
# As every connection of ours; and that we know checksums, for the server may turn them on at any time.
_SETTINGS = "set session time_zone = '+00:00', session sql_mode = '', @master_binlog_checksum = 'CRC32'"

# A packet: length u24, number u8, status u8 (in the first of several), bytes.
_HEAD, _MORE_FOLLOWS = 4, 0xFFFFFF
_OK, _ENDED, _ERROR = 0x00, 0xFE, 0xFF

_AGAIN = "it is tried again"

Receive = Callable[[], bytes | None]


class Dump:
    """The log behind `gtid` (one GTID a domain, comma-separated). Made, it is connected; raises FluxionError only."""

    def __init__(self, links: Links, gtid: str) -> None:
        self._links = links
        self._opened: list[Link] = []
        reader = BinLogStreamReader(
            connection_settings={},
            # The server ends an older reader with the same id; any that is not its own serves.
            server_id=_OUR_IDS + secrets.randbelow(_OUR_IDS),
            pymysql_wrapper=self._open,
            blocking=True,
            is_mariadb=True,
            auto_position=gtid,
            slave_heartbeat=HEARTBEAT_S,
            enable_logging=False,
        )
        try:
            with translated(links.config):
                # Handshake, login, settings and the command are the library's; it has no public way to stop before events.
                reader._BinLogStreamReader__connect_to_stream()  # noqa: SLF001
        except BaseException:
            self.drop()
            raise

    def packets(self) -> Iterator[bytes | None]:
        """Yield events as they are sent, for ever; None where nothing came for `PATIENCE_S`.

        Raises DependencyDownError where the line is lost or silent for too long, pymysql's error where the server sends one.
        """
        sock: socket.socket = self._opened[0]._sock  # type: ignore[attr-defined] # noqa: SLF001 -- there is no public way to it
        # The connection's own buffered file is of no use: it cannot be read any more once a read has timed out.
        sock.settimeout(PATIENCE_S)
        return split(_receiver(sock))

    def drop(self) -> None:
        """Close the connection."""
        for link in self._opened:
            self._links.drop(link)

    def _open(self, **_library: Any) -> Link:
        """Stand in for pymysql.connect."""
        link = self._links.open(init_command=_SETTINGS)
        self._opened.append(link)
        return link


def split(receive: Receive) -> Iterator[bytes | None]:
    """Cut what is received into events, without the status in front; None where `receive` returns None."""
    held, at = b"", 0
    number = 1
    parts: list[bytes] = []
    while True:
        start = at + _HEAD
        size = int.from_bytes(held[at : at + 3], "little")
        end = start + size
        if len(held) < start or len(held) < end:
            missing = (start if len(held) < start else end) - len(held)
            pieces = [held[at:]]
            while missing > 0:
                if (more := receive()) is None:
                    yield None
                else:
                    pieces.append(more)
                    missing -= len(more)
            held, at = b"".join(pieces), 0
            continue
        if not parts:
            _refuse_status(held[start:end])
            start += 1
        if held[at + 3] != number:
            raise DependencyDownError("the binary log's connection lost a packet", _AGAIN)
        number = (number + 1) & 0xFF
        at = end
        if size == _MORE_FOLLOWS:
            parts.append(held[start:end])
        elif parts:
            yield b"".join([*parts, held[start:end]])
            parts = []
        else:
            yield held[start:end]


def _refuse_status(packet: bytes) -> None:
    if packet[0] == _ERROR:
        raise_mysql_exception(packet)
    if packet[0] != _OK:
        raise DependencyDownError("MariaDB ended the binary log's connection", _AGAIN)


def _receiver(sock: socket.socket) -> Receive:
    silent = 0.0

    def receive() -> bytes | None:
        nonlocal silent
        try:
            more = sock.recv(_RECEIVE)
        except TimeoutError:
            silent += PATIENCE_S
            if silent < SILENCE_S:
                return None
            raise DependencyDownError("MariaDB sends nothing on the binary log's connection", _AGAIN) from None
        except OSError as fault:
            raise DependencyDownError(f"the connection to MariaDB's binary log was lost ({fault})", _AGAIN) from fault
        if not more:
            raise DependencyDownError("the connection to MariaDB's binary log was lost", _AGAIN)
        silent = 0.0
        return more

    return receive
