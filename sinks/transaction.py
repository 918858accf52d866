"""Steps (3) to (9) of a batch: one PostgreSQL transaction for offsets, rows and outbox."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import psycopg

from fluxion import metrics
from fluxion.clock import SystemClock
from sinks import faults
from sinks.announcements import announce, take_out_of_open
from sinks.incoming import Incoming
from sinks.left import concerned_by, remember_left, wait_for_end
from sinks.levels import levels_of, recompute
from sinks.offsets import advance
from sinks.reading import Said, said_by
from sinks.refused import Refused, refuse, refuse_whole, set_aside
from sinks.snapshot_ends import take_ends
from sinks.stale import StaleRows
from sinks.superseded import Superseding
from sinks.systems import Owner
from sinks.tables import STOCK_MOVEMENTS, TABLES, Left, Link, Table, Unit, rounds

_BY_NAME = {table.name: table for table in TABLES}

# Once a second is enough for a person, and the row is one that people change too.
_SYNCED = """
update pos_integration.pos_systems set last_sync_at = now()
where id = any(%s::uuid[]) and (last_sync_at is null or last_sync_at < now() - interval '1 second')
"""


class BatchWriter:
    """Writes batches on one connection. `owner_of` answers from a copy of the registry; `moved`: see `snapshot_ends.delete`."""

    def __init__(
        self,
        link: Link,
        topic_id: str,
        owner_of: Callable[[str], Owner | None],
        stale_rows: StaleRows,
        moved: Callable[[], None],
    ) -> None:
        self._link = link
        self._topic_id = topic_id
        self._owner_of = owner_of
        self._stale_rows = stale_rows
        self._moved = moved
        self._superseding = Superseding(owner_of)
        with link.transaction():
            for table in TABLES:
                table.make_stage(link)

    def write(self, batch: Sequence[Incoming], places: Mapping[int, int]) -> dict[int, int]:
        """Write a batch, in order, whose partitions stand at `places`; return where they stand then.

        A batch that PostgreSQL refuses is halved until the record is found that holds the bad row, and only that row goes
        to quarantine. Raises FencedError, and psycopg.Error where neither data nor a clash is at fault.
        """
        try:
            return self._again(lambda: self._together(batch, places))
        except psycopg.Error as fault:
            if not faults.is_bad_data(fault):
                raise
            if len(batch) == 1:
                return self._alone(batch[0], places)
        half = len(batch) // 2
        between = {**places, **self.write(batch[:half], places)}
        return self.write(batch[half:], between)

    def _again(self, transaction: Callable[[], dict[int, int]]) -> dict[int, int]:
        while True:
            try:
                return transaction()
            except psycopg.Error as fault:
                if not faults.is_clash(fault):
                    raise

    def _together(self, batch: Sequence[Incoming], places: Mapping[int, int]) -> dict[int, int]:
        said = Said()
        for incoming in batch:
            said.add(said_by(incoming, self._owner_of))
        units = rounds(said.units)  # (3)
        return self._transaction(batch, places, said, lambda writing: writing.together(units))

    def _alone(self, incoming: Incoming, places: Mapping[int, int]) -> dict[int, int]:
        said = said_by(incoming, self._owner_of)
        try:
            return self._again(
                lambda: self._transaction(
                    [incoming], places, said, lambda writing: writing.row_by_row(incoming, said.units)
                )
            )
        except psycopg.Error as fault:
            if not faults.is_bad_data(fault):
                raise
            # No row by itself is refused, yet the record is: it is set aside whole.
            whole = refuse_whole(incoming, self._owner_of(incoming.system_id), faults.refusal(fault))
        return self._again(
            lambda: self._transaction([incoming], places, Said(refused=[whole]), lambda writing: writing.together([]))
        )

    def _transaction(
        self,
        batch: Sequence[Incoming],
        places: Mapping[int, int],
        said: Said,
        upsert: Callable[["_Writing"], list[Refused]],
    ) -> dict[int, int]:
        after = {**places, **{incoming.partition: incoming.offset + 1 for incoming in batch}}
        moved = {partition: place for partition, place in after.items() if place != places[partition]}
        writing = _Writing(self._link, said)
        with self._link.transaction():  # (4)
            advance(self._link, self._topic_id, places, moved)  # (5)
            refused = [*said.refused, *upsert(writing)]  # (6), (7)
            concerned = concerned_by(said, writing.left)
            remember_left(self._link, writing.left)
            wait_for_end(self._link, concerned.reread)
            set_aside(self._link, refused)  # before the ends: a row that was read and refused is not gone
            self._superseding.settle(self._link, refused, writing.taken)
            take_ends(self._link, said.ends, self._moved)
            if concerned.removed:
                take_out_of_open(self._link, concerned.removed)
            announce(self._link, concerned.touched, self._owner_of)  # (8)
            if said.systems:
                self._link.execute(_SYNCED, [sorted(said.systems)])
        self._stale_rows.add(writing.stale)  # (9): the block has committed
        _measure(batch, refused)
        return after


def _measure(batch: Sequence[Incoming], refused: Sequence[Refused]) -> None:
    """Keep the metrics of a batch that was committed."""
    metrics.count("written", len(batch))
    metrics.BATCH.observe(len(batch))
    for row in refused:
        metrics.QUARANTINED.labels(row.code).inc()
    now = SystemClock().micros()
    for incoming in batch:
        if incoming.record is not None and not incoming.replayed:
            # A store's clock may be ahead of ours.
            metrics.LATENCY.observe(max(0, now - incoming.record.captured_at) / 1_000_000)


class _Writing:
    """(6) and (7) of one transaction.

    stale: (system, rows) that met rows of a newer epoch. left: see `Table.write`. taken: the units that were not refused.
    """

    def __init__(self, link: Link, said: Said) -> None:
        self._link = link
        self._said = said
        self.left: list[Left] = []
        self.taken: list[Unit] = []
        self.stale: list[tuple[str, int]] = []

    def together(self, in_rounds: Iterable[list[Unit]]) -> list[Refused]:
        by_table: dict[str, list[list[Unit]]] = {table.name: [] for table in TABLES}
        for units in in_rounds:
            for found in by_table.values():
                found.append([])
            for unit in units:
                by_table[unit.table][-1].append(unit)
        for table in TABLES:
            for number, mine in enumerate(filter(None, by_table[table.name])):
                if number:
                    self._empty(table)
                self._write(table, mine)
        return []

    def row_by_row(self, incoming: Incoming, units: Iterable[Unit]) -> list[Refused]:
        refused = []
        for unit in sorted(units, key=lambda unit: (unit.version, unit.mapping_revision)):
            table = _BY_NAME[unit.table]
            try:
                with self._link.transaction():  # a savepoint
                    self._write(table, [unit])
                    self._empty(table)
            except psycopg.Error as fault:
                if not faults.is_bad_data(fault):
                    raise
                refused.append(refuse(incoming, unit, faults.refusal(fault)))
        return refused

    def _empty(self, table: Table) -> None:
        self._link.execute(f"truncate {table.stage}".encode())

    def _write(self, table: Table, units: list[Unit]) -> None:
        summed = [unit for unit in units if unit.system_id in self._said.by_movements] if self._has_sums(table) else []
        levels = levels_of(self._link, summed) if summed else set()  # a movement may leave one level for another
        self.left += table.write(self._link, units)
        if summed:
            recompute(self._link, levels | levels_of(self._link, summed))
        if table.name in self._said.older:
            self.stale += table.stale(self._link)
        self.taken += units

    def _has_sums(self, table: Table) -> bool:
        return table is STOCK_MOVEMENTS and bool(self._said.by_movements)
