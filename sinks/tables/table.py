"""What a table of the sink is, and the SQL that follows from it: staging by COPY, then one guarded upsert a set of fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from psycopg import Connection, sql

from schemas.records import Change

Link = Connection[tuple[Any, ...]]

_ENVELOPE = {
    "tenant_id": "uuid",
    "id": "uuid",
    "pos_system_id": "uuid",
    "external_table": "text",
    "external_id": "text",
    "version": "bigint",
    "mapping_revision": "integer",
}
_STAGED_FIRST = {"part": "integer", **_ENVELOPE, "gone": "boolean"}


@dataclass(frozen=True, slots=True)
class Unit:
    """What is said of one row of one table. `fields`: column → value, only what was sent; a deletion keeps them all."""

    table: str
    tenant_id: str
    system_id: str
    id: str
    external_table: str
    external_id: str
    version: int
    mapping_revision: int
    gone: bool
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table that units are written to.

    columns: what may be sent, with the types that COPY reads them as. renamed: a record's field → its column, where the
    names differ. gone: the column that a deletion sets and a newer upsert clears. follows: column → (source, assignment):
    what becomes of a column that was not sent when its source was.
    """

    name: str
    columns: Mapping[str, str]
    gone: Literal["deleted_at", "purged_at"]
    renamed: Mapping[str, str] = field(default_factory=dict)
    follows: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """The temporary table's name."""
        return f"in_{self.name.partition('.')[2]}"

    def unit(self, tenant_id: str, system_id: str, revision: int, change: Change, more: Mapping[str, Any]) -> Unit:
        """Return the unit of a change; `more` are columns that go with it besides the fields that it sent."""
        gone = change.op == "delete"
        sent = {} if gone else self._sent(change)
        return Unit(
            table=self.name,
            tenant_id=tenant_id,
            system_id=system_id,
            id=change.id,
            external_table=change.external_table,
            external_id=change.external_id,
            version=change.version,
            mapping_revision=revision,
            gone=gone,
            fields={**sent, **more},
        )

    def _sent(self, change: Change) -> dict[str, Any]:
        columns = {name: self.renamed.get(name, name) for name in change.fields}
        sent = {column: getattr(change, name) for name, column in columns.items() if column in self.columns}
        return sent | ({"warnings": change.warnings} if "warnings" in self.columns else {})

    def make_stage(self, link: Link) -> None:
        """Make the temporary table; once a connection."""
        columns = ", ".join(f"{name} {kind}" for name, kind in {**_STAGED_FIRST, **self.columns}.items())
        link.execute(f"create temp table {self.stage} ({columns}) on commit delete rows".encode())

    def write(self, link: Link, units: Iterable[Unit]) -> None:
        """Stage the units, at most one a row, and upsert them where they are newer than what stands there."""
        parts = by_fields(units)
        columns = sql.SQL(", ").join(map(sql.Identifier, [*_STAGED_FIRST, *self.columns]))
        statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(self.stage), columns)
        with link.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for part, group in enumerate(parts.values()):
                    for unit in group:
                        copy.write_row(self._staged(part, unit))
            for part, names in enumerate(parts):
                cursor.execute(self._upsert(names).encode(), [part])

    def _staged(self, part: int, unit: Unit) -> tuple[Any, ...]:
        first = (part, unit.tenant_id, unit.id, unit.system_id, unit.external_table, unit.external_id)
        return (*first, unit.version, unit.mapping_revision, unit.gone, *map(unit.fields.get, self.columns))

    def _upsert(self, names: Sequence[str]) -> str:
        columns = [*_ENVELOPE, *names]
        moved = ["version", "mapping_revision", self.gone, *names]
        return (
            f"insert into {self.name} as t ({', '.join(columns)}, {self.gone})"  # noqa: S608 -- only our own constants
            f" select {', '.join(columns)}, case when gone then now() end from {self.stage} where part = %s"
            f" order by tenant_id, id on conflict (tenant_id, id) do update set updated_at = now(), "
            + ", ".join([*(f"{name} = excluded.{name}" for name in moved), *self._follows(names)])
            + " where (t.version, t.mapping_revision) < (excluded.version, excluded.mapping_revision)"
        )

    def _follows(self, names: Sequence[str]) -> list[str]:
        return [rule for column, (source, rule) in self.follows.items() if source in names and column not in names]


def by_fields(units: Iterable[Unit]) -> dict[tuple[str, ...], list[Unit]]:
    """Group units by the set of fields that they sent."""
    parts: dict[tuple[str, ...], list[Unit]] = {}
    for unit in units:
        parts.setdefault(tuple(sorted(unit.fields)), []).append(unit)
    return parts


def fold(units: Iterable[Unit]) -> list[Unit]:
    """Return one unit a row: in order of (version, mapping revision), fields sent later win, fields not sent stay.

    The order in which the units come, and repeats among them, make no difference.
    """
    rows: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        rows.setdefault((unit.table, unit.id), []).append(unit)
    return [said[0] if len(said) == 1 else _merged(said) for said in rows.values()]


def _merged(said: list[Unit]) -> Unit:
    said = sorted(said, key=lambda unit: (unit.version, unit.mapping_revision))
    fields: dict[str, Any] = {}
    for unit in said:
        fields |= unit.fields
    return replace(said[-1], fields=fields)
