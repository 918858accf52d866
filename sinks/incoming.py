"""A record of fluxion.records.v1 as it came."""

from collections.abc import Callable
from dataclasses import dataclass

from fluxion.errors import DataValidationError, FluxionError
from schemas.records import CanonicalSet


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record with its place. `record` is None where it could not be read; `fault` says why."""

    topic: str
    partition: int
    offset: int
    key: str
    raw: bytes
    record: CanonicalSet | None
    fault: FluxionError | None = None

    @property
    def system_id(self) -> str:
        """The system of the record, by its key where it cannot be read."""
        return self.record.system_id if self.record else self.key

    @property
    def replayed(self) -> bool:
        """Whether it was mapped again on request."""
        return self.record is not None and self.record.replayed

    def stores(self) -> set[str]:
        """Return the stores that the record names."""
        if self.record is None:
            return set()
        record = self.record
        named = {
            *(stock.store_id for stock in record.stock),
            *(movement.store_id for movement in record.movements),
            *(sale.store_id for sale in record.sales),
        }
        return {store for store in named if store is not None}


def read_record(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    decode: Callable[[bytes], CanonicalSet],
) -> Incoming:
    """Decode a message; one that cannot be read is an Incoming too."""
    name = (key or b"").decode(errors="replace")
    raw = value or b""
    try:
        record, fault = decode(raw), None
    except DataValidationError as refused:
        record, fault = None, refused
    return Incoming(topic, partition, offset, name, raw, record, fault)
