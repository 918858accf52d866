"""Lines that name their product by the point of sale's own key and have no code of their own."""

from msgspec.structs import replace

from tests.sinks.desk import Desk


def test_a_line_without_a_code_is_announced_with_its_products(desk: Desk) -> None:
    mine = desk.shop
    bare = mine.line(7, 1, sku=None, product_ref=mine.id("product", 5))
    unknown = mine.line(7, 2, sku=None, product_ref=mine.id("product", 6))
    own = mine.line(7, 3, sku="OTHER", product_ref=mine.id("product", 5))
    desk.write(mine.record(products=[mine.product(5)]))
    desk.sales(replace(mine.sale(7), lines=[bare, unknown, own]))
    ((_, said),) = desk.events()
    assert [(line["sku"], line["productId"]) for line in said["lines"]] == [
        ("SKU-5", mine.id("product", 5)),
        (None, None),
        ("OTHER", mine.id("product", 5)),
    ]
