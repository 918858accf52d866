"""MariaDB as a source: a lock-free first snapshot, then the binary log by GTID."""

from producers.sources.mysql.connection import MySQLConfig, ask
from producers.sources.mysql.source import MySQLSource

__all__ = ["MySQLConfig", "MySQLSource", "ask"]
