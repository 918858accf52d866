"""The agent's folder: `agent.toml` says whose changes it captures and where, `journal.db` holds them.

`keys.db` is what a source must remember between two runs; the source reads everything again where it is lost.
"""

import json
import sqlite3
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from fluxion.clock import Clock, instant
from fluxion.errors import ConfigurationError
from fluxion.settings import Settings
from producers.packing import Sender
from producers.retention import DEFAULT_BUDGET, MIN_BUDGET
from producers.source import Bound
from producers.sources.choice import PORTS, Place
from schemas.settings import POLICIES, SyncSettings

CONFIG, JOURNAL, KEYS, LOCK = "agent.toml", "journal.db", "keys.db", "agent.lock"


class SourceSection(BaseModel):
    """[source]: the point-of-sale database. FLUXION_SOURCE_PASSWORD goes before `password`.

    kind: what database it is. options: what only sources of this kind take.
    """

    kind: str = Field("mysql", pattern=f"^({'|'.join(PORTS)})$")
    host: str
    port: int = Field(ge=1, le=65_535)
    user: str
    database: str
    tables: list[str] = Field(min_length=1)
    password: SecretStr | None = None
    options: dict[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = {}


class BoundSection(BaseModel):
    """[[snapshot.bounds]]: a table that is read from `history_days` ago on; see `source.Bound`."""

    model_config = ConfigDict(frozen=True)

    table: str
    column: str
    header: str | None = None
    link: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


class SnapshotSection(BaseModel):
    """[snapshot]: what the agent needs of the system's settings and template; enrolment writes it."""

    history_days: int = Field(SyncSettings().history_days, ge=1)
    time_zone: str = "America/Caracas"
    position_lost: str = Field(SyncSettings().position_lost, pattern=f"^({'|'.join(POLICIES)})$")
    bounds: tuple[BoundSection, ...] = ()

    def at(self, clock: Clock) -> dict[str, Bound]:
        """Return the bounds of a run that begins now."""
        now = instant(clock.micros()).astimezone(ZoneInfo(self.time_zone))
        value = (now - timedelta(days=self.history_days)).replace(microsecond=0).isoformat()
        return {one.table: Bound(one.column, value, one.header, one.link, one.key) for one in self.bounds}


class AgentConfig(BaseModel):
    """agent.toml. journal_bytes: what the journal may take on the disk."""

    system_id: str
    epoch: int = Field(ge=1, le=65_535)
    journal_bytes: int = Field(DEFAULT_BUDGET, ge=MIN_BUDGET)
    source: SourceSection
    snapshot: SnapshotSection = SnapshotSection()

    def sender(self, journal_id: str) -> Sender:
        """Return what every change set says of its origin."""
        return Sender(self.system_id, self.epoch, journal_id)

    def place(self, settings: Settings, home: Path | None = None) -> Place:
        """Return where the source is, with its password. home: the agent's folder, where what it captures is remembered."""
        password = settings.source_password or self.source.password
        return Place(
            kind=self.source.kind,
            host=self.source.host,
            port=self.source.port,
            user=self.source.user,
            database=self.source.database,
            tables=frozenset(self.source.tables),
            password=password.get_secret_value() if password else "",
            options=self.source.options,
            scratch=home / KEYS if home else None,
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
        f"journal_bytes = {config.journal_bytes}  # what it may take on the disk",
        "",
        "[source]",
        f"kind = {_text(source.kind)}",
        f"host = {_text(source.host)}",
        f"port = {source.port}",
        f"user = {_text(source.user)}",
        f"database = {_text(source.database)}",
        f"tables = {_texts(source.tables)}",
    ]
    if source.password:
        lines.append(f"password = {_text(source.password.get_secret_value())}")
    if source.options:
        lines += ["", "[source.options]", *(f"{name} = {_text(value)}" for name, value in source.options.items())]
    lines += _snapshot(config.snapshot)
    path = home / CONFIG
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _snapshot(section: SnapshotSection) -> list[str]:
    lines = [
        "",
        "[snapshot]  # from the template and the sync settings: enrol again after they were changed",
        f"history_days = {section.history_days}",
        f"time_zone = {_text(section.time_zone)}",
        f"position_lost = {_text(section.position_lost)}",
    ]
    for bound in section.bounds:
        lines += ["", "[[snapshot.bounds]]", f"table = {_text(bound.table)}", f"column = {_text(bound.column)}"]
        if bound.header is not None:
            lines += [f"header = {_text(bound.header)}", f"link = {_texts(bound.link)}", f"key = {_texts(bound.key)}"]
    return lines


def _texts(values: Iterable[str]) -> str:
    return f"[{', '.join(_text(value) for value in values)}]"


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, except for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the folder for this process; ConfigurationError where another agent runs in it.

    SQLite's lock works on every system and goes with its process, however that ends.
    """
    # (a moment, for whoever only looks whether we run)
    link = sqlite3.connect(home / LOCK, timeout=1, isolation_level=None)
    try:
        try:
            link.execute("begin exclusive")
        except sqlite3.OperationalError as fault:
            raise ConfigurationError(f"another agent runs in {home} ({fault})", "end it first") from None
        yield
    finally:
        link.close()


def is_running(home: Path) -> bool:
    """Tell whether an agent runs in the folder."""
    with closing(sqlite3.connect(home / LOCK, timeout=0)) as link:
        try:
            link.execute("select count(*) from sqlite_master")
        except sqlite3.OperationalError:
            return True
    return False
