"""Webhook events: what a body holds, checked against the payloads of the specification."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AliasChoices, AwareDatetime, BaseModel, Field, ValidationError

from producers.gateway.document import Plain, RefusedError, parse
from producers.gateway.payloads import ProductUpdated, SaleCompleted, StockMovement
from schemas.mapping_text import near

MOST_EVENTS = 500
# What a refusal names; who sends a thousand faults needs no list of them.
MOST_FAULTS = 20

EventType = Literal["sale_completed", "product_updated", "stock_movement"]
Data = SaleCompleted | ProductUpdated | StockMovement
_DATA: Final[Mapping[str, tuple[EventType, type[Data]]]] = {
    "sale_completed": ("sale_completed", SaleCompleted),
    "product_updated": ("product_updated", ProductUpdated),
    "stock_movement": ("stock_movement", StockMovement),
}
# Pydantic's words for these are for a programmer.
_SAID = {"model_type": "no object", "dict_type": "no object", "too_short": "it is empty", "missing": "it is missing"}
M = TypeVar("M", bound=BaseModel)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Envelope(BaseModel):
    """What stands around an event's data, by the names of the specification and of Standard Webhooks."""

    type: str = Field(validation_alias=AliasChoices("event_type", "eventType", "type"))
    timestamp: Annotated[AwareDatetime | None, Field(strict=False)] = None
    data: dict[str, Any] = Field(min_length=1)


@dataclass(frozen=True)
class Event:
    """One event. sent_at: microseconds since 1970-01-01 UTC, by the sender's clock."""

    type: EventType
    data: Data
    sent_at: int | None = None


def events_of(body: bytes) -> list[Event]:
    """Return a body's events in their order: one object, a list of them, or `{"events": [...]}`.

    Raises NotJsonError, or RefusedError that names every event and field at fault; of such a body nothing is taken.
    """
    found = parse(body)
    batch = found.get("events") if isinstance(found, dict) and "events" in found else found
    listed = batch if isinstance(batch, list) else [batch]
    if not listed:
        raise RefusedError("the body holds no event", "send at least one")
    if len(listed) > MOST_EVENTS:
        raise RefusedError(f"the body holds {len(listed)} events, {MOST_EVENTS} is the most", "send it in parts")
    made: list[Event] = []
    faults: list[str] = []
    for number, one in enumerate(listed):
        place = (f"events.{number}",) if isinstance(batch, list) else ()
        try:
            made.append(_event(one))
        except _MisfitError as fault:
            faults += [f"{'.'.join((*place, *where))}: {said}" for where, said in fault.faults]
    if faults:
        more = f", and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        message = f"the body does not fit: {', '.join(faults[:MOST_FAULTS])}{more}"
        raise RefusedError(message, "mend these fields and send all of it again")
    return made


class _MisfitError(Exception):
    """What of one event does not fit: places and sentences."""

    def __init__(self, faults: list[tuple[tuple[str, ...], str]]) -> None:
        super().__init__()
        self.faults = faults


def _event(found: Plain) -> Event:
    envelope = _valid(_Envelope, found)
    if envelope.type not in _DATA:
        said = f"{envelope.type!r:.80} is none of {', '.join(_DATA)}{near(envelope.type[:80], _DATA)}"
        raise _MisfitError([(("event_type",), said)])
    (kind, model) = _DATA[envelope.type]
    data = _valid(model, envelope.data, "data")
    at = envelope.timestamp
    return Event(kind, data, None if at is None else (at - _EPOCH) // timedelta(microseconds=1))


def _valid(model: type[M], found: object, *place: str) -> M:
    try:
        return model.model_validate(found)
    except ValidationError as fault:
        said = {
            (*place, *map(str, one["loc"])): _SAID.get(one["type"], one["msg"]).removeprefix("Value error, ")
            for one in fault.errors(include_url=False, include_input=False)
        }
        raise _MisfitError(list(said.items())) from None
