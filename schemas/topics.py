"""Every topic, on one page. They are created by `fluxion topics create` only, with 24 partitions for life."""

from dataclasses import dataclass

PARTITIONS = 24
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Topic:
    """A topic's contract.

    schema: the file in `avro/` whose record is the value; None while no stage writes the topic yet.
    key: what the key's text is. retention_ms: how long records are kept. public: consumers outside this project read it.
    """

    name: str
    schema: str | None
    key: str
    retention_ms: int
    public: bool = False

    @property
    def subject(self) -> str:
        """The schema registry's subject of the value."""
        return f"{self.name}-value"

    @property
    def compatibility(self) -> str:
        """How the schema may change: inside by BACKWARD, public in both directions over all versions."""
        return "FULL_TRANSITIVE" if self.public else "BACKWARD"


CHANGES = Topic("pos.changes.v1", "change_set", "system id", 14 * DAY_MS)
RECORDS = Topic("fluxion.records.v1", "canonical_set", "system id", 7 * DAY_MS)
CONTESTED = Topic("pos.contested.v1", None, "system id", 7 * DAY_MS)
STATUS = Topic("pos.status.v1", "status", "system id", 7 * DAY_MS)
COMMANDS = Topic("pos.commands.v1", None, "system id", 7 * DAY_MS)
SALE_EVENTS = Topic("fluxion.sale_events.v1", "sale_event", "store id", 30 * DAY_MS, public=True)
PRICE_CHANGED = Topic("fluxion.price_changed.v1", None, "store id", 30 * DAY_MS, public=True)
STOCK_CHANGED = Topic("fluxion.stock_changed.v1", None, "store id", 30 * DAY_MS, public=True)
DAY_COMPLETED = Topic("fluxion.day_completed.v1", None, "store id", 30 * DAY_MS, public=True)

TOPICS = (
    CHANGES,
    RECORDS,
    CONTESTED,
    STATUS,
    COMMANDS,
    SALE_EVENTS,
    PRICE_CHANGED,
    STOCK_CHANGED,
    DAY_COMPLETED,
)
