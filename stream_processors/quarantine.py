"""What a row that could not be taken leaves behind: why, and the row itself, so that it can be mapped again after mending."""

import json

import msgspec
from msgspec.structs import replace

from fluxion.errors import FluxionError
from schemas.records import ChangeSet, Quarantined
from stream_processors.drafts import Fault, Mapped, Raw

MAX_EXTERNAL_ID = 200
MAX_MESSAGE = 4_000
# A category or supplier that is named in a product's row is many rows'; the product is this row's alone.
_SHARED = frozenset({"category", "supplier"})


def quarantined(mapped: Mapped) -> list[Quarantined]:
    """Return one entry for each row at fault (several entities may have refused it) and each end that cannot be passed on."""
    if not mapped.faults and not mapped.end_faults:
        return []
    change_set, raw = mapped.source.change_set, mapped.source.raw
    rows: dict[int, list[Fault]] = {}
    for fault in mapped.faults:
        rows.setdefault(fault.row, []).append(fault)
    made = [_entry(row, faults, change_set, raw) for row, faults in sorted(rows.items())]
    ends = [_of(raw, one.end.table, [one.error], msgspec.json.encode(one.end).decode()) for one in mapped.end_faults]
    return made + ends


def row_alone(change_set: ChangeSet, index: int) -> ChangeSet:
    """Return one row as a change set of its own, with its version, and whether its transaction ended in the record."""
    row = change_set.rows[index]
    return replace(
        change_set,
        part=0,
        last_part=change_set.last_part or row.txn != change_set.rows[-1].txn,
        layouts=[change_set.layouts[row.layout]],
        rows=[replace(row, layout=0)],
        ends=[],
    )


def _entry(index: int, faults: list[Fault], change_set: ChangeSet, raw: Raw) -> Quarantined:
    row = change_set.rows[index]
    layout = change_set.layouts[row.layout]
    cells = {column.name: value for column, value in zip(layout.columns, row.values, strict=True)}
    external_id = next((fault.external_id for fault in faults if fault.external_id), None)
    known = [fault for fault in faults if fault.id]
    own = next((fault.id for fault in known if fault.entity not in _SHARED), known[0].id if known else None)
    entry = _of(raw, layout.table, [fault.error for fault in faults], json.dumps(cells, ensure_ascii=False))
    return replace(
        entry,
        external_id=external_id and _storable(external_id)[:MAX_EXTERNAL_ID],
        version=row.version,
        record_id=own,
        change=msgspec.json.encode(row_alone(change_set, index)).decode(),
    )


def _of(raw: Raw, table: str, errors: list[FluxionError], text: str) -> Quarantined:
    """Return an entry with the class and the mend of its first fault, and every fault's sentence."""
    message = ", ".join(dict.fromkeys(error.message for error in errors))
    return Quarantined(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        external_table=table,
        external_id=None,
        version=None,
        code=errors[0].code,
        error_class=errors[0].error_class.value,
        message=_storable(f"{message[:MAX_MESSAGE]}; {errors[0].mend}"),
        raw=text,
    )


def _storable(text: str) -> str:
    return text.replace("\0", "\\0")
