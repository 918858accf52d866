"""What a record says of rows, sales and snapshots: pure, apart from looking an owner up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Literal

from schemas.records import UNKNOWN_SALE, Change, DeletionKind, End, Movement, Sale, SaleHeader, Stock
from sinks.incoming import Incoming
from sinks.refused import Refused, UnknownStoreError, passed_on, refuse, refuse_whole
from sinks.systems import Owner
from sinks.tables import (
    CATEGORIES,
    PRODUCTS,
    SALE_ITEMS,
    SALE_PAYMENTS,
    SALE_TAXES,
    SALES,
    STOCK_LEVELS,
    STOCK_MOVEMENTS,
    SUPPLIERS,
    Table,
    Unit,
)

# How a sale was touched. whole: a source transaction with it ended; part: rows of it came, more may follow; again: rows were
# mapped again on request; read: a snapshot read rows of it, its end decides.
Touch = Literal["whole", "part", "again", "read"]
SaleKey = tuple[str, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a table's snapshot, with whose it is. deletions: entity → kind, empty where the record does not say."""

    owner: Owner
    partition: int
    table: str
    first_version: int
    since: str | None
    deletions: Mapping[str, DeletionKind]


@dataclass
class Said:
    """What a record, or a batch of them, says.

    touched: (tenant, sale) → how it was touched last. removed: the sales of which a line, tender or tax went.
    unplaced: id → how, of deleted parts that do not say which sale was theirs. by_movements: systems whose levels are
    sums. older: tables with rows from before the system's present epoch.
    """

    units: list[Unit] = field(default_factory=list)
    touched: dict[SaleKey, Touch] = field(default_factory=dict)
    removed: set[SaleKey] = field(default_factory=set)
    unplaced: dict[str, Touch] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    systems: set[str] = field(default_factory=set)
    by_movements: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)

    def add(self, later: "Said") -> None:
        """Take in what a later record says."""
        self.units += later.units
        for key, how in later.touched.items():
            self.touch(key, how)
        self.removed |= later.removed
        self.unplaced |= later.unplaced
        self.refused += later.refused
        self.ends += later.ends
        self.systems |= later.systems
        self.by_movements |= later.by_movements
        self.older |= later.older

    def touch(self, key: SaleKey, how: Touch) -> None:
        """Note that a sale was touched.

        The last source transaction that touched it decides, an earlier one may have ended long ago; what a snapshot read
        of it decides nothing.
        """
        if how == "read":
            self.touched.setdefault(key, how)
        else:
            self.touched[key] = how


def said_by(incoming: Incoming, owner_of: Callable[[str], Owner | None]) -> Said:
    """Return what a record says; a record of nobody, or one that cannot be read, says only that it is refused."""
    owner = owner_of(incoming.system_id)
    if incoming.record is None or owner is None:
        return Said(refused=[refuse_whole(incoming, owner)])
    reading = _Reading(incoming, owner, incoming.record.mapping_revision)
    record = incoming.record
    for table, changes in ((CATEGORIES, record.categories), (SUPPLIERS, record.suppliers), (PRODUCTS, record.products)):
        for change in changes:
            reading.take(table, change)
    for row in record.stock:
        reading.stock(row)
    for movement in record.movements:
        reading.movement(movement)
    for sale in record.sales:
        reading.sale(sale)
    reading.out.ends += [reading.end(end) for end in record.ends]
    reading.out.refused += [passed_on(incoming, row, owner, record.mapping_revision) for row in record.quarantined]
    return reading.out


class _Reading:
    def __init__(self, incoming: Incoming, owner: Owner, revision: int) -> None:
        self._incoming = incoming
        self._owner = owner
        self._revision = revision
        self.out = Said(systems={owner.system_id})
        if owner.stock_by_movements:
            self.out.by_movements.add(owner.system_id)

    def take(self, table: Table, change: Change, **more: object) -> None:
        self._keep(self._unit(table, change, more))

    def _unit(self, table: Table, change: Change, more: Mapping[str, object]) -> Unit:
        return table.unit(self._owner.tenant_id, self._owner.system_id, self._revision, change, more)

    def _keep(self, unit: Unit) -> None:
        if unit.version < self._owner.first_version:
            self.out.older.add(unit.table)
        self.out.units.append(unit)

    def stock(self, stock: Stock) -> None:
        """A level that is sent where levels are the sums of movements would be a second truth."""
        if not self._owner.stock_by_movements:
            self._of_store(STOCK_LEVELS, stock)

    def movement(self, movement: Movement) -> None:
        self._of_store(STOCK_MOVEMENTS, movement)

    def _of_store(self, table: Table, change: Stock | Movement) -> None:
        if self._has_store(table, change, change.store_id):
            self.take(table, change, **({"store_id": change.store_id} if change.store_id else {}))

    def sale(self, sale: Sale) -> None:
        if sale.header is not None and self._has_store(SALES, sale.header, sale.store_id):
            self._header(sale.header, sale)
        named = {} if sale.id == UNKNOWN_SALE else {"sale_id": sale.id}
        for table, parts in ((SALE_ITEMS, sale.lines), (SALE_PAYMENTS, sale.payments), (SALE_TAXES, sale.taxes)):
            for part in parts:
                self.take(table, part, **named)
        if not named:
            how = self._how(sale)
            self.out.unplaced.update((part.id, how) for part in chain(sale.lines, sale.payments, sale.taxes))
            return
        key = (self._owner.tenant_id, sale.id)
        if any(part.op == "delete" for part in chain(sale.lines, sale.payments, sale.taxes)):
            self.out.removed.add(key)
        self.out.touch(key, self._how(sale))

    def _how(self, sale: Sale) -> Touch:
        if self._incoming.replayed:
            return "again"  # one row that is retried is no transaction's end
        if sale.txn_end:
            return "part" if sale.live else "whole"
        header = () if sale.header is None else (sale.header,)
        rows = chain(header, sale.lines, sale.payments, sale.taxes)
        return "read" if all(row.snapshot for row in rows) else "part"

    def _header(self, header: SaleHeader, sale: Sale) -> None:
        partition = self._incoming.partition
        if header.op == "delete":
            unit = self._unit(SALES, header, {"partition": partition})
            if header.deletion == "void":
                voided = {"status": "voided", "voided_at": _moment(header), "partition": partition}
                unit = replace(unit, gone=None, fields=voided)
            self._keep(unit)
            return
        self.take(
            SALES,
            header,
            store_id=sale.store_id,
            has_header=True,
            is_snapshot=header.snapshot,
            partition=partition,
            **_known(sale),
            **_voided(header),
        )

    def _has_store(self, table: Table, change: Change, store_id: str | None) -> bool:
        if change.op == "delete" or store_id in self._owner.stores:
            return True
        fault = UnknownStoreError(
            f"{change.external_table} {change.external_id} names a store ({store_id}) that its system does not have",
            "add it with `fluxion store add`, then retry the row from quarantine",
        )
        self.out.refused.append(refuse(self._incoming, self._unit(table, change, {"store_id": store_id}), fault))
        return False

    def end(self, end: End) -> Ended:
        return Ended(
            owner=self._owner,
            partition=self._incoming.partition,
            table=end.table,
            first_version=end.first_version,
            since=end.since.value if end.since else None,
            deletions={deletion.entity: deletion.kind for deletion in end.deletions},
        )


def _known(sale: Sale) -> dict[str, Any]:
    """What a header's row does not say of the document (None) stays as it is known, as a column that was not sent does."""
    said = {"closed": sale.closed, "expected_lines": sale.expected_lines}
    return {name: value for name, value in said.items() if value is not None}


def _voided(header: SaleHeader) -> dict[str, Any]:
    """When a document was voided is known of a change; a snapshot only finds that it was."""
    if "status" not in header.fields:
        return {}
    if header.status != "voided":
        return {"voided_at": None}
    return {} if header.snapshot else {"voided_at": _moment(header)}


def _moment(header: SaleHeader) -> datetime | str:
    """Return when the POS did it; where it does not say, PostgreSQL's `now` is the next best."""
    try:
        return "now" if header.source_time is None else _EPOCH + timedelta(microseconds=header.source_time)
    except OverflowError:
        return "now"
