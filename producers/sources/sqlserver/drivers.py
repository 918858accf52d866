"""Which ODBC driver speaks to SQL Server, and the connection string that it needs.

Microsoft's: https://learn.microsoft.com/sql/connect/odbc/dsn-connection-string-attribute;
FreeTDS: https://www.freetds.org/userguide/OdbcConnAttr.html.
"""

from collections.abc import Sequence

from fluxion.errors import ConfigurationError
from producers.sources.sqlserver.config import SQLServerConfig

# Best first. Older ones of Microsoft's do not know datetime2 and give it as text.
PREFERRED = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server", "FreeTDS")
APPLICATION = "Fluxion POS CDC"
INSTALL = "install Microsoft's ODBC Driver 18 for SQL Server, or on Debian `apt install tdsodbc`"


def chosen(config: SQLServerConfig, installed: Sequence[str]) -> str:
    """Return the driver to use; ConfigurationError where none is installed. One that is set may also be a library's path."""
    if config.driver:
        return config.driver
    for name in PREFERRED:
        if name in installed:
            return name
    there = f"only {', '.join(installed)}" if installed else "none at all"
    raise ConfigurationError(f"no ODBC driver for SQL Server is installed ({there})", INSTALL)


def connection_string(config: SQLServerConfig, driver: str) -> str:
    """Return what the driver connects by.

    No ApplicationIntent=ReadOnly: behind a listener it could send the stream and what is read beside it to two replicas,
    one of which lags. Encrypted without a check of the certificate, which a store's server has made for itself.
    """
    instance = "\\" in config.host
    words = {
        "DRIVER": driver,
        "UID": config.user,
        "PWD": config.password,
        "DATABASE": config.database,
        "APP": APPLICATION,
    }
    if is_freetds(driver):
        # (with the protocol's automatic version FreeTDS hangs)
        words |= {"SERVER": config.host, "TDS_Version": "7.4", "ClientCharset": "UTF-8"}
        words |= {} if instance else {"PORT": str(config.port)}
    else:
        # Without its own attempts to reconnect: a session that begins anew has lost its transaction and its settings.
        words |= {"SERVER": config.host if instance else f"tcp:{config.host},{config.port}", "ConnectRetryCount": "0"}
        words |= {"Encrypt": "yes", "TrustServerCertificate": "yes", "MARS_Connection": "no"}
    return ";".join(f"{name}={_quoted(value)}" for name, value in words.items())


def is_freetds(driver: str) -> bool:
    """Tell FreeTDS, by its registered name or its library's, from Microsoft's."""
    return any(part in driver.lower() for part in ("freetds", "tdsodbc"))


def _quoted(value: str) -> str:
    plain = value and not set(value) & set("[]{}(),;?*=!@ ")
    return value if plain else "{" + value.replace("}", "}}") + "}"
