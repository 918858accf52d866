"""assemble: drafts to the canonical set; header and lines of one source transaction become one sale."""

import json
from typing import Any

from fluxion.errors import FluxionError
from schemas.records import (
    CanonicalSet,
    Category,
    Change,
    ChangeSet,
    Product,
    Quarantined,
    Sale,
    SaleHeader,
    SaleLine,
    Stock,
)
from stream_processors.drafts import Draft, Fault, Mapped

MAX_EXTERNAL_ID = 200
_KINDS: dict[str, type[Change]] = {
    "category": Category,
    "product": Product,
    "stock": Stock,
    "sale": SaleHeader,
    "line": SaleLine,
}


def assemble(mapped: Mapped) -> CanonicalSet:
    """Return what the change set means: one canonical set, whatever of it could not be taken."""
    change_set, raw = mapped.source.change_set, mapped.source.raw
    made: dict[str, list[Any]] = {"category": [], "product": [], "stock": []}
    sales: dict[tuple[int, str], _Sale] = {}
    for draft in mapped.drafts:
        change = _change(draft, change_set)
        if draft.entity in made:
            made[draft.entity].append(change)
            continue
        row = change_set.rows[draft.row]
        key = (row.txn, draft.sale_id or draft.id)
        sale = sales.get(key)
        if sale is None:
            sale = sales[key] = _Sale(whole=row.op != "r" and _ends_here(row.txn, change_set))
        sale.take(draft, change)
    return CanonicalSet(
        system_id=change_set.system_id,
        mapping_revision=mapped.mapping_revision,
        source_offset=raw.offset,
        captured_at=change_set.captured_at,
        categories=made["category"],
        products=made["product"],
        stock=made["stock"],
        sales=[sale.made(sale_id) for (_, sale_id), sale in sales.items()],
        ends=[end for end in change_set.ends if end.table in mapped.tables],
        quarantined=_quarantined(mapped),
    )


def _change(draft: Draft, change_set: ChangeSet) -> Change:
    row = change_set.rows[draft.row]
    return _KINDS[draft.entity](
        id=draft.id,
        external_id=draft.external_id,
        external_table=change_set.layouts[row.layout].table,
        op="delete" if draft.delete else "upsert",
        fields=list(draft.values),
        version=row.version or 0,
        source_time=row.source_time,
        snapshot=row.op == "r",
        warnings=list(draft.warnings),
        **draft.values,
    )


def _ends_here(txn: int, change_set: ChangeSet) -> bool:
    """Tell whether the transaction's last row is in this record: only the last one of a split record goes on."""
    return change_set.last_part or txn != change_set.rows[-1].txn


class _Sale:
    """A sale of one transaction while its rows are gathered."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._header: tuple[Draft, SaleHeader] | None = None
        self._lines: list[SaleLine] = []

    def take(self, draft: Draft, change: Change) -> None:
        """Take a row; of two headers in one transaction the later one is the state that was committed."""
        if isinstance(change, SaleLine):
            self._lines.append(change)
        elif isinstance(change, SaleHeader):
            self._header = draft, change

    def made(self, sale_id: str) -> Sale:
        draft, header = self._header or (None, None)
        return Sale(
            id=sale_id,
            store_id=draft.store_id if draft else None,
            header=header,
            lines=self._lines,
            closed=draft.closed if draft else None,
            expected_lines=draft.expected_lines if draft else None,
            txn_end=self._whole,
        )


def _quarantined(mapped: Mapped) -> list[Quarantined]:
    """Return one entry for each row at fault: several entities may have refused it."""
    rows: dict[int, list[Fault]] = {}
    for fault in mapped.faults:
        rows.setdefault(fault.row, []).append(fault)
    return [_entry(row, faults, mapped) for row, faults in sorted(rows.items())]


def _entry(index: int, faults: list[Fault], mapped: Mapped) -> Quarantined:
    change_set, raw = mapped.source.change_set, mapped.source.raw
    row = change_set.rows[index]
    layout = change_set.layouts[row.layout]
    first: FluxionError = faults[0].error
    external_id = next((fault.external_id for fault in faults if fault.external_id), None)
    cells = {column.name: value for column, value in zip(layout.columns, row.values, strict=True)}
    message = ", ".join(dict.fromkeys(fault.error.message for fault in faults))
    return Quarantined(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        external_table=layout.table,
        external_id=external_id and external_id.replace("\0", "\\0")[:MAX_EXTERNAL_ID],
        version=row.version,
        code=first.code,
        error_class=first.error_class.value,
        message=f"{message}; {first.mend}".replace("\0", "\\0"),
        raw=json.dumps(cells, ensure_ascii=False),
    )
