"""Whether a deleted row will be known for what it was, where the source tells its primary key and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.blocks import Block
from schemas.forms import Primary
from schemas.parts import Part, choices, parts, references
from schemas.source_tables import Catalogue
from schemas.template import Template

_PRIMARY = "say `key: {primary: true}`"


@dataclass(frozen=True)
class LostKey:
    """A block whose key is not told of a deleted row. referred: other blocks name its rows by that key."""

    message: str
    mend: str
    referred: bool


def lost_keys(template: Template, catalogue: Catalogue) -> Iterator[LostKey]:
    """Yield every block whose key has columns that are not of its table's primary key: its deletes end in quarantine.

    Where nothing refers to the block, the primary key serves as well, so that is a fault; else it may have no mend here.
    """
    for part in parts(template):
        table = catalogue.get(part.table)
        if not isinstance(part.block, Block) or isinstance(part.block.key, Primary) or table is None:
            continue
        # (a column that the table lacks, or a table without a primary key, is said elsewhere)
        untold = [name for name in part.block.key if name in table.columns and name not in table.key]
        if not untold or not table.key:
            continue
        verb = "are no columns" if len(untold) > 1 else "is no column"
        message = (
            f"{part.name}.key: {', '.join(untold)} {verb} of the primary key of {part.table!r} ({', '.join(table.key)}), which is all that "
            "this source tells of a deleted row, so deletes would wait in quarantine"
        )
        referred = _is_referred_to(part, template)
        mend = f"{_PRIMARY} if what refers to {part.name} can hold that key" if referred else _PRIMARY
        yield LostKey(message, mend, referred)


def _is_referred_to(part: Part, template: Template) -> bool:
    return any(
        entity == part.entity and one.table in {None, part.table}
        for other in parts(template)
        for entity, ref in references(other.block).values()
        for one in choices(ref)
    )
