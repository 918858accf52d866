"""SQL Server as a source, of any edition: Change Tracking, and snapshots that nobody waits for."""

from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import ask
from producers.sources.sqlserver.source import SQLServerSource

__all__ = ["SQLServerConfig", "SQLServerSource", "ask"]
