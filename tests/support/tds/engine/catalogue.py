"""The declared types of columns, by which results carry the types that SQL Server would give them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.tds.tsql.rewrite import slug
from tests.support.tds.types import SqlType

TABLES = "SELECT oid::bigint, sch, name FROM standin.tables"
COLUMNS = "SELECT oid::bigint, attnum, name, type, length, prec, scale, nullable, ident FROM standin.columns"
INSTANCES = "SELECT lower(capture_instance::text), source_object_id FROM cdc.change_tables"


@dataclass(frozen=True)
class Declared:
    """One column as its CREATE TABLE said."""

    name: str
    type: SqlType
    nullable: bool
    identity: bool


@dataclass
class Catalogue:
    """Declared columns by (table's oid, attnum) and by table name, until the next DDL."""

    by_position: dict[tuple[int, int], Declared] = field(default_factory=dict)
    by_table: dict[str, dict[str, Declared]] = field(default_factory=dict)
    loaded: bool = False

    def columns_of(self, table: str) -> dict[str, Declared]:
        """Return the columns of a table, or of its CHANGETABLE or CDC function; empty where it is unknown."""
        return self.by_table.get(table) or self.by_table.get(slug(table)) or {}

    def load(self, rows_of: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """Read everything; `rows_of` runs a query."""
        tables = {oid: slug(f"{schema}.{name}") for oid, schema, name in rows_of(TABLES)}
        for oid, attnum, name, kind, length, precision, scale, nullable, identity in rows_of(COLUMNS):
            column = Declared(name, SqlType(kind, length, precision, scale), nullable, identity)
            self.by_position[oid, attnum] = column
            self.by_table.setdefault(tables[oid], {})[name.lower()] = column
        for table, columns in list(self.by_table.items()):
            self.by_table[f"changes_{table}"] = columns
        for instance, oid in rows_of(INSTANCES):
            columns = self.by_table.get(tables.get(oid, ""), {})
            self.by_table[f"fn_cdc_get_all_changes_{instance}"] = columns
            self.by_table[f"cdc${instance}_ct"] = columns
        self.loaded = True
