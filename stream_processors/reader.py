"""Reads every field of one block from a row."""

from collections.abc import Callable, Mapping
from functools import partial
from zoneinfo import ZoneInfo

from fluxion.errors import DataValidationError, FluxionError
from schemas.calls import negated
from schemas.fields import RETURN, SIGNED, kind_of
from schemas.forms import AnyValue
from stream_processors.cells import Cells, Sent
from stream_processors.drafts import Values
from stream_processors.getters import Get, MomentGet, getter, moment_getter, was_sent

AMBIGUOUS_TIME = "AMBIGUOUS_TIME"
_MEND = "mend the value in the point of sale, or correct the template and retry the row from quarantine"


class Reader:
    """Reads the fields and references of one block. `unsent`: mapped fields of which the layout lacks a column.

    place: the block's name, for faults. doc_type: where the POS writes returns with negative amounts, what tells that a
    row is a return's; its amounts are then turned round.
    """

    def __init__(
        self,
        sent: Sent,
        place: str,
        found: Mapping[str, AnyValue],
        refs: list[tuple[str, Get]],
        doc_type: Get | None = None,
    ) -> None:
        self._place = place
        self._gets = list(refs)
        self._moments: list[tuple[str, MomentGet]] = []
        self._doc_type = doc_type
        missing: list[str] = []
        for name, value in found.items():
            if not was_sent(value, sent):
                missing.append(name)
            elif kind_of(name) == "moment":
                self._moments.append((name, moment_getter(name, value, sent)))
            else:
                self._gets.append((name, getter(name, value, sent)))
        self.unsent = tuple(missing)

    def __call__(self, cells: Cells, zone: ZoneInfo) -> tuple[Values, tuple[str, ...]]:
        """Return (field → value, warnings); raises DataValidationError that names every field that cannot be read."""
        warnings: tuple[str, ...] = ()
        try:
            values: Values = {name: get(cells) for name, get in self._gets}
            for name, (get, parse) in self._moments:
                cell = get(cells)
                values[name], precision, is_odd = (None, None, False) if cell is None else parse(cell, zone)
                if is_odd:
                    warnings = (AMBIGUOUS_TIME,)
                if name == "sold_at":
                    values["sold_at_precision"] = precision
            if self._doc_type is not None and self._doc_type(cells) == RETURN:
                values = turned_round(values)
        except (ValueError, ArithmeticError):
            raise self._fault(cells, zone) from None
        return values, warnings

    def _fault(self, cells: Cells, zone: ZoneInfo) -> FluxionError:
        said: list[str] = []
        tries: list[tuple[str, Callable[[], object]]] = [(name, partial(get, cells)) for name, get in self._gets]
        tries += [(name, partial(_read_moment, both, cells, zone)) for name, both in self._moments]
        tries += [] if self._doc_type is None else [("doc_type", partial(self._doc_type, cells))]
        for name, attempt in tries:
            try:
                attempt()
            except ArithmeticError:
                said.append(f"{self._place}.{name}: not readable as a number")
            except ValueError as fault:
                said.append(f"{self._place}.{name}: {fault}")
        return DataValidationError(", ".join(dict.fromkeys(said)) or f"{self._place} cannot be read", _MEND)


def _read_moment(both: MomentGet, cells: Cells, zone: ZoneInfo) -> None:
    get, parse = both
    if (cell := get(cells)) is not None:
        parse(cell, zone)


def turned_round(values: Values) -> Values:
    """Return the values with the sign of every amount and quantity changed."""
    return {
        name: negated(value) if name in SIGNED and isinstance(value, str) else value for name, value in values.items()
    }
