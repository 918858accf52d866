"""Text of a point of sale, read by locale."""

from tests.stream_processors.sets import ITEM, ITEMS, cells, change_set, layout, read, system, template


def test_money_in_text_is_read_by_locale_and_ambiguous_text_refused() -> None:
    text = layout("items", ["item_id"], **{c.name: c.type for c in ITEMS.columns} | {"sale_price": "text"})
    prices = ["Bs. 1.234,56", "1,234", "1.234", "12,5"]
    made = read(
        change_set(*[(text, "c", 0, cells(text, ITEM, item_id=str(i), sale_price=p)) for i, p in enumerate(prices)])
    )
    assert [product.selling_price for product in made.products] == ["1234.56", "12.5"]
    assert [row.external_id for row in made.quarantined] == ["1", "2"]
    assert made.quarantined[0].error_class == "DATA_VALIDATION_ERROR"
    assert "product.selling_price: '1,234' is ambiguous" in made.quarantined[0].message
    said = system(template(product__selling_price={"column": "sale_price", "format": "1.234,56"}))
    made = read(change_set((text, "c", 0, cells(text, ITEM, sale_price="1.234"))), said)
    assert made.products[0].selling_price == "1234"


def test_every_bad_field_of_a_row_is_named_in_one_entry() -> None:
    text = layout("items", ["item_id"], **{c.name: c.type for c in ITEMS.columns} | {"sale_price": "text"})
    made = read(change_set((text, "c", 0, cells(text, ITEM, sale_price="gratis", active="quizás"))))
    (row,) = made.quarantined
    assert "product.selling_price: 'gratis' is not a number" in row.message
    assert "product.is_active: 'quizás' is neither yes nor no" in row.message
