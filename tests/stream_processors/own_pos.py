"""A point of sale of a shop's own making, with everything that a template can say; and rows of it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fluxion.registry import Store, System
from schemas.mapping import load, resolve
from schemas.records import CanonicalSet, ChangeSet, SaleHeader
from tests.stream_processors.sets import STORE_1, STORE_2, cells, layout, read, system

TEXT = """
template: propio
version: 1
title: Sistema propio
databases: [mariadb]
keys: ignore_case
category: {from: rubros, key: id, name: nombre, parent: padre}
supplier: {from: proveedores, key: id, name: nombre, tax_id: rif}
product: {from: articulos, key: id, sku: codigo, name: nombre, category: rubro, supplier: proveedor, selling_price: precio}
movement:
  from: movimientos
  key: id
  store: tienda
  product: articulo
  kind: tipo
  quantity: {columns: [cantidad, {column: tipo, map: {E: 1, S: -1, V: -1}}], call: signed}
  reference: documento
  occurred_at: fecha
sale:
  from: documentos
  key: [caja, numero, tipo]
  store: tienda
  since: fecha
  closed_when: {estado: [C, A]}
  lines_saved: live
  returns: negative
  number: {columns: [{value: "-"}, serie, numero], call: joined}
  control_number: control
  doc_type: {column: tipo, map: {FAC: invoice, DEV: credit_note, ND: debit_note, NE: delivery_note}}
  status: {column: estado, map: {C: completed, A: voided}, else: partial}
  register_id: caja
  shift_id: turno
  cashier_id: cajero
  sold_at: {columns: [fecha, hora], call: date_and_time}
  currency: moneda
  exchange_rate: tasa
  subtotal: subtotal
  discount_total: descuento
  tax_total: iva
  igtf_total: igtf
  rounding: redondeo
  total: total
  original: {key: [caja, afectada, {value: FAC}]}
  original_number: afectada
  customer_name: cliente
  customer_tax_id: {columns: [rif], call: rif}
  fiscal_printer: impresora
  fiscal_number: fiscal
  fiscal_z: zeta
  lines:
    from: renglones
    key: id
    sale: [caja, numero, tipo]
    doc_type: {column: tipo, map: {DEV: credit_note}, else: invoice}
    sku: codigo
    scanned_code: barra
    quantity: cantidad
    unit: unidad
    unit_price: precio
    discount: descuento
    line_total: importe
    tax_rate: alicuota
    tax_category: {column: exento, map: {S: exempt, N: general, "8": reduced}}
    kit_parent: combo
    line_no: renglon
  payments:
    from: pagos
    key: id
    sale: [caja, numero, tipo]
    doc_type: {column: tipo, map: {DEV: credit_note}, else: invoice}
    method: {column: forma, map: {EFE: cash, DIV: cash, TDD: card}, else: other}
    currency: moneda
    amount: monto
    rate: tasa
    amount_base: {columns: [monto, tasa], call: times}
    igtf: igtf
    reference: referencia
  taxes:
    - {category: {value: general}, rate: {value: 16}, base: base, amount: iva}
    - {category: {value: exempt}, base: exento}
"""

BRANCHES = layout("rubros", ["id"], id="integer", nombre="text", padre="integer")
SUPPLIERS = layout("proveedores", ["id"], id="integer", nombre="text", rif="text")
ARTICLES = layout(
    "articulos", ["id"], id="integer", codigo="text", nombre="text", rubro="integer", proveedor="integer",
    precio="decimal",
)  # fmt: skip
MOVES = layout(
    "movimientos", ["id"], id="integer", tienda="text", articulo="integer", tipo="text", cantidad="decimal",
    documento="text", fecha="datetime",
)  # fmt: skip
DOCUMENTS = layout(
    "documentos", ["caja", "numero", "tipo"], caja="text", numero="text", tipo="text", tienda="text", serie="text",
    control="text", estado="text", turno="integer", cajero="text", fecha="date", hora="time", moneda="text",
    tasa="decimal", subtotal="decimal", descuento="decimal", base="decimal", exento="decimal", iva="decimal",
    igtf="decimal", redondeo="decimal", total="decimal", afectada="text", cliente="text", rif="text",
    impresora="text", fiscal="text", zeta="text",
)  # fmt: skip
LINES = layout(
    "renglones", ["id"], id="integer", caja="text", numero="text", tipo="text", codigo="text", barra="text",
    cantidad="decimal", unidad="text", precio="decimal", descuento="decimal", importe="decimal", alicuota="decimal",
    exento="text", combo="integer", renglon="integer",
)  # fmt: skip
PAYMENTS = layout(
    "pagos", ["id"], id="integer", caja="text", numero="text", tipo="text", forma="text", moneda="text",
    monto="decimal", tasa="decimal", igtf="decimal", referencia="text",
)  # fmt: skip

INVOICE: list[str | None] = [
    "01", "000123", "FAC", "1", "A", "00-4567", "C", "2", "maria", "2026-11-17", "10:30:15", "VES",
    "36.5000", "100.00", "0.00", "80.00", "20.00", "12.80", "0.00", "0.00", "112.80", None, "Ana Pérez", "v114702834",
    "Z1B1234567", "00089", "0123",
]  # fmt: skip
LINE: list[str | None] = [
    "9001", "01", "000123", "FAC", "000001", "2000010012503", "1.250", "KG", "64.00", "0.00", "80.00", "16.00", "N",
    None, "1",
]  # fmt: skip
PAYMENT: list[str | None] = ["501", "01", "000123", "FAC", "EFE", "VES", "112.80", "1.0000", "0.00", None]

SHOPS = (
    Store(STORE_1, "1", "Chacao", "America/Caracas", "00:00:00"),
    Store(STORE_2, "2", "Petare", "America/Caracas", "04:00:00"),
)


def mapping(text: str = TEXT) -> dict[str, Any]:
    """A template's text as it is stored."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "propio.yaml"
        path.write_text(text, encoding="utf-8")
        return resolve(load(path))


OWN: System = system(mapping(), stores=SHOPS)


def made(change_set: ChangeSet, on: System = OWN) -> CanonicalSet:
    """What the chain makes of it."""
    return read(change_set, on)


def document(**changed: str | None) -> list[str | None]:
    return cells(DOCUMENTS, INVOICE, **changed)


def header(found: CanonicalSet) -> SaleHeader:
    """The header of a set's only sale; nothing of it was refused."""
    assert found.quarantined == []
    (sale,) = found.sales
    assert sale.header is not None
    return sale.header
