"""Steps (3) to (9) of a batch: one PostgreSQL transaction for offsets, rows and outbox."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple

import psycopg

from sinks import faults
from sinks.announcements import announce, judge_snapshot
from sinks.incoming import Incoming, Refused, Said, refuse, refuse_whole, said_by
from sinks.offsets import advance
from sinks.systems import Owner
from sinks.tables import TABLES, Link, Unit, fold

_BY_NAME = {table.name: table for table in TABLES}

_QUARANTINE = """
insert into pos_integration.quarantine (tenant_id, pos_system_id, topic, partition, "offset", external_table, external_id,
  version, mapping_revision, code, error_class, message, raw)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""

# Once a second is enough for a person, and the row is one that people change too.
_SYNCED = """
update pos_integration.pos_systems set last_sync_at = now()
where id = any(%s::uuid[]) and (last_sync_at is null or last_sync_at < now() - interval '1 second')
"""


class BatchWriter:
    """Writes batches on one connection. `owner_of` answers from a copy of the registry."""

    def __init__(self, link: Link, topic_id: str, owner_of: Callable[[str], Owner | None]) -> None:
        self._link = link
        self._topic_id = topic_id
        self._owner_of = owner_of
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
        units = fold(said.units)  # (3)
        return self._transaction(batch, places, said, lambda: self._upsert(units))

    def _alone(self, incoming: Incoming, places: Mapping[int, int]) -> dict[int, int]:
        said = said_by(incoming, self._owner_of)
        try:
            return self._again(
                lambda: self._transaction([incoming], places, said, lambda: self._row_by_row(incoming, said.units))
            )
        except psycopg.Error as fault:
            if not faults.is_bad_data(fault):
                raise
            # No row by itself is refused, yet the record is: it is set aside whole.
            whole = refuse_whole(incoming, self._owner_of(incoming.system_id), faults.refusal(fault))
        return self._again(lambda: self._transaction([incoming], places, Said(refused=[whole]), list))

    def _transaction(
        self, batch: Sequence[Incoming], places: Mapping[int, int], said: Said, upsert: Callable[[], list[Refused]]
    ) -> dict[int, int]:
        after = {**places, **{incoming.partition: incoming.offset + 1 for incoming in batch}}
        moved = {partition: place for partition, place in after.items() if place != places[partition]}
        with self._link.transaction():  # (4)
            advance(self._link, self._topic_id, places, moved)  # (5)
            refused = upsert()  # (6), (7)
            judge_snapshot(self._link, dict.fromkeys(said.ends))
            announce(self._link, said.touched, self._owner_of, due=False)  # (8)
            self._set_aside([*said.refused, *refused])
            if said.systems:
                self._link.execute(_SYNCED, [sorted(said.systems)])
        return after  # (9): the block has committed

    def _upsert(self, units: list[Unit]) -> list[Refused]:
        for table in TABLES:
            mine = sorted(
                (unit for unit in units if unit.table == table.name), key=lambda unit: (unit.tenant_id, unit.id)
            )
            if mine:
                table.write(self._link, mine)
        return []

    def _row_by_row(self, incoming: Incoming, units: list[Unit]) -> list[Refused]:
        refused = []
        for unit in sorted(units, key=lambda unit: (unit.version, unit.mapping_revision)):
            try:
                with self._link.transaction():  # a savepoint
                    _BY_NAME[unit.table].write(self._link, [unit])
                    self._link.execute(f"truncate {_BY_NAME[unit.table].stage}".encode())
            except psycopg.Error as fault:
                if not faults.is_bad_data(fault):
                    raise
                refused.append(refuse(incoming, unit, faults.refusal(fault)))
        return refused

    def _set_aside(self, refused: list[Refused]) -> None:
        if refused:
            with self._link.cursor() as cursor:
                cursor.executemany(_QUARANTINE, map(astuple, refused))
