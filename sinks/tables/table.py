"""What a table of the sink is, and the SQL that follows from it: staging by COPY, then one guarded upsert a set of fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from psycopg import Connection, sql

from schemas.identity import EPOCH_SHIFT, Entity
from schemas.records import Change, DeletionKind

Link = Connection[tuple[Any, ...]]
# The column that a deletion sets. deleted_at: gone; purged_at: archived by the POS and kept.
Mark = Literal["deleted_at", "purged_at"]

_ENVELOPE = {
    "tenant_id": "uuid",
    "id": "uuid",
    "pos_system_id": "uuid",
    "external_table": "text",
    "external_id": "text",
    "version": "bigint",
    "mapping_revision": "integer",
}
_STAGED_FIRST = {"part": "integer", **_ENVELOPE, "gone": "text"}
# A row that now names another SKU is no longer of the product that the sweep linked it with.
PRODUCT_FOLLOWS_SKU = {
    "product_id": (
        "sku",
        "product_id = case when t.sku is distinct from excluded.sku then null else t.product_id end",
    )
}
# Moments that stay as they were first said, until null is said.
_FIRST_STAYS = frozenset({"voided_at"})


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
    gone: Mark | None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Left:
    """A part that left the sale `was`: it is in the sale `now`, or it was deleted by a row that names no sale (None)."""

    tenant_id: str
    id: str
    was: str
    now: str | None
    version: int
    mapping_revision: int


@dataclass(frozen=True)
class Table:
    """A table that units are written to.

    entity: what it holds. columns: what may be sent, with the types that COPY reads them as. deleted: what a deletion means
    where it does not say. marks: the columns that deletions set and a newer upsert clears. renamed: a record's field → its
    column, where the names differ. follows: column → (source, assignment): what becomes of a column that was not sent when
    its source was. cached: new rows are written to mapping_cache too.
    """

    name: str
    entity: Entity
    columns: Mapping[str, str]
    deleted: DeletionKind = "delete"
    marks: tuple[Mark, ...] = ("deleted_at",)
    renamed: Mapping[str, str] = field(default_factory=dict)
    follows: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    cached: bool = False

    @property
    def of_sales(self) -> bool:
        """Whether its rows are parts of sales."""
        return "sale_id" in self.columns

    @property
    def stage(self) -> str:
        """The temporary table's name."""
        return f"in_{self.name.partition('.')[2]}"

    def mark(self, kind: DeletionKind | None) -> Mark:
        """Return the column that a deletion of this kind sets. What goes with a void document is kept, as what is archived."""
        return "purged_at" if (kind or self.deleted) != "delete" and "purged_at" in self.marks else "deleted_at"

    def unit(self, tenant_id: str, system_id: str, revision: int, change: Change, more: Mapping[str, Any]) -> Unit:
        """Return the unit of a change; `more` are columns that go with it besides the fields that it sent."""
        gone = self.mark(change.deletion) if change.op == "delete" else None
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

    def write(self, link: Link, units: Iterable[Unit]) -> list[Left]:
        """Stage the units, at most one a row, and upsert them where they are newer than what stands there.

        Return which parts of sales left a sale that their own unit does not name.
        """
        left: list[Left] = []
        with link.cursor() as cursor:
            for part, (names, group) in enumerate(by_fields(units).items()):
                columns = sql.SQL(", ").join(map(sql.Identifier, [*_STAGED_FIRST, *names]))
                statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(self.stage), columns)
                with cursor.copy(statement) as copy:
                    for unit in group:
                        copy.write_row(_staged(part, unit, names))
                cursor.execute(self._upsert(names).encode(), [part])
                if self.of_sales:
                    left += [Left(*row) for row in cursor]
        return left

    def stale(self, link: Link) -> list[tuple[str, int]]:
        """Return (system, rows) of what `write` has staged and that met rows of a newer epoch, so it was not applied."""
        return link.execute(
            f"select s.pos_system_id::text, count(*) from {self.stage} s"  # noqa: S608 -- only our own constants
            f" join {self.name} t on t.tenant_id = s.tenant_id and t.id = s.id"
            f" where t.version >> {EPOCH_SHIFT} > s.version >> {EPOCH_SHIFT} group by 1".encode()
        ).fetchall()

    def _upsert(self, names: Sequence[str]) -> str:
        columns = [*_ENVELOPE, *names]
        marks = ", ".join(map(self._set, self.marks))
        statement = (
            f"insert into {self.name} as t ({', '.join([*columns, *self.marks])})"  # noqa: S608 -- only our own constants
            f" select {', '.join(columns)}, {marks} from {self.stage} where part = %s"
            " order by tenant_id, id on conflict (tenant_id, id) do update set updated_at = now(), "
            + ", ".join([*map(_moved, ["version", "mapping_revision", *names]), *self._marked(), *self._follows(names)])
            + " where (t.version, t.mapping_revision) < (excluded.version, excluded.mapping_revision)"
        )
        if self.of_sales:
            return self._with_left(statement, placed="sale_id" in names)
        return self._with_cache(statement) if self.cached else statement

    def _set(self, mark: Mark) -> str:
        """A part that nobody saw before it went is a tombstone only: it keeps older rows out, and was never in its sale."""
        either = self.of_sales and mark == "deleted_at"
        return "case when gone is not null then now() end" if either else f"case gone when '{mark}' then now() end"

    def _marked(self) -> list[str]:
        if len(self.marks) == 1:
            return [_moved(self.marks[0])]
        # What a correction took out of its sale stays out of it when the sale is archived.
        return [
            _moved("purged_at"),
            "deleted_at = case when excluded.purged_at is null then excluded.deleted_at else t.deleted_at end",
        ]

    def _follows(self, names: Sequence[str]) -> list[str]:
        return [rule for column, (source, rule) in self.follows.items() if source in names and column not in names]

    def _with_left(self, statement: str, *, placed: bool) -> str:
        """Beside the statement the table still reads as before it; a row that was inserted, not updated, has no xmax."""
        of_which = " and was is distinct from sale_id" if placed else ""
        return (
            f"with written as ({statement} returning t.tenant_id, t.id, t.sale_id, t.version, t.mapping_revision,"  # noqa: S608 -- only our own constants
            " t.xmax = 0 as fresh), stood as (select w.*, (select o.sale_id"
            f" from {self.name} o where o.tenant_id = w.tenant_id and o.id = w.id) as was from written w where not w.fresh)"
            f" select tenant_id::text, id::text, was::text, {'sale_id::text' if placed else 'null'}, version,"
            f" mapping_revision from stood where was is not null{of_which}"
        )

    def _with_cache(self, statement: str) -> str:
        """A row that was inserted, not updated, has no xmax."""
        return (
            f"with written as ({statement} returning tenant_id, id, pos_system_id, external_id, external_table,"  # noqa: S608 -- only our own constants
            " t.xmax = 0 as fresh) insert into pos_integration.mapping_cache"
            " (tenant_id, id, pos_system_id, external_id, external_table, fluxion_entity, fluxion_id)"
            f" select tenant_id, id, pos_system_id, external_id, external_table, '{self.entity}', id"
            " from written where fresh on conflict do nothing"
        )


def _staged(part: int, unit: Unit, names: Sequence[str]) -> tuple[Any, ...]:
    first = (part, unit.tenant_id, unit.id, unit.system_id, unit.external_table, unit.external_id)
    return (*first, unit.version, unit.mapping_revision, unit.gone, *map(unit.fields.__getitem__, names))


def _moved(column: str) -> str:
    if column in _FIRST_STAYS:
        return f"{column} = case when excluded.{column} is not null then coalesce(t.{column}, excluded.{column}) end"
    return f"{column} = excluded.{column}"


def by_fields(units: Iterable[Unit]) -> dict[tuple[str, ...], list[Unit]]:
    """Group units by the set of fields that they sent."""
    as_sent: dict[tuple[str, ...], list[Unit]] = {}
    for unit in units:
        as_sent.setdefault(tuple(unit.fields), []).append(unit)
    parts: dict[tuple[str, ...], list[Unit]] = {}
    for names, group in as_sent.items():
        parts.setdefault(tuple(sorted(names)), []).extend(group)
    return parts


def rounds(units: Iterable[Unit]) -> list[list[Unit]]:
    """Return what to write, one round after the other, in each at most one unit a row, older ones in earlier rounds.

    A unit of which a newer one says every field again is left out. The others are never merged: an old unit that comes
    again may be older than what stands in PostgreSQL, and its fields must not get there under a newer one's version.
    """
    rows: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        rows.setdefault((unit.table, unit.id), []).append(unit)
    found: list[list[Unit]] = []
    for said in rows.values():
        for number, unit in enumerate(said if len(said) == 1 else _needed(said)):
            if number == len(found):
                found.append([])
            found[number].append(unit)
    return found


def _needed(said: list[Unit]) -> list[Unit]:
    said = sorted(said, key=_order)
    needed: list[Unit] = []
    for older, newer in zip(said, [*said[1:], None], strict=True):
        if newer is None or not _says_again(newer, older):
            needed.append(older)
    return needed


def _says_again(newer: Unit, older: Unit) -> bool:
    if _order(newer) == _order(older):
        return True  # the same row of the same record, read again
    kept = any(older.fields.get(name) is not None for name in _FIRST_STAYS)
    return not kept and older.fields.keys() <= newer.fields.keys()


def fold(units: Iterable[Unit]) -> list[Unit]:
    """Return one unit a row: in order of (version, mapping revision), fields sent later win, fields not sent stay.

    The order in which the units come, and repeats among them, make no difference. It shows what units say; what is
    written are `rounds`.
    """
    rows: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        rows.setdefault((unit.table, unit.id), []).append(unit)
    return [said[0] if len(said) == 1 else _merged(said) for said in rows.values()]


def _merged(said: list[Unit]) -> Unit:
    said = sorted(said, key=_order)
    fields: dict[str, Any] = {}
    for unit in said:
        stays = {name: fields[name] for name in _FIRST_STAYS if fields.get(name) and unit.fields.get(name) is not None}
        fields |= {**unit.fields, **stays}
    return replace(said[-1], fields=fields)


def _order(unit: Unit) -> tuple[int, int]:
    return unit.version, unit.mapping_revision
