"""Which source reads a system's database. Each is imported only when it is chosen: an agent loads the driver of its own store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError
from producers.source import Source
from schemas.source_tables import DeletedRow, Table

# kind → the port on which such a server usually listens
PORTS: Mapping[str, int] = {"mysql": 3306, "sqlserver": 1433}
# What a template's `databases` calls them → kind
_KINDS: Mapping[str, str] = {"mysql": "mysql", "mariadb": "mysql", "sqlserver": "sqlserver"}
Config = TypeVar("Config", bound=Any)


class DatabaseSource(Source, Protocol):
    """A source whose database has a catalogue."""

    def method(self) -> str:
        """Say by what changes are captured, and why by that. Writes nothing; raises FluxionError."""
        ...

    def catalogue(self) -> dict[str, Table]:
        """Return the database's tables, to check a template against. Writes nothing."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a point-of-sale database is, who we are there, and the tables to capture (as the template names them).

    kind: one of PORTS. options: what only sources of this kind take, see their own configuration. scratch: the file in which
    a source may keep what it must remember between two runs; None: it remembers nothing.
    """

    kind: str
    host: str
    port: int
    user: str
    database: str
    tables: frozenset[str]
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    scratch: Path | None = None

    @property
    def address(self) -> str:
        """HOST:PORT/DATABASE, for messages."""
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def deleted_row(self) -> DeletedRow:
        """What the source tells of a deleted row; of SQL Server's methods Change Data Capture alone tells all of it."""
        return "key" if self.kind == "sqlserver" and self.options.get("method") != "cdc" else "whole"


def kind_for(databases: tuple[str, ...]) -> str:
    """Return the kind of source that reads what a template is meant for; ConfigurationError where there is none."""
    for name in databases:
        if name in _KINDS:
            return _KINDS[name]
    message = f"the template is for {', '.join(databases)}, which no agent of this version reads"
    raise ConfigurationError(message, f"a template for an agent names one of {', '.join(_KINDS)} in `databases`")


def options_for(kind: str, schema: str | None, said: Mapping[str, str]) -> dict[str, str]:
    """Return a source's options: what was said of the system, and where the template's tables are."""
    named = {"schema": schema} if kind == "sqlserver" and schema is not None else {}
    return {**named, **said}


def open_source(place: Place, clock: Clock) -> DatabaseSource:
    """Return the source; nothing is connected yet. ConfigurationError where an option is not one of its kind."""
    if place.kind == "sqlserver":
        sqlserver = _sqlserver()
        source: DatabaseSource = sqlserver.SQLServerSource(
            _configured(sqlserver.SQLServerConfig, place, scratch=place.scratch), clock
        )
        return source
    from producers.sources.mysql import MySQLConfig, MySQLSource  # noqa: PLC0415 -- see above

    return MySQLSource(_configured(MySQLConfig, place), clock)


def ask(place: Place) -> None:
    """Ask the database for a sign of life: a login. Raises FluxionError."""
    if place.kind == "sqlserver":
        sqlserver = _sqlserver()
        sqlserver.ask(_configured(sqlserver.SQLServerConfig, place))
    else:
        from producers.sources import mysql  # noqa: PLC0415 -- see above

        mysql.ask(_configured(mysql.MySQLConfig, place))


def _sqlserver() -> ModuleType:
    """Return the package; its driver needs libraries of the system."""
    try:
        from producers.sources import sqlserver  # noqa: PLC0415 -- see above
    except ImportError as fault:
        message = f"this computer cannot speak with SQL Server ({fault})"
        raise ConfigurationError(
            message, "install ODBC and a driver: on Debian the packages unixodbc and tdsodbc"
        ) from None
    return sqlserver


def _configured(config: type[Config], place: Place, **own: Any) -> Config:
    given = {
        "host": place.host,
        "port": place.port,
        "user": place.user,
        "database": place.database,
        "tables": place.tables,
        "password": place.password,
    }
    try:
        configured: Config = config(**given, **own, **place.options)
    except TypeError as fault:
        message = f"a {place.kind} source does not take that option ({fault})"
        raise ConfigurationError(message, "correct [source.options] in agent.toml") from None
    return configured
