"""Reads sales whole, with their lines, tenders and taxes."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from sinks.stored import StoredLine, StoredPart, StoredPayment, StoredSale, StoredTax
from sinks.tables import Link

SaleKey = tuple[str, str]

_SALE = {
    "tenant_id": "s.tenant_id::text",
    "id": "s.id::text",
    "system_id": "s.pos_system_id::text",
    "external_id": "coalesce(s.external_id, '')",
    "store_id": "s.store_id::text",
    "original_sale_id": "s.original_sale_id::text",
    "purged": "s.purged_at is not null",
    "deleted": "s.deleted_at is not null",
}
_NOT_OF_THE_ROW = {"lines", "payments", "taxes", "found_original_id"}
_PART = {
    "id": "i.id::text",
    "purged": "i.purged_at is not null",
    "deleted": "i.deleted_at is not null",
    "gone_for": "extract(epoch from clock_timestamp() - i.purged_at)::float8",
}
# A line's product: the one it is linked with, or else the first that has its SKU today.
_LINE = {
    "product_id": "coalesce(linked.id, found.id)::text",
    "sku": "coalesce(i.sku, linked.sku)",
    "name": "coalesce(i.name, linked.name, found.name)",
}
_PRODUCT = """
left join fluxion.products linked on linked.tenant_id = i.tenant_id and linked.id = i.product_id
left join lateral (
  select p.id, p.name from fluxion.products p
  where i.product_id is null and p.tenant_id = i.tenant_id and p.pos_system_id = i.pos_system_id and p.sku = i.sku
    and p.deleted_at is null
  order by p.id limit 1
) found on true
"""


def _columns_of(kind: type[msgspec.Struct], said: dict[str, str], alias: str) -> str:
    names = [name for name in kind.__struct_fields__ if name not in _NOT_OF_THE_ROW]
    return ", ".join(said.get(name, f"{alias}.{name}") for name in names)


def _of_parts(table: str, kind: type[msgspec.Struct], said: dict[str, str], more: str = "") -> bytes:
    return (
        f"select i.sale_id::text, {_columns_of(kind, said, 'i')}"  # noqa: S608 -- only our own constants
        " from unnest(%s::uuid[], %s::uuid[]) as wanted (tenant_id, id)"
        f" join {table} i on i.tenant_id = wanted.tenant_id and i.sale_id = wanted.id {more}"
    ).encode()


# What is neither announced nor closed cannot be announced yet.
_SALES = (
    f"select {_columns_of(StoredSale, _SALE, 's')}"  # noqa: S608 -- only our own constants
    " from unnest(%s::uuid[], %s::uuid[]) as wanted (tenant_id, id)"
    " join fluxion.sales s on s.tenant_id = wanted.tenant_id and s.id = wanted.id"
    " where s.has_header and (s.closed or s.announced_version is not null) order by s.tenant_id, s.id"
).encode()
_LINES = _of_parts("fluxion.sale_items", StoredLine, _PART | _LINE, _PRODUCT)
_PAYMENTS = _of_parts("fluxion.sale_payments", StoredPayment, _PART)
_TAXES = _of_parts("fluxion.sale_taxes", StoredTax, _PART)

# The number that a return names, where it is one document's alone in that store; its own may be the same.
_ORIGINALS = """
select wanted.id::text, min(o.id::text)
from unnest(%s::uuid[], %s::uuid[]) as wanted (tenant_id, id)
join fluxion.sales s on s.tenant_id = wanted.tenant_id and s.id = wanted.id
join fluxion.sales o on o.tenant_id = s.tenant_id and o.store_id = s.store_id and o.number = s.original_number
  and o.id <> s.id and o.has_header and o.deleted_at is null and o.doc_type is distinct from 'credit_note'
group by wanted.id having count(*) = 1
"""


def read_sales(link: Link, keys: Iterable[SaleKey]) -> list[StoredSale]:
    """Return those of the sales (tenant, id) that are announced or may be, each with its parts."""
    rows = link.execute(_SALES, columns(keys, 2)).fetchall()
    if not rows:
        return []
    wanted = columns((row[:2] for row in rows), 2)
    lines = _parts(link, _LINES, wanted, StoredLine)
    payments = _parts(link, _PAYMENTS, wanted, StoredPayment)
    taxes = _parts(link, _TAXES, wanted, StoredTax)
    sales = [StoredSale(*(*row, *(tuple(parts.get(row[1], ())) for parts in (lines, payments, taxes)))) for row in rows]
    return _with_originals(link, sales)


P = TypeVar("P", bound=StoredPart)


def _parts(link: Link, query: bytes, wanted: list[list[object]], kind: type[P]) -> dict[str, list[P]]:
    found: dict[str, list[P]] = {}
    for sale_id, *row in link.execute(query, wanted):
        found.setdefault(sale_id, []).append(kind(*row))
    return found


def _with_originals(link: Link, sales: list[StoredSale]) -> list[StoredSale]:
    returns = [(sale.tenant_id, sale.id) for sale in sales if sale.original_number and not sale.original_sale_id]
    if not returns:
        return sales
    found: dict[str, str] = dict(link.execute(_ORIGINALS, columns(returns, 2)).fetchall())
    return [msgspec.structs.replace(sale, found_original_id=found.get(sale.id)) for sale in sales]


def columns(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    """Turn rows into columns, `width` of them also where there is no row: arrays for `unnest`."""
    turned = [list(column) for column in zip(*rows, strict=True)]
    return turned or [[] for _ in range(width)]
