"""Webhook events to change sets: one event is one record of pos.changes.v1, and one transaction of its system.

The rows have no versions: the record's offset is part of them, so they are given when it is decoded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fluxion.errors import BusinessRuleError
from producers.gateway.document import RefusedError
from producers.gateway.events import Data, Event, EventType
from producers.gateway.rows import Rows, rows_of
from schemas.mapping import Template, tables, uses
from schemas.records import ChangeSet, Op

# What a refusal names; the same is lacking of a thousand items.
MOST_LACKING = 20

_KEYS: dict[EventType, str] = {"sale_completed": "id", "product_updated": "sku", "stock_movement": "id"}


class AnotherStoreError(BusinessRuleError):
    """An event is of another store than the one that its sender may speak for."""

    code = "ANOTHER_STORE"


@dataclass(frozen=True)
class Receipt:
    """How an event came in. store: the external id of the sender's store, where it may speak for one only.

    message_id: what the sender names the request by; received_at: microseconds.
    """

    system_id: str
    epoch: int
    received_at: int
    message_id: str = ""
    store: str | None = None


class Intake:
    """What makes change sets of a system's events, compiled once for its template."""

    def __init__(self, template: Template) -> None:
        self._tables = tables(template)
        # table → (column, what needs it)
        self._needed: dict[str, list[tuple[str, str]]] = {}
        self._keys: dict[str, list[tuple[str, str]]] = {}
        for use in uses(template):
            for found, meant in ((self._needed, not use.optional), (self._keys, use.place.endswith(".key"))):
                if meant:
                    found.setdefault(use.table, []).append((use.column, use.place))

    def change_sets(self, events: Sequence[Event], receipt: Receipt) -> list[ChangeSet]:
        """Return a body's events as change sets, in their order; what `change_set` raises names the event too."""
        made: list[ChangeSet] = []
        for number, event in enumerate(events):
            try:
                made.append(self.change_set(event, receipt))
            except (RefusedError, AnotherStoreError) as fault:
                raise type(fault)(f"events.{number}: {fault.message}", fault.mend) from None
        return made

    def change_set(self, event: Event, receipt: Receipt) -> ChangeSet:
        """Return the event as one transaction of its system.

        Raises RefusedError where it has more rows than a version can tell apart, or lacks a column that the template needs
        (of product_updated, which may say no more than what changed, only the key's), and AnotherStoreError.
        """
        whole: Op = "c" if event.type == "sale_completed" else "u"  # what a sale does not say has its default
        document = _of_store(event.data, receipt.store).document()
        rows = rows_of(event.type, document, _KEYS[event.type], self._tables, whole, event.sent_at)
        self._demand_columns(event.type, rows)
        return ChangeSet(
            system_id=receipt.system_id,
            producer="gateway",
            epoch=receipt.epoch,
            journal_id="",
            sequence=0,
            captured_at=receipt.received_at,
            position=receipt.message_id,
            part=0,
            last_part=True,
            layouts=rows.layouts,
            rows=rows.rows,
            ends=[],
        )

    def _demand_columns(self, kind: EventType, rows: Rows) -> None:
        if kind not in self._tables:
            raise RefusedError(f"the system's template maps no {kind}", f"map it, or stop sending {kind}")
        needed = self._keys if kind == "product_updated" else self._needed
        lacking: dict[str, None] = {}
        for layout in rows.layouts:
            sent = {column.name for column in layout.columns}
            for column, place in needed.get(layout.table, ()):
                if column not in sent:
                    lacking[f"{layout.table} has no {column}, which {place} needs"] = None
        if lacking:
            mend = "send these fields, or say in the template that they are optional"
            raise RefusedError(", ".join(list(lacking)[:MOST_LACKING]), mend)


def _of_store(data: Data, store: str | None) -> Data:
    """Return an event's data with the store that its sender speaks for."""
    if store is None:
        return data
    said = data.store_id
    if said is not None and str(said).strip() != store:
        message = f"the event is of store {str(said)!r:.80}, and its sender speaks for {store!r}"
        raise AnotherStoreError(message, "send it with that store's token, or leave storeId out")
    return data.model_copy(update={"store_id": store})
