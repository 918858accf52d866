"""Rows of pos_integration.quarantine: what cannot be taken waits there with its reason, and with where it came from."""

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from fluxion.errors import BusinessRuleError, FluxionError
from schemas.records import Quarantined
from sinks.incoming import Incoming
from sinks.systems import Owner
from sinks.tables import Link, Unit

# Tenant and system of a record that names no system that we know: nobody's, but not lost.
NOBODY = "00000000-0000-0000-0000-000000000000"


class UnknownSystemError(BusinessRuleError):
    """The registry does not know the record's system."""

    code = "UNKNOWN_SYSTEM"


class UnknownStoreError(BusinessRuleError):
    """A row names a store that its system does not have."""

    code = "UNKNOWN_STORE"


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of pos_integration.quarantine.

    source_offset: of the raw record in pos.changes.v1, from which a row is mapped again; change: the row as a ChangeSet of
    its own, where a processor refused it. row_id: which row it is, in whatever version; None where it has no key. again: it
    came by a replay or a retry, so what was settled is open once more.
    """

    tenant_id: str
    pos_system_id: str
    topic: str
    partition: int
    offset: int
    external_table: str | None
    external_id: str | None
    version: int | None
    mapping_revision: int
    code: str
    error_class: str
    message: str
    raw: bytes
    change: str | None
    source_offset: int | None
    row_id: str | None
    again: bool


_COLUMNS = {
    "tenant_id": "uuid", "pos_system_id": "uuid", "topic": "text", "partition": "int", "offset": "bigint",
    "external_table": "text", "external_id": "text", "version": "bigint", "mapping_revision": "int", "code": "text",
    "error_class": "text", "message": "text", "raw": "bytea", "change": "text", "source_offset": "bigint", "row_id": "uuid",
}  # fmt: skip
_values = attrgetter(*_COLUMNS, "again")
_names = ", ".join(f'"{column}"' for column in _COLUMNS)

# The same row in the same record is the same fault. One that was retried in vain is open again; a discarded one stays so,
# also when it comes again as it was, and so does one that a newer row has settled.
_QUARANTINE = f"""
insert into pos_integration.quarantine as q ({_names}, resolved_at, resolution, resolved_by, notes)
select v.*, d.resolved_at, d.resolution, d.resolved_by, d.notes
from (values ({", ".join(f"%s::{kind}" for kind in _COLUMNS.values())})) v ({_names})
left join lateral (
  select * from pos_integration.quarantine o
  where o.tenant_id = v.tenant_id and o.row_id = v.row_id and o.resolution = 'discarded' and o.raw = v.raw
  order by o.id desc limit 1
) d on true
on conflict (tenant_id, topic, partition, "offset", coalesce(external_table, ''), coalesce(external_id, ''), coalesce(version, -1))
do update set mapping_revision = excluded.mapping_revision, code = excluded.code, error_class = excluded.error_class,
  message = excluded.message, row_id = excluded.row_id, resolved_at = null, resolution = null, resolved_by = null, notes = null
where (q.mapping_revision < excluded.mapping_revision or %s) and (q.resolution is null or q.resolution = 'retried')
"""  # noqa: S608 -- only our own constants

# What the sink itself says of a row; no business of the point of sale, and not the same each time that the row comes.
_NOT_OF_THE_ROW = {"partition", "is_snapshot", "has_header"}


def set_aside(link: Link, refused: Sequence[Refused]) -> None:
    """Write rows to quarantine, in the caller's transaction."""
    if refused:
        with link.cursor() as cursor:
            cursor.executemany(_QUARANTINE, map(_values, refused))


def refuse(incoming: Incoming, unit: Unit, fault: FluxionError) -> Refused:
    """Return the quarantine row of one unit."""
    row = {name: value for name, value in unit.fields.items() if value is not None and name not in _NOT_OF_THE_ROW}
    return Refused(
        tenant_id=unit.tenant_id,
        pos_system_id=unit.system_id,
        topic=incoming.topic,
        partition=incoming.partition,
        offset=incoming.offset,
        external_table=storable(unit.external_table),
        external_id=storable(unit.external_id),
        version=unit.version,
        mapping_revision=unit.mapping_revision,
        code=fault.code,
        error_class=fault.error_class,
        message=storable(str(fault)) or "",
        raw=json.dumps(row, ensure_ascii=False, default=str).encode(),
        change=None,
        source_offset=incoming.record.source_offset if incoming.record else None,
        row_id=unit.id,
        again=incoming.replayed,
    )


def refuse_whole(incoming: Incoming, owner: Owner | None, fault: FluxionError | None = None) -> Refused:
    """Return the quarantine row of a whole record; without a fault it is the one that the record came with."""
    unknown = UnknownSystemError(f"there is no system {incoming.system_id!r}", "add it with `fluxion system add`")
    reason = fault or incoming.fault or unknown
    return Refused(
        tenant_id=owner.tenant_id if owner else NOBODY,
        pos_system_id=_uuid_or_nobody(incoming.system_id),
        topic=incoming.topic,
        partition=incoming.partition,
        offset=incoming.offset,
        external_table=None,
        external_id=None,
        version=None,
        mapping_revision=incoming.record.mapping_revision if incoming.record else 0,
        code=reason.code,
        error_class=reason.error_class,
        message=storable(str(reason)) or "",
        raw=incoming.raw,
        change=None,
        source_offset=incoming.record.source_offset if incoming.record else None,
        row_id=None,
        again=incoming.replayed,
    )


def passed_on(incoming: Incoming, row: Quarantined, owner: Owner, mapping_revision: int) -> Refused:
    """Return the quarantine row of what a processor refused."""
    return Refused(
        tenant_id=owner.tenant_id,
        pos_system_id=owner.system_id,
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        external_table=storable(row.external_table),
        external_id=storable(row.external_id),
        version=row.version,
        mapping_revision=mapping_revision,
        code=row.code,
        error_class=row.error_class,
        message=storable(row.message) or "",
        raw=_bytes_of(row),
        change=storable(row.change),
        source_offset=row.offset,
        row_id=row.record_id or _by_key(owner.system_id, row),
        again=incoming.replayed,
    )


def storable(text: str | None) -> str | None:
    """PostgreSQL's text holds no NUL, and a quarantine row must never be refused itself."""
    return None if text is None else text.replace("\0", "\\0")


def _bytes_of(row: Quarantined) -> bytes:
    if row.external_table is None:  # a whole record: its bytes came in base64
        try:
            return base64.b64decode(row.raw, validate=True)
        except binascii.Error:
            return row.raw.encode()
    return row.raw.encode()


def _by_key(system_id: str, row: Quarantined) -> str | None:
    """Tell the rows apart of which nobody can say what records they would be: by table and key, an id that no record has."""
    if row.external_table is None or row.external_id is None:
        return None
    return str(uuid.uuid5(uuid.UUID(system_id), json.dumps(["quarantine", row.external_table, row.external_id])))


def _uuid_or_nobody(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return NOBODY
