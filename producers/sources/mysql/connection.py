"""Connections to MariaDB, and the one place where pymysql's errors become ours, by native number.

Numbers: https://mariadb.com/kb/en/mariadb-error-code-reference/; 2xxx are the client's own.
"""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias, cast

# pymysql takes cryptography where it finds it, for logins that only MySQL has: 8 MB of the 80 that an agent may have.
_hides_cryptography = sys.modules.setdefault("cryptography", cast("ModuleType", None)) is None
import pymysql  # noqa: E402 -- see above

from fluxion.errors import (  # noqa: E402 -- as above
    AccessDeniedError,
    DependencyDownError,
    FluxionError,
    PositionLostError,
    SourceNotReadyError,
)

if _hides_cryptography:
    del sys.modules["cryptography"]

Link: TypeAlias = "pymysql.connections.Connection[Any]"  # generic in its stubs only

# Below the 2 s within which `close` must end a source that is still connecting.
CONNECT_TIMEOUT_S = 1.8
# The server sends a heartbeat every 2 s: a line that is silent for this long is dead.
READ_TIMEOUT_S = 15.0

_WRONG_LOGIN = {1045, 1130, 1251, 1698, 1862, 1275, 1524}
_NO_PRIVILEGE = {1044, 1142, 1143, 1227, 1370}
_NOT_THERE = {1049, 1146}
_POSITION = {1236}
# Too many connections, shutting down, network trouble, lock waits, killed, a table altered under the snapshot (1412).
_DOWN = {0, 1040, 1053, 1077, 1079, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226, 1317, 1412, 1927}
_CLIENT_SIDE = range(2000, 3000)


@dataclass(frozen=True)
class MySQLConfig:
    """Where the database is, who we are there, and the tables to capture (as the template names them)."""

    host: str
    port: int
    user: str
    database: str
    tables: frozenset[str]
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """HOST:PORT, for messages."""
        return f"{self.host}:{self.port}"


class Links:
    """The open connections of one source. `shut` may come from another thread and ends whatever waits on them."""

    def __init__(self, config: MySQLConfig) -> None:
        self.config = config
        self.closed = False
        self._open: set[Link] = set()
        self._lock = threading.Lock()

    def open(self, **more: Any) -> Link:
        """Connect; `more` are pymysql's settings. Raises FluxionError only."""
        with translated(self.config):
            link = connect(self.config, **more)
        with self._lock:
            self._open.add(link)
            if self.closed:
                _shut_down(link)
        return link

    def drop(self, link: Link) -> None:
        """Close a connection without reading what is still under way on it."""
        with self._lock:
            self._open.discard(link)
        _shut_down(link)
        with contextlib.suppress(pymysql.MySQLError, OSError, ValueError):
            link.close()

    def shut(self) -> None:
        """End every connection and refuse new ones. Safe to call twice."""
        with self._lock:
            self.closed = True
            for link in self._open:
                _shut_down(link)


def _shut_down(link: Link) -> None:
    # pymysql's own close() waits for the reader's lock; a shutdown of the socket wakes the reader instead.
    sock: socket.socket | None = link._sock  # type: ignore[attr-defined] # noqa: SLF001 -- there is no public way to it
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def connect(config: MySQLConfig, **more: Any) -> Link:
    """Open a connection in UTC and utf8mb4 whose sql_mode changes no value; raises pymysql's errors."""
    settings: dict[str, Any] = {
        "host": config.host,
        "port": config.port,
        "user": config.user,
        "password": config.password,
        "charset": "utf8mb4",
        "autocommit": True,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "write_timeout": READ_TIMEOUT_S,
        "init_command": "set session time_zone = '+00:00', session sql_mode = ''",
    }
    try:
        return pymysql.connect(**{**settings, **more})
    except RuntimeError as fault:  # how pymysql says that an authentication plugin needs another package
        message = f"MariaDB at {config.address} wants a login that this agent cannot make ({fault})"
        raise AccessDeniedError(message, "give the account a mysql_native_password") from fault


def ask(config: MySQLConfig) -> None:
    """Ask the database for a sign of life: a login. Raises FluxionError."""
    with translated(config):
        connect(config).close()


@contextmanager
def translated(config: MySQLConfig) -> Iterator[None]:
    """Turn pymysql's errors inside the block into ours."""
    try:
        yield
    except pymysql.MySQLError as fault:
        raise translate(fault, config) from fault


def translate(fault: pymysql.MySQLError, config: MySQLConfig) -> FluxionError:
    """Return our error for a driver's, by its number."""
    number = fault.args[0] if fault.args and isinstance(fault.args[0], int) else 0
    text = str(fault.args[1]) if len(fault.args) > 1 else str(fault)
    where = f"MariaDB at {config.address}"
    if number in _WRONG_LOGIN:
        mend = "correct the user in agent.toml and the password in FLUXION_SOURCE_PASSWORD"
        return AccessDeniedError(f"{where} refuses the account {config.user!r} ({text})", mend)
    if number in _NO_PRIVILEGE:
        return AccessDeniedError(f"{where} denies a privilege ({text})", grant_for(number, config))
    if number in _NOT_THERE:
        return SourceNotReadyError(f"{where} lacks what we capture ({text})", "correct database and template")
    if number in _POSITION:
        mend = "a new snapshot mends it: `fluxion agent resnapshot`; keep the binary log longer (expire_logs_days)"
        return PositionLostError(f"{where} no longer has the place from which we must go on ({text})", mend)
    if number in _DOWN or number in _CLIENT_SIDE:
        return DependencyDownError(f"{where} does not answer ({text})", "it is tried again; check that it runs")
    return SourceNotReadyError(f"{where} answers with error {number} ({text})", "look the number up in its manual")


def grant_for(number: int, config: MySQLConfig) -> str:
    """Return the statement that gives the privilege whose lack `number` tells."""
    if number == 1227:  # noqa: PLR2004 -- "you need (at least one of) the … privilege(s)"
        return f"GRANT REPLICATION SLAVE ON *.* TO '{config.user}'@'%'"
    return f"GRANT SELECT ON `{config.database}`.* TO '{config.user}'@'%'"
