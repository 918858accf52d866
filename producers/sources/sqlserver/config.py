"""What a SQL Server source is told."""

from dataclasses import dataclass, field

from fluxion.errors import ConfigurationError

METHODS = ("auto", "change_tracking", "cdc", "rowversion")
_BUILT = ("auto", "change_tracking")


@dataclass(frozen=True)
class SQLServerConfig:
    r"""Where the database is, who we are there, and the tables of `schema` to capture (as the template names them).

    host: with a named instance (`caja\SQLEXPRESS`) the port is asked of the server's browser and `port` is not used.
    method: one of METHODS. driver: the name of an ODBC driver; None takes the best one that is installed.
    Raises ConfigurationError for a method that there is not.
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

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            message = f"there is no way to capture SQL Server that is called {self.method!r}"
            raise ConfigurationError(message, f"set method to one of {', '.join(METHODS)}")
        if self.method not in _BUILT:
            message = f"SQL Server cannot be captured by {self.method} in this version"
            raise ConfigurationError(message, "set method = 'change_tracking', which every edition has")

    @property
    def address(self) -> str:
        r"""HOST:PORT, or HOST\INSTANCE, for messages."""
        return self.host if "\\" in self.host else f"{self.host}:{self.port}"
