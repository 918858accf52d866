"""`extends`: what is merged, what is replaced, what is refused."""

from pathlib import Path

import pytest

from fluxion.errors import MappingError
from schemas.mapping import load, resolve
from schemas.mapping_text import merged
from schemas.template import Template

SYSTIMAX = load("systimax")
HEAD = "template: own\nversion: 1\nextends: systimax@1\n"


def write(folder: Path, text: str, name: str = "own") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def extended(folder: Path, text: str) -> Template:
    return load(write(folder, HEAD + text))


def refusal(path: Path) -> str:
    with pytest.raises(MappingError) as caught:
        load(path)
    return caught.value.message


def test_what_is_not_said_is_inherited(tmp_path: Path) -> None:
    found = extended(tmp_path, "")
    assert (found.template, found.version, found.title) == ("own", 1, SYSTIMAX.title)
    assert resolve(found) == {**resolve(SYSTIMAX), "template": "own"}
    assert "extends" not in resolve(found)


def test_blocks_are_merged_by_field_and_fields_replaced_whole(tmp_path: Path) -> None:
    found = extended(
        tmp_path,
        """
title: Mi cadena
defaults: {currency: USD}
product:
  barcode: codigo_barra
  cost_price: ~
  where: {active: Y}
sale:
  doc_type: {column: kind, map: {F: invoice}}
  lines: {line_no: renglon}
""",
    )
    expected = resolve(SYSTIMAX) | {"template": "own", "title": "Mi cadena"}
    expected["defaults"] = {**expected["defaults"], "currency": "USD"}
    product, sale = {**expected["product"][0]}, {**expected["sale"][0]}
    product["barcode"] = {"column": "codigo_barra", "optional": False}
    product["where"] = {"active": ["Y"]}
    del product["cost_price"]
    sale["doc_type"] = {"column": "kind", "optional": False, "map": {"F": "invoice"}}
    sale["lines"] = {**sale["lines"], "line_no": {"column": "renglon", "optional": False}}
    assert resolve(found) == {**expected, "product": [product], "sale": [sale]}


def test_a_list_replaces_what_it_extends(tmp_path: Path) -> None:
    found = extended(tmp_path, "sale: {payments: []}\nstock: ~\ncategory: [{from: rubros, key: id, name: nombre}]\n")
    assert (found.sale[0].payments, found.stock, found.category[0].from_) == ((), (), "rubros")


def test_over_several_blocks_only_a_list_can_stand() -> None:
    base = {"product": [{"from": "a"}, {"from": "b"}]}
    with pytest.raises(MappingError, match="product has several blocks in what the template extends"):
        merged(base, {"product": {"sku": "x"}})
    assert merged(base, {"product": [{"from": "c"}]}) == {"product": [{"from": "c"}]}
    assert base == {"product": [{"from": "a"}, {"from": "b"}]}


def test_of_several_blocks_the_one_of_the_same_table_is_merged() -> None:
    base = {"product": [{"from": "a", "sku": "x"}, {"from": "b", "sku": "y"}], "sale": [{"from": "a"}, {"from": "a"}]}
    assert merged(base, {"product": {"from": "b", "name": "n", "sku": None}}) == {
        **base,
        "product": [{"from": "a", "sku": "x"}, {"from": "b", "name": "n"}],
    }
    for unclear in ({"product": {"from": "c"}}, {"sale": {"from": "a"}}):
        with pytest.raises(MappingError, match="has several blocks"):
            merged(base, unclear)


def test_a_base_may_stand_beside_and_extend_another(tmp_path: Path) -> None:
    write(tmp_path, "template: chain\nversion: 3\nextends: systimax@1\nproduct: {barcode: ean}\n", "chain")
    found = load(write(tmp_path, "template: shop\nversion: 1\nextends: chain@3\nproduct: {cost_price: costo}\n"))
    assert (found.template, found.version) == ("shop", 1)
    for value, column in ((found.product[0].barcode, "ean"), (found.product[0].cost_price, "costo")):
        assert getattr(value, "column", None) == column


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("template: own\nversion: 1\nextends: sistimax@1\n", "no template 'sistimax', did you mean 'systimax'"),
        ("template: own\nversion: 1\nextends: systimax@7\n", "extends systimax@7, and systimax is at version 1"),
        ("template: own\nversion: 1\nextends: systimax\n", "extends is 'systimax'"),
        ("template: own\nversion: 1\nextends: 3\n", "extends is 3"),
        ("template: own\nversion: 1\nextends: own@1\n", "extends itself: own@1 → own@1"),
        ("extends: systimax@1\n", "has no template and no version of its own"),
        (HEAD + "product: {skuu: x}\n", "product.0.skuu is not known, did you mean 'sku'?"),
    ],
)
def test_what_cannot_be_extended_is_said(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(write(tmp_path, text))


def test_a_ring_of_templates_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "template: b\nversion: 1\nextends: c@1\n", "b")
    write(tmp_path, "template: c\nversion: 1\nextends: b@1\n", "c")
    path = write(tmp_path, "template: a\nversion: 1\nextends: b@1\n", "a")
    assert refusal(path).endswith("extends itself: a@1 → b@1 → c@1 → b@1")
