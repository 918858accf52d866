"""Properties of a template's closures: whatever a row holds, it becomes values or a fault; order of columns means nothing."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Decoder, Encoder, schema_text
from schemas.mapping import resolve, restore
from schemas.records import CanonicalSet, Column, Layout
from tests.stream_processors.own_pos import SHOPS
from tests.stream_processors.sets import change_set, read, system

WRITE: Encoder[CanonicalSet] = Encoder("canonical_set", 2)
READ: Decoder[CanonicalSet] = Decoder("canonical_set", CanonicalSet, lambda _: schema_text("canonical_set"))
# Column: what it mostly is, so that sound rows come out too; any of the others now and then.
COLUMNS = {"a": "integer", "b": "text", "c": "datetime", "d": "decimal", "e": "integer"}
TYPES = [
    "integer",
    "decimal",
    "float",
    "boolean",
    "text",
    "bytes",
    "date",
    "time",
    "datetime",
    "instant",
    "uuid",
    "json",
]
TYPICAL = [
    None, "", " ", "0", "1", "-1", "12.50", "1,234", "1.234,56", "Bs. 5", "S", "FAC", "DEV", "invoice", "completed", "general",
    "2026-11-17", "2026-11-17T10:00:00", "2026-11-17T10:00:00Z", "10:00:00", "2016-05-01T02:45:00", "2026-02-30", "1899-12-30",
    "0001-01-01T00:00:00", "9999-12-31T23:59:59", "NaN", "Infinity", "1e400", "a\0b", "á", "٣", "x" * 600, "9" * 40,
]  # fmt: skip
ANY_CELL = st.one_of(st.sampled_from(TYPICAL), st.text(max_size=8))
SOUND = {
    "a": ["1", "2"], "b": ["S", "FAC", "DEV", "1.234,56"], "c": ["2026-11-17T10:00:00", "2016-05-01T02:45:00", "0001-01-01T00:00:00"],
    "d": ["12.50", "-3.00001", "0.00"], "e": ["1", "2"],
}  # fmt: skip
PLAIN: st.SearchStrategy[Any] = st.sampled_from(list(COLUMNS))


def mostly(column: str) -> st.SearchStrategy[Any]:
    return st.one_of(*[st.just(column)] * 4, PLAIN)


def value(column: str, **more: Any) -> st.SearchStrategy[Any]:
    """A field's value in short or in full."""
    full = st.fixed_dictionaries({"column": mostly(column)}, optional={"optional": st.booleans(), **more})
    return st.one_of(mostly(column), full)


def call(names: list[str], *columns: str) -> st.SearchStrategy[Any]:
    some = st.tuples(*[mostly(column) for column in columns]).map(list)
    return st.fixed_dictionaries({"columns": some, "call": st.sampled_from(names)})


NUMBER = st.one_of(
    value("d", format=st.sampled_from(["1.234,56", "1,234.56"])), call(["signed", "difference", "times"], "d", "a")
)
TEXT = st.one_of(
    value("b", map=st.just({"S": "x", "1": "y"})), call(["joined", "first"], "b", "a"), st.just({"value": 7})
)
BOOLEAN = value("b", map=st.just({"S": True, "1": False}))
MOMENT = st.one_of(
    value("c", format=st.just("%d/%m/%Y")), call(["date_and_time"], "c", "c"), call(["date_only"], "c"), mostly("c")
)
KIND = st.one_of(
    st.just({"column": "b", "map": {"FAC": "invoice", "DEV": "credit_note"}, "else": "debit_note"}),
    st.just({"value": "invoice"}), PLAIN, call(["return_if_negative"], "d"),
)  # fmt: skip
WHERE = st.one_of(
    st.just({}), st.just({}), st.dictionaries(PLAIN, st.sampled_from(["S", 1, ["FAC", "DEV"]]), max_size=2)
)


def block(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"from": st.just("t"), **fields, "where": WHERE})


TEMPLATES = st.fixed_dictionaries(
    {
        "template": st.just("any"),
        "version": st.just(1),
        "title": st.just("Any"),
        "databases": st.just(["mariadb"]),
        "keys": st.sampled_from(["exact", "ignore_case"]),
        "category": block(key=mostly("a"), name=TEXT, parent=PLAIN),
        "supplier": block(key=st.just({"primary": True}), name=TEXT),
        "product": block(
            key=mostly("a"), sku=TEXT, name=TEXT, category=PLAIN, selling_price=NUMBER, cost_price=NUMBER, is_active=BOOLEAN,
            last_sale_at=MOMENT,
        ),
        "movement": block(
            key=st.lists(PLAIN, min_size=2, max_size=2, unique=True), product=PLAIN, kind=TEXT, quantity=NUMBER,
            occurred_at=MOMENT, store=st.just("e"),
        ),
        "sale": block(
            key=mostly("a"), number=TEXT, doc_type=KIND, sold_at=MOMENT, total=NUMBER, store=st.just("e"), line_count=mostly("a"),
            business_date=MOMENT.filter(lambda one: not isinstance(one, dict) or one.get("call") != "date_and_time"),
            payments=st.lists(st.fixed_dictionaries({"amount": NUMBER, "method": TEXT}), max_size=2),
            taxes=st.lists(st.fixed_dictionaries({"base": NUMBER, "category": st.just({"value": "exempt"})}), max_size=1),
            closed_when=WHERE,
            lines=block(key=mostly("a"), sale=mostly("a"), sku=TEXT, quantity=NUMBER, line_total=NUMBER),
        ),
    }
)  # fmt: skip


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    some = st.lists(st.sampled_from(list(COLUMNS)), unique=True, min_size=1)
    names = draw(st.one_of(*[st.just(list(COLUMNS))] * 4, some))
    kinds: list[Any] = [draw(st.one_of(*[st.just(COLUMNS[name])] * 5, st.sampled_from(TYPES))) for name in names]
    return Layout("t", names[:1], [Column(name, kind) for name, kind in zip(names, kinds, strict=True)])


def cells_of(data: st.DataObject, kind: Layout) -> list[str | None]:
    return [data.draw(st.one_of(*[st.sampled_from(SOUND[column.name])] * 6, ANY_CELL)) for column in kind.columns]


@settings(max_examples=60, deadline=None)
@given(TEMPLATES, layouts(), st.data())
def test_any_row_of_any_layout_becomes_values_or_a_fault(
    template: dict[str, Any], kind: Layout, data: st.DataObject
) -> None:
    on = system(resolve(restore(template)), SHOPS)
    rows: list[Any] = [(kind, op, number, cells_of(data, kind)) for number, op in enumerate(["c", "u", "d", "r"])]
    made = read(change_set(*rows), on)
    versions = {entry.version for entry in made.quarantined}
    assert len(versions) == len(made.quarantined), "a row has one entry"
    assert not {entry.code for entry in made.quarantined} & {"STEP_FAILED", "INTERNAL"}
    assert all(entry.change is not None and "; " in entry.message for entry in made.quarantined)
    assert READ(WRITE(made)) == made


def without_change(made: CanonicalSet) -> list[Any]:
    """A set without what shows the order of the columns by itself."""
    by_row = [(entry.version, entry.code, json.loads(entry.raw)) for entry in made.quarantined]
    return [made.categories, made.suppliers, made.products, made.stock, made.movements, made.sales, by_row]


@settings(max_examples=60, deadline=None)
@given(TEMPLATES, layouts(), st.data())
def test_the_order_of_the_columns_makes_no_difference(
    template: dict[str, Any], kind: Layout, data: st.DataObject
) -> None:
    on = system(resolve(restore(template)), SHOPS)
    row = cells_of(data, kind)
    order = data.draw(st.permutations(range(len(row))))
    turned = Layout("t", kind.key, [kind.columns[at] for at in order])
    one = read(change_set((kind, "u", 0, row)), on)
    other = read(change_set((turned, "u", 0, [row[at] for at in order])), on)
    assert without_change(one) == without_change(other)
