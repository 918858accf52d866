"""What every closure of a table needs: a row's key and condition, its fields, and what to do where the layout cannot serve."""

from collections.abc import Callable
from typing import NamedTuple, NoReturn, TypeVar, cast

from fluxion.errors import MappingError
from schemas.blocks import Block, OfSaleBlock, SaleBlock
from schemas.forms import Primary
from schemas.identity import Entity
from schemas.parts import Part, fields
from schemas.records import Row
from stream_processors.cells import MEND_TEMPLATE, Cells, Holds, Sent
from stream_processors.context import Context
from stream_processors.drafts import ColumnMissingError, Draft, KeyMissingError
from stream_processors.getters import Get, getter
from stream_processors.reader import Reader

T = TypeVar("T")
# (row, its index in the change set) → the draft; None where the row is not meant
Make = Callable[[Row, int], Draft | None]


class Maker(NamedTuple):
    """What makes one entity of a table's rows. own: the id of the record that a row is, whatever else of it cannot be read."""

    entity: Entity
    make: Make
    own: Callable[[Cells], str]


def attempt(work: Callable[[], T]) -> T:
    """Return the closure that `work` makes; where the layout cannot serve it, one that says so for each row."""
    try:
        return work()
    except MappingError as fault:
        return cast("T", _failing(fault))


def _failing(fault: MappingError) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        # A new one for each row: an exception that is raised twice gathers tracebacks.
        raise type(fault)(fault.message, fault.mend)

    return fail


def keys_of(sent: Sent, part: Part) -> Callable[[Cells], tuple[str, ...]]:
    """Return what reads the words of a row's key."""
    block = cast("Block", part.block)
    columns = tuple(sent.key) if isinstance(block.key, Primary) else block.key
    if not columns:
        message = f"{sent.table} has no primary key, and the template names none for {part.name}"
        raise ColumnMissingError(message, MEND_TEMPLATE)
    keys = sent.keys(columns, f"{part.name}.key")

    def read(cells: Cells) -> tuple[str, ...]:
        words = keys(cells)
        if words is None:
            message = f"the key of {sent.table} ({', '.join(columns)}) is null or blank"
            raise KeyMissingError(message, "give the row its key in the source")
        return words

    return read


def holds_of(sent: Sent, part: Part) -> Holds:
    """Return what tells whether a row is one that the block means."""
    where = cast("Block", part.block).where
    return attempt(lambda: sent.matches(where, f"{part.name}.where"))


def joined(words: tuple[str, ...]) -> str:
    """Write a key of several columns for people: "a/b", a slash inside doubled."""
    return "/".join(word.replace("/", "//") for word in words)


def _doc_type(sent: Sent, part: Part) -> Get | None:
    """Return what tells a return's rows from others, where the POS writes a return's amounts negative."""
    sale = part.block if isinstance(part.block, SaleBlock) else part.sale
    if sale is None or sale.returns == "positive":
        return None
    value = part.block.doc_type if isinstance(part.block, OfSaleBlock) else None
    return getter("doc_type", value or sale.doc_type, sent)


def reader_of(context: Context, sent: Sent, part: Part) -> Reader:
    """Return what reads the block's fields; raises ColumnMissingError where the layout cannot serve it."""
    return Reader(sent, part.name, fields(part.block), context.refs(sent, part), _doc_type(sent, part))
