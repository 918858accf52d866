"""The databases of one emulated instance: each is a PostgreSQL database of its own, under a prefix."""

import datetime as dt
import json
import threading
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.tds.engine.catalogue import Catalogue
from tests.support.tds.errors import SqlError
from tests.support.tds.instance import Instance

SCRIPTS = Path(__file__).resolve().parents[1] / "sql"
#: Kept as JSON in the PostgreSQL database's comment, which other databases can read, so that sys.databases shows all.
SETTINGS = {
    "ct": False,
    "retention": 2,
    "retention_unit": "DAYS",
    "auto_cleanup": True,
    "snapshot": False,
    "rcsi": False,
    "cdc": False,
    "capture_stopped": False,
    "fork": 0,
}
ENTER = "SELECT set_config('search_path', 'dbo, sys, public', false), set_config('timezone', $1, false)"


class Databases:
    """Creates, drops and opens them; `dsn` is a superuser's. Names are looked up without case."""

    def __init__(self, dsn: str, instance: Instance, prefix: str) -> None:
        self.dsn = dsn
        self.instance = instance
        self.prefix = prefix
        self.catalogues: dict[str, Catalogue] = {}
        self.one_at_a_time = threading.Lock()  # PostgreSQL copies one template database at a time

    def names(self) -> list[str]:
        """Return the names in lower case."""
        with self._superuser() as link:
            rows = link.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self.prefix])
            return [str(name).removeprefix(self.prefix) for (name,) in rows]

    def create(self, name: str) -> None:
        """Create one; raises SqlError 1801 where it is there."""
        if name.lower() in self.names():
            raise SqlError(1801, f"Database '{name}' already exists. Choose a different database name.")
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        settings = {"name": name, "prefix": self.prefix, "created": now.isoformat(" ", "milliseconds"), **SETTINGS}
        target = self._target(name)
        with self.one_at_a_time, self._superuser() as link:
            link.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(target))
            link.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(target, sql.Literal(json.dumps(settings))))
        with psycopg.connect(self.dsn, dbname=self.prefix + name.lower()) as link:
            for script in sorted(SCRIPTS.glob("*.sql")):
                link.execute(script.read_bytes())

    def drop(self, name: str) -> None:
        """Drop one, whoever is connected to it."""
        with self.one_at_a_time, self._superuser() as link:
            link.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(self._target(name)))
        self.forget(name)

    def connect(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Open one; raises SqlError 4060 where it is not there."""
        try:
            link = psycopg.connect(
                self.dsn, dbname=self.prefix + name.lower(), autocommit=True, cursor_factory=psycopg.RawCursor
            )
        except psycopg.OperationalError as failure:
            message = f'Cannot open database "{name}" requested by the login. The login failed.'
            raise SqlError(4060, message, 11) from failure
        link.execute(ENTER, [self.instance.timezone])
        return link

    def catalogue(self, name: str) -> Catalogue:
        """Return the declared types that all sessions share; whoever finds them not loaded loads them."""
        return self.catalogues.setdefault(name.lower(), Catalogue())

    def forget(self, name: str) -> None:
        """Have the declared types read again: DDL happened, or was rolled back."""
        self.catalogues.pop(name.lower(), None)

    def _target(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.prefix + name.lower())

    def _superuser(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.dsn, autocommit=True)
