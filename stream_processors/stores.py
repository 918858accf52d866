"""Which store a row belongs to."""

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from fluxion.errors import DataValidationError
from schemas.blocks import MovementBlock, SaleBlock, StockBlock
from stream_processors.cells import Cells, Sent
from stream_processors.drafts import UnknownStoreError
from stream_processors.getters import Get, getter, was_sent

Find = Callable[[Cells], "Shop"]


@dataclass(frozen=True)
class Shop:
    """A store as sales need it; `cutoff` is HH:MM:SS, a sale before it belongs to the business day before."""

    id: str
    zone: ZoneInfo
    cutoff: str


@dataclass(frozen=True)
class Shops:
    """A system's stores by external id. `only`: the store that every row belongs to, where there is one."""

    named: dict[str, Shop]
    only: Shop | None

    def finder(self, sent: Sent, block: StockBlock | MovementBlock | SaleBlock) -> Find:
        """Return what finds a row's store; it raises UnknownStoreError."""
        get = None if block.store is None or not was_sent(block.store, sent) else getter("store", block.store, sent)
        named, only = self.named, self.only

        def find(cells: Cells) -> Shop:
            word = None if get is None else _word(get, cells)
            found = only if get is None else named.get(word or "") or (None if named else only)
            if found is None:
                said = (
                    "names no store"
                    if word is None
                    else f"names the store {word!r:.80}, which the registry does not know"
                )
                message = f"the row of {sent.table} {said}"
                raise UnknownStoreError(message, "add it with `fluxion store add`, then retry the row from quarantine")
            return found

        return find


def _word(get: Get, cells: Cells) -> str | None:
    try:
        word = get(cells)
    except (ValueError, ArithmeticError) as fault:
        message = f"the store cannot be read ({fault})"
        raise DataValidationError(message, "mend the value in the point of sale, or correct the template") from None
    return word if isinstance(word, str) else None
