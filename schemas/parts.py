"""What a template says, block by block: which table feeds which entity, by which fields, references and columns."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.blocks import Block, Fed, OfSaleBlock, SaleBlock
from schemas.forms import AnyValue, Call, Column, Constant, Reference, referred
from schemas.identity import Entity
from schemas.template import Template


@dataclass(frozen=True)
class Part:
    """A block with the entity that it feeds and its name in the template.

    sale: the header's block that it belongs to. ordinal: its place among the header's own tenders or taxes, from 1, where
    it stands in the header's row; else None.
    """

    entity: Entity
    name: str
    block: Fed
    table: str
    sale: SaleBlock | None = None
    ordinal: int | None = None


def parts(template: Template) -> Iterator[Part]:
    """Yield every block, a sale's lines, tenders and taxes behind the sale."""
    entities: tuple[Entity, ...] = ("category", "supplier", "product", "stock", "movement", "sale")
    for entity in entities:
        found: tuple[Block, ...] = getattr(template, entity)
        for block in found:
            yield Part(entity, entity, block, block.from_)
            if isinstance(block, SaleBlock):
                yield from _parts_of(block)


def _parts_of(sale: SaleBlock) -> Iterator[Part]:
    yield Part("line", "sale.lines", sale.lines, sale.lines.from_, sale)
    lists: tuple[tuple[Entity, str, tuple[Fed, ...]], ...] = (
        ("payment", "sale.payments", sale.payments),
        ("tax", "sale.taxes", sale.taxes),
    )
    for entity, name, blocks in lists:
        ordinal = 0
        for block in blocks:
            if isinstance(block, Block):
                yield Part(entity, name, block, block.from_, sale)
            else:
                ordinal += 1
                yield Part(entity, name, block, sale.from_, sale, ordinal)


_NO_FIELDS = frozenset({"store"})


def fields(block: Fed) -> dict[str, AnyValue]:
    """Return the block's fields that hold values, by name; references, keys and conditions are not among them."""
    skipped = _NO_FIELDS | {"doc_type"} if isinstance(block, OfSaleBlock) else _NO_FIELDS
    return {
        name: value
        for name in type(block).model_fields
        if name not in skipped and isinstance(value := getattr(block, name), Constant | Column | Call)
    }


def references(block: Fed) -> dict[str, tuple[Entity, Reference]]:
    """Return what the block's rows refer to: the reference's name → the other entity and the columns that hold its key."""
    refers = block.refers if isinstance(block, Block) else {}
    return {
        name: (entity, referred(value))
        for name, entity in refers.items()
        if (value := getattr(block, name)) is not None
    }


def choices(ref: Reference) -> Iterator[Reference]:
    """Yield a reference and what stands `otherwise`, in the order in which they are tried."""
    found: Reference | None = ref
    while found is not None:
        yield found
        found = found.otherwise


def columns_of(value: AnyValue | Reference) -> tuple[str, ...]:
    """Return the columns that a value, or one choice of a reference, is read from."""
    if isinstance(value, Column):
        return (value.column,)
    if isinstance(value, Call):
        return tuple(column for one in value.columns for column in columns_of(one))
    if isinstance(value, Reference):
        return (*value.where, *(part for part in value.key if isinstance(part, str)))
    return ()
