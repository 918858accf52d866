"""A record of fluxion.records.v1 as it came, and what it says of rows: pure, apart from looking an owner up."""

import base64
import binascii
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from fluxion.errors import BusinessRuleError, DataValidationError, FluxionError
from schemas.records import CanonicalSet, Change, Quarantined, SaleHeader, Stock
from sinks.systems import Owner
from sinks.tables import CATEGORIES, PRODUCTS, SALE_ITEMS, SALES, STOCK_LEVELS, Table, Unit

# Tenant and system of a record that names no system that we know: nobody's, but not lost.
NOBODY = "00000000-0000-0000-0000-000000000000"


class UnknownSystemError(BusinessRuleError):
    """The registry does not know the record's system."""

    code = "UNKNOWN_SYSTEM"


class UnknownStoreError(BusinessRuleError):
    """A row names a store that its system does not have."""

    code = "UNKNOWN_STORE"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record with its place. `record` is None where it could not be read; `fault` says why."""

    topic: str
    partition: int
    offset: int
    key: str
    raw: bytes
    record: CanonicalSet | None
    fault: FluxionError | None = None

    @property
    def system_id(self) -> str:
        """The system of the record, by its key where it cannot be read."""
        return self.record.system_id if self.record else self.key

    def stores(self) -> set[str]:
        """Return the stores that the record names."""
        if self.record is None:
            return set()
        named = {stock.store_id for stock in self.record.stock} | {sale.store_id for sale in self.record.sales}
        return {store for store in named if store is not None}


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of pos_integration.quarantine, in the order of its columns."""

    tenant_id: str
    pos_system_id: str
    topic: str
    partition: int
    offset: int
    external_table: str | None
    external_id: str | None
    version: int | None
    mapping_revision: int
    code: str
    error_class: str
    message: str
    raw: bytes


@dataclass
class Said:
    """What a record, or a batch of them, says.

    touched: (tenant, sale) → whether the last source transaction that touched the sale ends in here.
    ends: (tenant, system, table) of snapshots that end.
    """

    units: list[Unit] = field(default_factory=list)
    touched: dict[tuple[str, str], bool] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    ends: list[tuple[str, str, str]] = field(default_factory=list)
    systems: set[str] = field(default_factory=set)

    def add(self, later: "Said") -> None:
        """Take in what a later record says."""
        self.units += later.units
        self.touched |= later.touched
        self.refused += later.refused
        self.ends += later.ends
        self.systems |= later.systems


def said_by(incoming: Incoming, owner_of: Callable[[str], Owner | None]) -> Said:
    """Return what a record says; a record of nobody, or one that cannot be read, says only that it is refused."""
    owner = owner_of(incoming.system_id)
    if incoming.record is None or owner is None:
        return Said(refused=[_refused_whole(incoming, owner)])
    return _Reading(incoming, incoming.record, owner).said()


def refuse(incoming: Incoming, unit: Unit, fault: FluxionError) -> Refused:
    """Return the quarantine row of one unit."""
    row = {name: value for name, value in unit.fields.items() if value is not None}
    return Refused(
        tenant_id=unit.tenant_id,
        pos_system_id=unit.system_id,
        topic=incoming.topic,
        partition=incoming.partition,
        offset=incoming.offset,
        external_table=_storable(unit.external_table),
        external_id=_storable(unit.external_id),
        version=unit.version,
        mapping_revision=unit.mapping_revision,
        code=fault.code,
        error_class=fault.error_class,
        message=_storable(str(fault)) or "",
        raw=json.dumps(row, ensure_ascii=False).encode(),
    )


def refuse_whole(incoming: Incoming, owner: Owner | None, fault: FluxionError) -> Refused:
    """Return the quarantine row of a whole record."""
    return Refused(
        tenant_id=owner.tenant_id if owner else NOBODY,
        pos_system_id=_uuid_or_nobody(incoming.system_id),
        topic=incoming.topic,
        partition=incoming.partition,
        offset=incoming.offset,
        external_table=None,
        external_id=None,
        version=None,
        mapping_revision=incoming.record.mapping_revision if incoming.record else 0,
        code=fault.code,
        error_class=fault.error_class,
        message=_storable(str(fault)) or "",
        raw=incoming.raw,
    )


def _refused_whole(incoming: Incoming, owner: Owner | None) -> Refused:
    unknown = UnknownSystemError(f"there is no system {incoming.system_id!r}", "add it with `fluxion system add`")
    return refuse_whole(incoming, owner, incoming.fault or unknown)


class _Reading:
    def __init__(self, incoming: Incoming, record: CanonicalSet, owner: Owner) -> None:
        self._incoming = incoming
        self._record = record
        self._owner = owner
        self._out = Said(systems={owner.system_id})

    def said(self) -> Said:
        for category in self._record.categories:
            self._take(CATEGORIES, category)
        for product in self._record.products:
            self._take(PRODUCTS, product)
        for stock in self._record.stock:
            self._stock(stock)
        self._sales()
        owner = self._owner
        self._out.ends += [(owner.tenant_id, owner.system_id, end.table) for end in self._record.ends]
        self._out.refused += [self._passed_on(row) for row in self._record.quarantined]
        return self._out

    def _take(self, table: Table, change: Change, **more: object) -> Unit:
        unit = self._unit(table, change, **more)
        self._out.units.append(unit)
        return unit

    def _unit(self, table: Table, change: Change, **more: object) -> Unit:
        revision = self._record.mapping_revision
        return table.unit(self._owner.tenant_id, self._owner.system_id, revision, change, more)

    def _stock(self, stock: Stock) -> None:
        if self._has_store(STOCK_LEVELS, stock, stock.store_id):
            self._take(STOCK_LEVELS, stock, **({"store_id": stock.store_id} if stock.store_id else {}))

    def _sales(self) -> None:
        for sale in self._record.sales:
            header = sale.header
            if header is not None and self._has_store(SALES, header, sale.store_id):
                self._header(header, sale.store_id, closed=bool(sale.closed), expected_lines=sale.expected_lines)
            for line in sale.lines:
                self._take(SALE_ITEMS, line, sale_id=sale.id)
            # The last source transaction that touched the sale decides; an earlier one may have ended long ago.
            self._out.touched[self._owner.tenant_id, sale.id] = sale.txn_end

    def _header(self, header: SaleHeader, store_id: str | None, *, closed: bool, expected_lines: int | None) -> None:
        if header.op == "delete":
            self._take(SALES, header, partition=self._incoming.partition)
            return
        self._take(
            SALES,
            header,
            store_id=store_id,
            has_header=True,
            closed=closed,
            expected_lines=expected_lines,
            is_snapshot=header.snapshot,
            partition=self._incoming.partition,
        )

    def _has_store(self, table: Table, change: Change, store_id: str | None) -> bool:
        if change.op == "delete" or store_id in self._owner.stores:
            return True
        fault = UnknownStoreError(
            f"{change.external_table} {change.external_id} names a store ({store_id}) that its system does not have",
            "add it with `fluxion store add`, and touch the row in the point of sale so that it comes again",
        )
        self._out.refused.append(refuse(self._incoming, self._unit(table, change, store_id=store_id), fault))
        return False

    def _passed_on(self, row: Quarantined) -> Refused:
        return Refused(
            tenant_id=self._owner.tenant_id,
            pos_system_id=self._owner.system_id,
            topic=row.topic,
            partition=row.partition,
            offset=row.offset,
            external_table=_storable(row.external_table),
            external_id=_storable(row.external_id),
            version=row.version,
            mapping_revision=self._record.mapping_revision,
            code=row.code,
            error_class=row.error_class,
            message=_storable(row.message) or "",
            raw=_bytes_of(row),
        )


def _bytes_of(row: Quarantined) -> bytes:
    if row.external_table is None:  # a whole record: its bytes came in base64
        try:
            return base64.b64decode(row.raw, validate=True)
        except binascii.Error:
            return row.raw.encode()
    return row.raw.encode()


def _storable(text: str | None) -> str | None:
    """PostgreSQL's text holds no NUL, and a quarantine row must never be refused itself."""
    return None if text is None else text.replace("\0", "\\0")


def _uuid_or_nobody(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return NOBODY


def read_record(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    decode: Callable[[bytes], CanonicalSet],
) -> Incoming:
    """Decode a message; one that cannot be read is an Incoming too."""
    name = (key or b"").decode(errors="replace")
    raw = value or b""
    try:
        record, fault = decode(raw), None
    except DataValidationError as refused:
        record, fault = None, refused
    return Incoming(topic, partition, offset, name, raw, record, fault)
