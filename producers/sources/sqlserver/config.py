"""What a SQL Server source is told."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from fluxion.errors import ConfigurationError

METHODS = ("auto", "change_tracking", "cdc", "rowversion")


@dataclass(frozen=True)
class SQLServerConfig:
    r"""Where the database is, who we are there, and the tables of `schema` to capture (as the template names them).

    host: with a named instance (`caja\SQLEXPRESS`) the port is asked of the server's browser and `port` is not used.
    method: one of METHODS. driver: the name of an ODBC driver; None takes the best one that is installed.
    scratch, compare_s: of the method rowversion: the file of known keys (None: a temporary one, lost at the end), and how
    often they are compared, in seconds at least (options of an agent are text).
    Raises ConfigurationError for a method that there is not, or such a number.
    """

    host: str
    port: int
    user: str
    database: str
    tables: frozenset[str]
    password: str = field(default="", repr=False)
    schema: str = "dbo"
    method: str = "auto"
    driver: str | None = None
    scratch: Path | None = None
    compare_s: float | str = 60.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            message = f"there is no way to capture SQL Server that is called {self.method!r}"
            raise ConfigurationError(message, f"set method to one of {', '.join(METHODS)}")
        if not 0 < self.compares_every_s < inf:
            message = f"compare_s is {self.compare_s!r}, which is no number of seconds"
            raise ConfigurationError(message, "set compare_s to a number above 0, such as '60'")

    @property
    def compares_every_s(self) -> float:
        """`compare_s` as a number; 0 where it is none."""
        try:
            return float(self.compare_s)
        except ValueError:
            return 0.0

    @property
    def address(self) -> str:
        r"""HOST:PORT, or HOST\INSTANCE, for messages."""
        return self.host if "\\" in self.host else f"{self.host}:{self.port}"
