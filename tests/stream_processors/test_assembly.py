"""Properties of assembling: a sale is the same whatever the order and the parts in which its rows came, and keeps versions."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import CanonicalSet, Change, Layout, Op
from tests.stream_processors.own_pos import DOCUMENTS, LINE, LINES, PAYMENT, PAYMENTS, document, made
from tests.stream_processors.sets import DETAILS, FIRST, SALE, TRANSACTIONS, cells, change_set, layout, read
from tests.stream_processors.sets import LINE as DETAIL

Row = tuple[Layout, Op, int, list[str | None]]


@st.composite
def rows_of_sales(draw: st.DrawFn) -> list[Row]:
    """Rows of a few sales, each row once."""
    rows: list[Row] = []
    for number in range(draw(st.integers(1, 3))):
        key = str(number)
        if draw(st.booleans()):
            rows.append((DOCUMENTS, "c", 0, document(numero=key, total=draw(st.sampled_from(["0", "9.99"])))))
        lines = range(draw(st.integers(0, 4)))
        rows += [(LINES, "c", 0, cells(LINES, LINE, id=f"{key}{at}", numero=key, renglon=str(at))) for at in lines]
        payments = range(draw(st.integers(0, 2)))
        rows += [(PAYMENTS, "c", 0, cells(PAYMENTS, PAYMENT, id=f"{key}{at}", numero=key)) for at in payments]
    return rows


def content(sets: Iterable[CanonicalSet]) -> dict[str, Any]:
    """What sets say of sales, by id and without versions."""
    found: dict[str, Any] = {}
    for one in sets:
        assert one.quarantined == []
        for sale in one.sales:
            for change in changes(sale.header, sale.lines, sale.payments, sale.taxes):
                fields = {name: getattr(change, name) for name in sorted(change.fields)}
                assert found.setdefault(change.id, (sale.id, change.external_id, fields)) == (
                    sale.id, change.external_id, fields,
                )  # fmt: skip
    return found


def changes(header: Change | None, *lists: Iterable[Change]) -> list[Change]:
    return [*([header] if header else []), *(change for one in lists for change in one)]


@settings(max_examples=60, deadline=None)
@given(rows_of_sales(), st.data())
def test_rows_in_any_order_and_in_any_parts_are_the_same_sales(rows: list[Row], data: st.DataObject) -> None:
    turned = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(turned)))
    whole = content([made(change_set(*rows))])
    assert content([made(change_set(*turned))]) == whole
    parts = [change_set(*turned[:cut], last_part=False), change_set(*turned[cut:], part=1)]
    assert content(made(part) for part in parts) == whole


@settings(max_examples=60, deadline=None)
@given(rows_of_sales(), st.data())
def test_in_one_transaction_a_sale_appears_once_and_rows_keep_their_versions(
    rows: list[Row], data: st.DataObject
) -> None:
    turned = data.draw(st.permutations(rows))
    found = made(change_set(*turned))
    assert len({sale.id for sale in found.sales}) == len(found.sales)
    versions = {
        change.version for sale in found.sales for change in changes(sale.header, sale.lines, sale.payments, sale.taxes)
    }
    assert versions == {FIRST + number for number in range(len(turned))}


def test_of_two_headers_in_a_transaction_the_later_is_laid_over_the_earlier() -> None:
    bare = layout("transactions", ["trans_id"], trans_id="integer", location_id="integer", trans_no="text")
    (sale,) = read(change_set((TRANSACTIONS, "c", 0, SALE), (bare, "u", 0, ["1", "1", "B-2"]))).sales
    assert sale.header is not None
    assert (sale.header.number, sale.header.total, sale.header.version) == ("B-2", "116.00", FIRST + 1)
    assert {"number", "total", "sold_at"} <= set(sale.header.fields)
    assert len(sale.header.fields) == len(set(sale.header.fields))
    (sale,) = read(change_set((TRANSACTIONS, "d", 0, SALE), (bare, "c", 0, ["1", "1", "B-2"]))).sales
    assert sale.header is not None
    assert (sale.header.op, sale.header.number, "total" in sale.header.fields) == ("upsert", "B-2", False)
    (sale,) = read(change_set((TRANSACTIONS, "u", 0, SALE), (TRANSACTIONS, "d", 0, SALE))).sales
    assert sale.header is not None
    assert (sale.header.op, sale.header.fields) == ("delete", [])


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**13), max_value=10**13)


@given(DECIMALS)
def test_a_number_is_kept_exactly_or_rounded_half_even_with_its_text_beside_it(number: Decimal) -> None:
    text = format(number, "f")
    (line,) = read(change_set((DETAILS, "c", 0, cells(DETAILS, DETAIL, qty=text)))).sales[0].lines
    rounded = number.quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
    assert Decimal(line.quantity or "") == rounded
    if rounded == number:
        assert line.warnings == []
    else:
        (warning,) = line.warnings
        assert warning == f"PRECISION_REDUCED:quantity={text if len(text) <= 80 else text[:80] + '…'}"
