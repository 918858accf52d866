"""The agent's folder: `agent.toml` says whose changes it captures and where, `journal.db` holds them."""

import json
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, ValidationError

from fluxion.errors import ConfigurationError
from fluxion.settings import Settings
from producers.packing import Sender
from producers.sources.mysql import MySQLConfig

CONFIG, JOURNAL, LOCK = "agent.toml", "journal.db", "agent.lock"


class SourceSection(BaseModel):
    """[source]: the point-of-sale database. FLUXION_SOURCE_PASSWORD goes before `password`."""

    host: str
    port: int = Field(ge=1, le=65_535)
    user: str
    database: str
    tables: list[str] = Field(min_length=1)
    password: SecretStr | None = None


class AgentConfig(BaseModel):
    """agent.toml."""

    system_id: str
    epoch: int = Field(ge=1, le=65_535)
    source: SourceSection

    def sender(self, journal_id: str) -> Sender:
        """Return what every change set says of its origin."""
        return Sender(self.system_id, self.epoch, journal_id)

    def mysql(self, settings: Settings) -> MySQLConfig:
        """Return the source's configuration with its password."""
        password = settings.source_password or self.source.password
        return MySQLConfig(
            host=self.source.host,
            port=self.source.port,
            user=self.source.user,
            database=self.source.database,
            tables=frozenset(self.source.tables),
            password=password.get_secret_value() if password else "",
        )


def read_config(home: Path) -> AgentConfig:
    """Read agent.toml; ConfigurationError names what is wrong with it."""
    path = home / CONFIG
    try:
        return AgentConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {path}", "run `fluxion agent enrol` first") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigurationError(f"{path} cannot be read ({fault})", "correct it") from None
    except ValidationError as fault:
        first = fault.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{name} in {path} is not valid ({first['msg']})", "correct it") from None


def write_config(home: Path, config: AgentConfig) -> None:
    """Write agent.toml, readable by its owner only where the system knows owners: it may hold a password."""
    source = config.source
    lines = [
        f"system_id = {_text(config.system_id)}",
        f"epoch = {config.epoch}",
        "",
        "[source]",
        f"host = {_text(source.host)}",
        f"port = {source.port}",
        f"user = {_text(source.user)}",
        f"database = {_text(source.database)}",
        f"tables = [{', '.join(_text(table) for table in source.tables)}]",
    ]
    if source.password:
        lines.append(f"password = {_text(source.password.get_secret_value())}")
    path = home / CONFIG
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, except for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the folder for this process; ConfigurationError where another agent runs in it.

    SQLite's lock works on every system and goes with its process, however that ends.
    """
    link = sqlite3.connect(home / LOCK, timeout=0, isolation_level=None)
    try:
        try:
            link.execute("begin exclusive")
        except sqlite3.OperationalError as fault:
            raise ConfigurationError(f"another agent runs in {home} ({fault})", "end it first") from None
        yield
    finally:
        link.close()
