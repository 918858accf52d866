"""assemble: drafts to the canonical set; header, lines, tenders and taxes of one source transaction become one sale."""

from typing import Any, TypeVar, cast

from msgspec.structs import replace

from schemas.records import (
    CanonicalSet,
    Category,
    Change,
    ChangeSet,
    Movement,
    Payment,
    Product,
    Sale,
    SaleHeader,
    SaleLine,
    Stock,
    Supplier,
    Tax,
)
from stream_processors.drafts import Draft, Mapped
from stream_processors.quarantine import quarantined

C = TypeVar("C", bound=Change)

_KINDS: dict[str, type[Change]] = {
    "category": Category,
    "supplier": Supplier,
    "product": Product,
    "stock": Stock,
    "movement": Movement,
    "sale": SaleHeader,
    "line": SaleLine,
    "payment": Payment,
    "tax": Tax,
}
_OF_SALE = frozenset({"sale", "line", "payment", "tax"})


def assemble(mapped: Mapped) -> CanonicalSet:
    """Return what the change set means: one canonical set, whatever of it could not be taken."""
    change_set = mapped.source.change_set
    made: dict[str, list[Any]] = {entity: [] for entity in _KINDS if entity not in _OF_SALE}
    sales: dict[tuple[int, str], _Sale] = {}
    for draft in mapped.drafts:
        change = _change(draft, change_set)
        if draft.entity not in _OF_SALE:
            made[draft.entity].append(change)
            continue
        row = change_set.rows[draft.row]
        key = (row.txn, draft.id if draft.sale_id is None else draft.sale_id)
        sale = sales.get(key)
        if sale is None:
            sale = sales[key] = _Sale(whole=row.op != "r" and ends_here(row.txn, change_set))
        sale.take(draft, change)
    return CanonicalSet(
        system_id=change_set.system_id,
        mapping_revision=mapped.mapping_revision,
        source_offset=mapped.source.raw.offset,
        captured_at=change_set.captured_at,
        categories=made["category"],
        suppliers=made["supplier"],
        products=made["product"],
        stock=made["stock"],
        movements=made["movement"],
        sales=[sale.made(sale_id) for (_, sale_id), sale in sales.items()],
        ends=mapped.ends,
        quarantined=quarantined(mapped),
    )


def _change(draft: Draft, change_set: ChangeSet) -> Change:
    row = change_set.rows[draft.row]
    return _KINDS[draft.entity](
        id=draft.id,
        external_id=draft.external_id,
        external_table=change_set.layouts[row.layout].table,
        op="upsert" if draft.deletion is None else "delete",
        fields=list(draft.values),
        version=row.version or 0,
        source_time=row.source_time,
        snapshot=row.op == "r",
        warnings=list(draft.warnings),
        deletion=draft.deletion,
        **draft.values,
    )


def ends_here(txn: int, change_set: ChangeSet) -> bool:
    """Tell whether the transaction's last row is in this record: only the last one of a split record goes on."""
    return change_set.last_part or txn != change_set.rows[-1].txn


class _Sale:
    """A sale of one transaction while its rows are gathered."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._live = False
        self._header: tuple[Draft, SaleHeader] | None = None
        self._rows: dict[str, list[Change]] = {"line": [], "payment": [], "tax": []}

    def take(self, draft: Draft, change: Change) -> None:
        """Take a row; of two headers in one transaction the later one is the state that was committed."""
        self._live = self._live or draft.live
        if isinstance(change, SaleHeader):
            self._header = (draft, change) if self._header is None else _later(*self._header, draft, change)
        else:
            self._rows[draft.entity].append(change)

    def made(self, sale_id: str) -> Sale:
        draft, header = self._header or (None, None)
        return Sale(
            id=sale_id,
            store_id=draft.store_id if draft else None,
            header=header,
            lines=cast("list[SaleLine]", self._rows["line"]),
            payments=cast("list[Payment]", self._rows["payment"]),
            taxes=cast("list[Tax]", self._rows["tax"]),
            closed=draft.closed if draft else None,
            expected_lines=draft.expected_lines if draft else None,
            txn_end=self._whole,
            live=self._live,
        )


def _later(old: Draft, before: SaleHeader, new: Draft, after: SaleHeader) -> tuple[Draft, SaleHeader]:
    """Lay the later of two headers over the earlier: what it does not carry keeps its value, unless one is a delete."""
    kept = [name for name in before.fields if name not in after.fields]
    if not kept or "delete" in {before.op, after.op}:
        return new, after
    values = {name: getattr(before, name) for name in kept}
    draft = replace(
        new,
        closed=old.closed if new.closed is None else new.closed,
        expected_lines=old.expected_lines if new.expected_lines is None else new.expected_lines,
    )
    return draft, replace(after, fields=[*after.fields, *kept], **values)
