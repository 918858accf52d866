"""Tickets as shops print them, through every real stage: the right rows and the right events."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from schemas.events import EventSale
from tests.conftest import Cloud
from tests.e2e.abasto import QUIET_S, Abasto, open_abasto

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(240)]

HEADER = (
    "insert into documentos (tipo, estado, caja, numero, fecha, hora, subtotal, descuento, exento, iva, igtf, total, con_iva,"
    " origen, numero_origen, rif, cliente) values ('{tipo}', '{estado}', '01', '{numero}', '2026-11-20', '10:30:00', {subtotal},"
    " {descuento}, {exento}, {iva}, {igtf}, {total}, {con_iva}, {origen}, {numero_origen}, 'J-07013380-5', 'Panadería El Sol')"
)
NOTHING = {
    "tipo": "FAC", "estado": "C", "subtotal": "null", "descuento": "null", "exento": "null", "iva": "null", "igtf": "null",
    "con_iva": 0, "origen": "null", "numero_origen": "null",
}  # fmt: skip
LINE = (
    "insert into renglones (documento, linea, codigo, leido, cantidad, precio, total, tasa_iva, clase)"
    " values (last_insert_id(), {0}, '{1}', {2}, {3}, {4}, {5}, {6}, '{7}')"
)


@dataclass
class Course:
    """What was rung up (name → the document's key) and what came of it in the end."""

    shop: Abasto
    keys: dict[str, int] = field(default_factory=dict)
    events: dict[str, list[tuple[str, EventSale]]] = field(default_factory=dict)

    def ring_up(
        self, name: str, header: Mapping[str, object], *lines: tuple[object, ...], more: tuple[str, ...] = ()
    ) -> int:
        statements = [HEADER.format(**{**NOTHING, "numero": name, **header}), "set @documento = last_insert_id()"]
        statements += [LINE.format(*line).replace("last_insert_id()", "@documento") for line in lines]
        self.shop.pos(*statements, *more)
        self.keys[name] = self._key(name, str(header.get("numero", name)), str(header.get("tipo", "FAC")))
        return self.keys[name]

    def _key(self, name: str, number: str, kind: str) -> int:
        found = self.shop.query(f"select id from documentos where numero = '{number}' and tipo = '{kind}'")
        assert len(found) == 1, name
        return int(found[0][0])

    def kinds(self, name: str) -> list[str]:
        return [kind for kind, _ in self.events.get(name, [])]

    def last(self, name: str) -> EventSale:
        return self.events[name][-1][1]


def announced(course: Course) -> bool:
    keys = {sale.external_id for _, _, sale in course.shop.events()}
    return {str(key) for key in course.keys.values()} <= keys


def changed(course: Course) -> bool:
    """Whether the void and the correction are told too."""
    told = {(ident, sale.external_id) for ident, _, sale in course.shop.events()}
    counts = Counter(key for _, key in told)
    return all(counts[str(course.keys[name])] > 1 for name in ("anulada", "corregida"))


@pytest.fixture(scope="module")
def course(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """One day: tickets are rung up, and when they were announced some are voided, corrected, returned, archived."""
    with open_abasto(cloud, tmp_path_factory.mktemp("tickets") / "shop") as shop:
        course = Course(shop)
        shop.pos(
            "insert into articulos values ('A1', 'Harina P.A.N. 1 kg', 100, 70, 16, 'S'), ('Q1', 'Queso blanco', 12.99, 9, 16, 'S'),"
            " ('P1', 'Pan', 7.77, null, 0, 'S')"
        )
        ring_up_all(course)
        shop.wait(lambda: announced(course) or None, "an event of every ticket")
        what_happens_later(course)
        shop.wait(lambda: (announced(course) and changed(course)) or None, "events of return, void and correction")
        time.sleep(QUIET_S)  # for one too many
        names = {str(key): name for name, key in course.keys.items()}
        seen: set[str] = set()
        for ident, kind, sale in shop.events():
            if ident not in seen:
                course.events.setdefault(names[sale.external_id], []).append((kind, sale))
            seen.add(ident)
        yield course


def ring_up_all(course: Course) -> None:
    discount = {"subtotal": 180, "descuento": 20, "iva": 28.80, "total": 208.80}
    course.ring_up("descuento", discount, (1, "A1", "null", 2, 100, 200, 16, "G"))
    inclusive = {"subtotal": 100, "iva": 16, "total": 116, "con_iva": 1}
    course.ring_up("con_iva", inclusive, (1, "A1", "null", 1, 116, 116, 16, "G"))
    weighed = {"subtotal": 13.86, "iva": 2.22, "total": 16.08}
    lines = [(1, "Q1", "'2000012003475'", 0.3475, 12.99, 4.51, 16, "G"), (2, "P1", "null", 1.2030, 7.77, 9.35, 16, "G")]
    course.ring_up("pesado", weighed, *lines)
    course.ring_up("cero", {"total": 0}, (1, "A1", "null", 1, 0, 0, 16, "G"))
    exempt = ("insert into impuestos values (@documento, 'E', 0, 50, 0)",)
    course.ring_up("exenta", {"exento": 50, "total": 50}, (1, "P1", "null", 5, 10, 50, 0, "E"), more=exempt)
    tenders = (
        (
            "insert into pagos (documento, forma, moneda, monto, tasa, monto_bs, igtf, referencia) values"
            " (@documento, 'EFECTIVO', 'USD', 1.00, 100, 100, 3, null), (@documento, 'TARJETA', 'VES', 16, null, 16, null, '123456784321')"
        ),
    )
    mixed = {"subtotal": 100, "iva": 16, "igtf": 3, "total": 116}
    course.ring_up("igtf", mixed, (1, "A1", "null", 1, 100, 100, 16, "G"), more=tenders)
    plain = {"subtotal": 100, "iva": 16, "total": 116}
    for name in ("anulada", "corregida", "archivada", "devuelta"):
        course.ring_up(name, plain, (1, "A1", "null", 1, 100, 100, 16, "G"))
    live_ticket(course)


def live_ticket(course: Course) -> None:
    """Lines are saved one by one under a live header, with pauses longer than a sale stays quiet."""
    shop = course.shop
    key = course.ring_up("vivo", {"estado": "A", "total": 0})
    for line, code in ((1, "A1"), (2, "Q1")):
        time.sleep(2.5)
        shop.pos(LINE.format(line, code, "null", 1, 100, 100, 16, "G").replace("last_insert_id()", str(key)))
    assert shop.sale(key) == ("partial", "invoice", Decimal(0), False, False)
    shop.pos(f"update documentos set estado = 'C', subtotal = 200, iva = 32, total = 232 where id = {key}")


def what_happens_later(course: Course) -> None:
    shop, keys = course.shop, course.keys
    shop.pos(f"update documentos set estado = 'X' where id = {keys['anulada']}")
    # A correction in two transactions: one event, of the state in the end.
    shop.pos(f"update renglones set cantidad = 3, total = 300 where documento = {keys['corregida']}")
    shop.pos(f"update documentos set subtotal = 300, iva = 48, total = 348 where id = {keys['corregida']}")
    shop.pos(
        f"delete from renglones where documento = {keys['archivada']}",
        f"delete from documentos where id = {keys['archivada']}",
    )
    credit = {
        "tipo": "DEV",
        "numero": "devuelta",
        "numero_origen": "'devuelta'",
        "subtotal": 100,
        "iva": 16,
        "total": 116,
    }
    course.ring_up("devolucion", credit, (1, "A1", "null", 1, 100, 100, 16, "G"))


def test_a_discount_on_the_whole_ticket(course: Course) -> None:
    sale = course.last("descuento")
    assert (sale.subtotal, sale.discount_total, sale.tax_total, sale.total) == ("180", "20", "28.8", "208.8")
    assert sale.totals_match is True
    assert course.kinds("descuento") == ["sale_created"]


def test_prices_that_include_their_tax(course: Course) -> None:
    sale = course.last("con_iva")
    assert sale.prices_include_tax is True
    assert sale.totals_match is True
    assert [(line.unit_price, line.line_total) for line in sale.lines] == [("116", "116")]


def test_weighed_goods_rounded_line_by_line(course: Course) -> None:
    sale = course.last("pesado")
    assert [(line.sku, line.scanned_code, line.quantity, line.line_total) for line in sale.lines] == [
        ("Q1", "2000012003475", "0.3475", "4.51"),
        ("P1", None, "1.203", "9.35"),
    ]
    assert sale.totals_match is True


def test_lines_saved_one_by_one_give_one_event_when_the_ticket_is_closed(course: Course) -> None:
    assert course.kinds("vivo") == ["sale_created"]
    sale = course.last("vivo")
    assert (sale.status, sale.total, [line.sku for line in sale.lines]) == ("completed", "232", ["A1", "Q1"])
    assert sale.complete


def test_a_ticket_of_nothing(course: Course) -> None:
    sale = course.last("cero")
    assert (sale.total, len(sale.lines)) == ("0", 1)
    assert course.kinds("cero") == ["sale_created"]


def test_an_exempt_line_is_exempt_and_not_merely_without_a_rate(course: Course) -> None:
    sale = course.last("exenta")
    assert [(line.tax_rate, line.tax_category) for line in sale.lines] == [("0", "exempt")]
    assert [(tax.category, tax.rate, tax.base, tax.amount) for tax in sale.taxes] == [("exempt", "0", "50", "0")]
    assert course.shop.rows("select tax_rate from fluxion.products where sku = 'P1'") == [(Decimal(0),)]


def test_a_payment_in_two_currencies_with_igtf(course: Course) -> None:
    sale = course.last("igtf")
    assert (sale.total, sale.igtf_total) == ("116", "3")
    assert [(t.method, t.currency, t.amount, t.rate, t.amount_base, t.igtf, t.reference) for t in sale.tenders] == [
        ("EFECTIVO", "USD", "1", "100", "100", "3", None),
        ("TARJETA", "VES", "16", None, "16", None, "********4321"),
    ]
    assert sale.customer is not None
    assert (sale.customer.kind, sale.customer.rif_valid) == ("J", True)
    assert "07013380" not in sale.customer.id


def test_a_void_after_the_announcement(course: Course) -> None:
    assert course.kinds("anulada") == ["sale_created", "sale_voided"]
    assert course.last("anulada").status == "voided"
    assert course.shop.sale(course.keys["anulada"]) == ("voided", "invoice", Decimal(116), False, True)


def test_a_correction_in_two_transactions_is_told_once(course: Course) -> None:
    assert course.kinds("corregida") == ["sale_created", "sale_corrected"]
    sale = course.last("corregida")
    assert (sale.total, [line.quantity for line in sale.lines], sale.totals_match) == ("348", ["3"], True)
    assert sale.version > course.events["corregida"][0][1].version


def test_an_archived_ticket_is_kept_and_nothing_is_told(course: Course) -> None:
    assert course.kinds("archivada") == ["sale_created"]
    assert course.shop.sale(course.keys["archivada"]) == ("completed", "invoice", Decimal(116), True, True)


def test_a_return_with_the_number_of_its_invoice(course: Course) -> None:
    invoice, credit = course.last("devuelta"), course.last("devolucion")
    assert (credit.doc_type, credit.total, credit.original_number) == ("credit_note", "116", "devuelta")
    assert credit.original_sale_id == invoice.sale_id != credit.sale_id
    assert course.kinds("devuelta") == course.kinds("devolucion") == ["sale_created"]
