"""Hand-made change sets of a Systimax with two stores, and the chain that reads them."""

import json
from collections.abc import Sequence
from typing import Any

from fluxion.registry import Store, System
from schemas.codec import Encoder, schema_text
from schemas.mapping import load, resolve
from schemas.records import CanonicalSet, ChangeSet, Column, End, Layout, Op, Row, Type
from stream_processors.drafts import Raw
from stream_processors.pipeline import records
from stream_processors.steps.decode import decoding
from stream_processors.steps.map import Mapping

SYSTEM = "6b1c8f0e-3c54-4d8b-9f5e-0d2a7c1b9a10"
STORE_1 = "0a54f7c2-6f0e-4b7e-8d61-1f1f6b7a2c01"
STORE_2 = "0a54f7c2-6f0e-4b7e-8d61-1f1f6b7a2c02"
CAPTURED = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
FIRST = 1 << 47

STORES = (
    Store(STORE_1, "1", "Chacao", "America/Caracas", "00:00:00"),
    Store(STORE_2, "2", "Petare", "America/Caracas", "04:00:00"),
)


def layout(table: str, key: list[str], **columns: Type) -> Layout:
    return Layout(table, key, [Column(name, kind) for name, kind in columns.items()])


TRANSACTIONS = layout(
    "transactions",
    ["trans_id"],
    trans_id="integer",
    trans_no="text",
    trans_date="datetime",
    subtotal="decimal",
    tax_amount="decimal",
    total_amount="decimal",
    location_id="integer",
)
DETAILS = layout(
    "transaction_details",
    ["detail_id"],
    detail_id="integer",
    trans_id="integer",
    item_code="text",
    qty="decimal",
    unit_price="decimal",
)
ITEMS = layout(
    "items",
    ["item_id"],
    item_id="integer",
    item_code="text",
    item_name="text",
    sale_price="decimal",
    cost_price="decimal",
    tax_rate="decimal",
    last_sale_date="datetime",
    category_id="integer",
    active="text",
)
STOCK = layout("stock", ["item_id", "location_id"], item_id="integer", location_id="integer", qty_on_hand="decimal")
CATEGORIES = layout("categories", ["category_id"], category_id="integer", category_name="text")

SALE = ["1", "A-1", "2026-11-17T10:00:00", "100.00", "16.00", "116.00", "1"]
LINE = ["11", "1", "000001", "2.500", "40.00"]
ITEM = ["5", "000001", "Harina P.A.N.", "120.00", "80.00", "16.00", "2026-11-17T10:00:00", "7", "Y"]


def system(mapping: dict[str, Any] | None = None, stores: tuple[Store, ...] = STORES, revision: int = 3) -> System:
    data = mapping if mapping is not None else resolve(load("systimax"))
    return System(SYSTEM, SYSTEM, "systimax", "Abasto", {}, data, {}, is_active=True, epoch=1,
                  mapping_revision=revision, stores=stores)  # fmt: skip


def change_set(
    *rows: tuple[Layout, Op, int, Sequence[str | None]], ends: tuple[End, ...] = (), **more: Any
) -> ChangeSet:
    """A change set of (layout, op, txn, values)."""
    layouts: list[Layout] = []
    made: list[Row] = []
    for number, (kind, op, txn, values) in enumerate(rows):
        if kind not in layouts:
            layouts.append(kind)
        made.append(Row(layouts.index(kind), op, txn, FIRST + number, CAPTURED, list(values)))
    parts: dict[str, Any] = {"part": 0, "last_part": True, "system_id": SYSTEM, **more}
    return ChangeSet(
        producer="agent", epoch=1, journal_id=SYSTEM, sequence=1, captured_at=CAPTURED, position="p",
        layouts=layouts, rows=made, ends=list(ends), **parts,
    )  # fmt: skip


ENCODE: Encoder[ChangeSet] = Encoder("change_set", 1)
DECODE = decoding(lambda _: schema_text("change_set"))


def read(change_set: ChangeSet, on: System | None = None) -> CanonicalSet:
    """What the whole chain makes of a change set, from bytes."""
    return records(DECODE, Mapping(on or system()))(Raw("pos.changes.v1", 4, 17, ENCODE(change_set)))


def cells(kind: Layout, values: Sequence[str | None], **changed: str | None) -> list[str | None]:
    """The values with some columns changed."""
    names = [column.name for column in kind.columns]
    assert set(changed) <= set(names)
    return [changed.get(name, value) for name, value in zip(names, values, strict=True)]


def template(**parts: Any) -> dict[str, Any]:
    """Systimax with some fields of its blocks replaced: `product__where={…}`."""
    data: dict[str, Any] = json.loads(json.dumps(resolve(load("systimax"))))
    for path, value in parts.items():
        *above, last = path.split("__")
        place: Any = data
        for step in above:
            place = place[step][0] if isinstance(place[step], list) else place[step]
        place[last] = value
    return data


def without(kind: Layout, *columns: str) -> Layout:
    return Layout(kind.table, kind.key, [column for column in kind.columns if column.name not in columns])
