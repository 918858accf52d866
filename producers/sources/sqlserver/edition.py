"""Which SQL Server this is, and by which method it is captured, with the reason."""

from dataclasses import dataclass

from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link

_PROPERTIES = """
SELECT CAST(SERVERPROPERTY('Edition') AS nvarchar(128)), CAST(SERVERPROPERTY('EngineEdition') AS int),
       CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))
"""
_EXPRESS, _STANDARD, _AZURE = 4, 2, 5
_SQL_SERVER_2016 = (13, 0, 4001)  # Service Pack 1: from here on CDC is in the Standard Edition too
LEAST_VERSION = (11, 0)  # SQL Server 2012
_YEARS = {10: 2008, 11: 2012, 12: 2014, 13: 2016, 14: 2017, 15: 2019, 16: 2022, 17: 2025}


@dataclass(frozen=True)
class Edition:
    """`name` as the server says it, `engine` its kind (4 is Express), `version` such as (15, 0, 2000, 5)."""

    name: str
    engine: int
    version: tuple[int, ...]

    @property
    def has_cdc(self) -> bool:
        """Whether Change Data Capture exists here."""
        if self.engine == _EXPRESS:
            return False
        return self.engine != _STANDARD or self.version >= _SQL_SERVER_2016

    @property
    def title(self) -> str:
        """The product's name, for messages."""
        year = _YEARS.get(self.version[0])
        number = ".".join(map(str, self.version))
        return f"SQL Server {year or number} {self.name}" if self.engine != _AZURE else self.name


@dataclass(frozen=True)
class Choice:
    """The method, and one sentence that says why it and not another."""

    method: str
    reason: str


def edition_of(link: Link) -> Edition:
    """Ask the server; needs no permission."""
    ((name, engine, version),) = link.rows(_PROPERTIES)
    return Edition(str(name), int(engine), tuple(int(part) for part in str(version).split(".") if part.isdecimal()))


def choose(config: SQLServerConfig, edition: Edition) -> Choice:
    """Return the method by which this server is captured."""
    if config.method != "auto":
        return Choice(config.method, "it is set as the method")
    if not edition.has_cdc:
        why = f"{edition.title} has no Change Data Capture, while every edition has Change Tracking"
    else:
        why = (
            "every edition has Change Tracking, and it costs the point of sale less than Change Data Capture, "
            f"which {edition.title} would have too"
        )
    return Choice("change_tracking", why)
