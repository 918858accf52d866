"""A database's capture instances, and from which of them the changes of a table come.

https://learn.microsoft.com/sql/relational-databases/track-changes/about-change-data-capture-sql-server
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fluxion.errors import DependencyDownError, PositionLostError, SourceNotReadyError
from producers.sources.sqlserver.cdc_position import NO_LSN, Captured, CapturedPosition, lsn_before, next_lsn
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Row
from producers.sources.sqlserver.identity import MEND

# What `fluxion system prepare --method cdc` calls its own; others may be dropped by whoever made them.
OURS = "fluxion_"
PREPARE = "`fluxion system prepare SYSTEM --method cdc` prints what an administrator has to run"
_MAX_LSN = "SELECT sys.fn_cdc_get_max_lsn()"
_IS_ON = "SELECT is_cdc_enabled FROM sys.databases WHERE database_id = DB_ID()"
# It shows those instances that the login may read: with SELECT on their table, and in their role.
_INSTANCES = "EXEC sys.sp_cdc_help_change_data_capture"
_COLUMNS = "EXEC sys.sp_cdc_get_captured_columns @capture_instance = ?"


@dataclass(frozen=True)
class Instance:
    """A capture instance whose beginning is known. columns: (number, name in lower case), as its table had them when it was made."""

    name: str
    kept: Captured
    start: bytes
    columns: frozenset[tuple[int, str]]


@dataclass(frozen=True)
class Standing:
    """How the changes of a table behind a position are had.

    target: the instance from which they come in the end; older: the one from which they come up to its beginning. lost: why
    they are not whole, so that the table's rows must be read again.
    """

    target: Instance
    older: Instance | None = None
    lost: str | None = None

    def windows(self, after: bytes, until: bytes) -> list[tuple[Instance, bytes, bytes]]:
        """Return what to ask for to have the changes above `after`, up to `until`: instances, and their least and greatest LSN."""
        found = [(self.target, max(next_lsn(after), self.target.start), until)]
        if self.older is not None:
            end = min(until, lsn_before(self.target.start))
            found.insert(0, (self.older, max(next_lsn(after), self.older.start), end))
        return [(instance, first, last) for instance, first, last in found if first <= last]

    def at(self, lsn: bytes) -> Captured:
        """Return the instance that is needed behind an LSN."""
        if self.older is not None and next_lsn(lsn) < self.target.start:
            return self.older.kept
        return self.target.kept


def newest(link: Link) -> bytes:
    """Return the LSN of the last transaction that was captured, zero in a new database. Touches no table of the point of sale."""
    # In a snapshot: the capture job holds locks while it writes.
    with link.snapshot():
        ((lsn,),) = link.rows(_MAX_LSN)
    return NO_LSN if lsn is None else bytes(lsn)


def demand_newest(lsn: bytes, since: bytes) -> bytes:
    """Return the LSN; PositionLostError where it cannot follow `since`."""
    if lsn < since:
        message = f"the database's Change Data Capture has gone back from LSN {since.hex()} to {lsn.hex()}"
        raise PositionLostError(message + ": it was restored, or switched off and on again", MEND)
    return lsn


def is_on(link: Link) -> bool:
    """Tell whether Change Data Capture is on for the database."""
    return bool(link.rows(_IS_ON)[0][0])


def demand_on(link: Link, config: SQLServerConfig) -> None:
    """Raise SourceNotReadyError where Change Data Capture is off for the database."""
    if not is_on(link):
        raise SourceNotReadyError(f"Change Data Capture is off for the database {config.database}", PREPARE)


class Instances:
    """Asks for the capture instances of a source's tables."""

    def __init__(self, config: SQLServerConfig) -> None:
        self._config = config
        self._names = {name.casefold(): name for name in sorted(config.tables)}
        self._columns: dict[tuple[str, int, str], frozenset[tuple[int, str]]] = {}

    def read(self, link: Link) -> dict[str, list[Instance]]:
        """Return what each table has, the best one last; a table may be missing.

        DependencyDownError where one has nothing but an instance whose beginning is not known yet, SourceNotReadyError where
        Change Data Capture is off for the database.
        """
        demand_on(link, self._config)
        found: dict[str, list[Instance]] = {}
        waiting = set()
        for row in link.rows(_INSTANCES):
            table = self._table(row)
            if table is not None and row.start_lsn is None:
                waiting.add(table)
            elif table is not None:
                found.setdefault(table, []).append(self._instance(link, row))
        for table in sorted(waiting - found.keys()):
            message = f"the capture of the table {table} has not begun yet"
            raise DependencyDownError(message, "it is tried again; check that SQL Server Agent runs its capture job")
        return {table: sorted(instances, key=_worth) for table, instances in found.items()}

    def demanded(self, link: Link) -> dict[str, list[Instance]]:
        """Return what each table has; SourceNotReadyError where one has nothing: it would be a gap."""
        found = self.read(link)
        for table in sorted(self._config.tables - found.keys()):
            message = (
                f"the table {table} has no capture instance that the login may read, so its changes are not to be had"
            )
            raise SourceNotReadyError(message, f"{PREPARE}; the table is then read again")
        return found

    def _table(self, row: Row) -> str | None:
        """Return the captured table that an instance is of; a table that was dropped has no name."""
        if str(row.source_schema).casefold() != self._config.schema.casefold():
            return None
        return self._names.get(str(row.source_table).casefold())

    def _instance(self, link: Link, row: Row) -> Instance:
        start, created = bytes(row.start_lsn), row.create_date.isoformat()
        kept = Captured(row.capture_instance, int(row.object_id), int(row.source_object_id), created, start.hex())
        known = (kept.instance, kept.table, kept.created)
        if known not in self._columns:  # they never change
            columns = link.rows(_COLUMNS, kept.instance)
            self._columns[known] = frozenset((int(it.column_id), str(it.column_name).casefold()) for it in columns)
        return Instance(kept.instance, kept, start, self._columns[known])


def _worth(instance: Instance) -> tuple[bool, str, int]:
    return instance.name.casefold().startswith(OURS), instance.kept.created, instance.kept.table


def standing(position: CapturedPosition, table: str, instances: Sequence[Instance]) -> Standing:
    """Return how a table's changes behind `position` are had; `instances` as `Instances.read` orders them, at least one."""
    target, known = instances[-1], position.tables.get(table)
    if known is None:
        return Standing(target, lost="was not captured until now")
    if known.source != target.kept.source:
        return Standing(target, lost="was dropped and created again")
    whole = [instance for instance in instances if _is_whole(instance, position, known)]
    if target in whole:
        return Standing(target)
    if whole:
        return Standing(target, older=whole[-1])
    if any(_is_same(instance.kept, known) for instance in instances):
        return Standing(target, lost=f"has lost its changes behind LSN {position.lsn}: they were cleaned up")
    why = f"its capture instance {known.instance} was dropped before it was read up to the beginning of {target.name}"
    return Standing(target, lost=why)


def standings(position: CapturedPosition, found: Mapping[str, Sequence[Instance]]) -> dict[str, Standing]:
    """Return the standing of each table."""
    return {table: standing(position, table, instances) for table, instances in sorted(found.items())}


def _is_whole(instance: Instance, position: CapturedPosition, known: Captured) -> bool:
    """Tell whether an instance has all changes behind a position.

    Its least LSN is not above it; or it was above it already when the position was taken, and what lies between was there
    to be read then.
    """
    return instance.start <= next_lsn(position.number) or instance.kept == known


def _is_same(one: Captured, other: Captured) -> bool:
    return (one.instance, one.table, one.created) == (other.instance, other.table, other.created)
