"""Whether it is still the same database, and what a login that may not look into every view sees of it."""

from hashlib import sha256

from msgspec import Struct

from fluxion.errors import AccessDeniedError, AnotherSourceError, PositionLostError, SourceNotReadyError
from producers.sources.sqlserver.connection import Link, Row

MEND = "a new snapshot mends it: `fluxion agent resnapshot`"
_ANOTHER = "point the agent at the right one, or accept this one with `fluxion agent resnapshot`, which reads it whole"
_IDENTITY = """
SELECT CAST(SERVERPROPERTY('ServerName') AS nvarchar(128)), DB_NAME(), create_date FROM sys.databases
WHERE database_id = DB_ID()
"""
_RECOVERY = """
SELECT CAST(database_guid AS nvarchar(36)), CAST(recovery_fork_guid AS nvarchar(36))
FROM sys.database_recovery_status WHERE database_id = DB_ID()
"""


class Identity(Struct, frozen=True, array_like=True):
    """What tells one database from another, and from itself before a backup of it was restored.

    server: a digest of the server's name and the database's. created: when it was created or restored, local time of the
    server. guid, fork: digests of its database_guid and of the recovery fork that a restore begins; None where the login
    may not see them.
    """

    server: str
    created: str
    guid: str | None = None
    fork: str | None = None

    def verify(self, now: "Identity") -> "Identity":
        """Return `now` with what is no longer seen of it.

        Raises AnotherSourceError where it is another database, PositionLostError where this one was restored.
        """
        if now.server != self.server or _differ(self.guid, now.guid):
            message = "this is another SQL Server database than the one that was read until now"
            raise AnotherSourceError(message, _ANOTHER)
        if now.created != self.created or _differ(self.fork, now.fork):
            message = (
                "the database was restored from a backup, so the changes that were read until now need not be in it"
            )
            raise PositionLostError(message, MEND)
        return Identity(now.server, now.created, now.guid or self.guid, now.fork or self.fork)


class Views:
    """Asks system views. One that the login may not see (or the server does not have) is asked for once, then done without."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    def seen(self, link: Link, query: str) -> list[Row]:
        """Return what a view shows, nothing where it is hidden."""
        if query in self._hidden:
            return []
        try:
            return link.rows(query)
        except (AccessDeniedError, SourceNotReadyError):
            self._hidden.add(query)
            return []

    def identity(self, link: Link) -> Identity:
        """Return what this database is."""
        ((server, name, created),) = link.rows(_IDENTITY)
        guid, fork = next(iter(self.seen(link, _RECOVERY)), (None, None))
        return Identity(_digest(f"{server}\n{name}"), created.isoformat(), _digest_or_none(guid), _digest_or_none(fork))


def _differ(before: str | None, now: str | None) -> bool:
    return before is not None and now is not None and before != now


def _digest(text: str) -> str:
    return sha256(text.casefold().encode()).hexdigest()[:16]


def _digest_or_none(text: str | None) -> str | None:
    return None if text is None else _digest(text)
