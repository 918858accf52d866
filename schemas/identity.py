"""Ids that are derived, never looked up: the same source row has the same id in every run, on every machine."""

import json
import uuid
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

Entity = Literal["category", "supplier", "product", "stock", "movement", "sale", "line", "payment", "tax"]

EPOCH_SHIFT = 47
MAX_EPOCH = 65_535
ROWS_PER_EPOCH = 1 << EPOCH_SHIFT

# Both cost more than the hash itself, and every row needs some ids.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_uuid = lru_cache(maxsize=1024)(uuid.UUID)


def entity_id(system_id: str, entity: Entity, table: str, keys: Iterable[str], *, ignore_case: bool = False) -> str:
    """Return uuid5(system, [entity, table, *keys]).

    Keys are canonical text; blanks on the right do not count (CHAR columns are padded), nor does case where the
    template says `keys: ignore_case`.
    """
    parts = [key.rstrip().casefold() if ignore_case else key.rstrip() for key in keys]
    return str(uuid.uuid5(_uuid(system_id), _encode([entity, table, *parts])))


def event_id(sale_id: str, event_type: str, version: int, mapping_revision: int) -> str:
    """Return a public event's `ce_id`: stable, so that a consumer drops the rare repeat by it."""
    return str(uuid.uuid5(uuid.UUID(sale_id), f"{event_type}/{version}/{mapping_revision}"))


def version_of(epoch: int, number: int) -> int:
    """Order the rows of one system: `epoch << 47 | n`. No clock takes part.

    `epoch` 1..65535 is raised by PostgreSQL when a journal registers; `number` < 2**47 is the journal's row counter.
    """
    if not 1 <= epoch <= MAX_EPOCH or not 0 <= number < ROWS_PER_EPOCH:
        msg = f"epoch {epoch} or row number {number} is out of range"
        raise ValueError(msg)
    return epoch << EPOCH_SHIFT | number


def epoch_of(version: int) -> int:
    """Return the epoch of a version."""
    return version >> EPOCH_SHIFT
