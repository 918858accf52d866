"""What a replay would change, before it is done: each row that it would write beside what PostgreSQL has. Writes nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg import sql

from control.quarantine import Link
from fluxion.postgres import translated
from schemas.records import CanonicalSet
from schemas.topics import RECORDS
from sinks.incoming import Incoming
from sinks.reading import said_by
from sinks.systems import Owner
from sinks.tables import TABLES, Table, Unit, fold

EXAMPLES = 3
CHUNK = 2000
_BY_NAME = {table.name: table for table in TABLES}
# Whom the sink keeps with a row for itself; nobody asks a mapping for them.
_NOT_OF_THE_ROW = frozenset({"partition", "is_snapshot", "has_header", "warnings"})


@dataclass(frozen=True)
class Example:
    """One row that would change. fields: name → (what PostgreSQL has, what the present mapping gives)."""

    external_table: str
    external_id: str
    fields: Mapping[str, tuple[object, object]]


@dataclass
class TableChanges:
    """What would change in one table of PostgreSQL. ids: rows that are new, for a row may stand in the log many times."""

    changed: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    by_field: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)


class Preview:
    """Takes canonical sets of one system and compares them with PostgreSQL; `tables` is true after `finish`."""

    def __init__(self, link: Link, owner: Owner) -> None:
        self._link = link
        self._owner = owner
        self._waiting: list[Unit] = []
        self.tables: dict[str, TableChanges] = {}
        self.refused: list[str] = []

    def take(self, record: CanonicalSet) -> None:
        """Note what a record says of rows."""
        incoming = Incoming(RECORDS.name, 0, 0, record.system_id, b"", record)
        said = said_by(incoming, lambda _: self._owner)
        self.refused += [row.message for row in said.refused if row.topic == RECORDS.name]
        self._waiting += said.units
        if len(self._waiting) >= CHUNK:
            self.finish()

    def finish(self) -> None:
        """Compare what was noted last."""
        units, self._waiting = fold(self._waiting), []
        for name in dict.fromkeys(unit.table for unit in units):
            mine = [unit for unit in units if unit.table == name]
            self._compare(_BY_NAME[name], mine)

    def _compare(self, table: Table, units: Sequence[Unit]) -> None:
        held = self._held(table, units)
        found = self.tables.setdefault(table.name, TableChanges())
        for unit in units:
            before = held.get(unit.id)
            if before is None:
                if unit.gone is None:
                    found.new.add(unit.id)
            elif (before["version"], before["mapping_revision"]) < (unit.version, unit.mapping_revision):
                self._note(found, table, unit, before)

    def _note(self, found: TableChanges, table: Table, unit: Unit, before: Mapping[str, Any]) -> None:
        if unit.gone is not None:
            if all(before[mark] is None for mark in table.marks):
                found.deleted.add(unit.id)
            return
        differing = {
            name: (before[name], after)
            for name, after in unit.fields.items()
            if name in table.columns and name not in _NOT_OF_THE_ROW and not same(before[name], after)
        }
        if not differing or unit.id in found.changed:
            return
        found.changed.add(unit.id)
        for name in differing:
            found.by_field[name] = found.by_field.get(name, 0) + 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(Example(unit.external_table, unit.external_id, differing))

    def _held(self, table: Table, units: Iterable[Unit]) -> dict[str, dict[str, Any]]:
        names = ["id", "version", "mapping_revision", *table.marks, *table.columns]
        query = sql.SQL("select {} from {} where tenant_id = %s and id = any(%s::uuid[])").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(*table.name.split("."))
        )
        with translated("PostgreSQL"), self._link.transaction():
            rows = self._link.execute(query, [self._owner.tenant_id, [unit.id for unit in units]]).fetchall()
        return {str(row[0]): dict(zip(names, row, strict=True)) for row in rows}


def same(before: object, after: object) -> bool:
    """Tell whether PostgreSQL's value is what a canonical record's value would become there."""
    if before is None or after is None:
        return before is after
    read = _READ.get(type(before))
    try:
        return before == read(after) if read and isinstance(after, str) else str(before) == str(after)
    except (ValueError, ArithmeticError):
        return False


# A datetime is a date too, but its type is its own.
_READ: dict[type, Callable[[str], object]] = {
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
}
