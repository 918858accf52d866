"""`fluxion system replay`: the raw log mapped again after a mapping was mended."""

import getpass
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from control.moments import parse_moment
from control.preview import Preview
from control.quarantine import NOBODY, Entry, Link, Wanted, find, resolve
from control.raw_log import RawLog, look_up_of
from control.records_out import RecordsOut
from control.replay import Replay, Window, window
from fluxion.clock import SystemClock
from fluxion.errors import BusinessRuleError
from fluxion.log import setup_logging
from fluxion.postgres import APP, SINK, STAGE, connect
from fluxion.registry import System, load_system
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings, load_settings
from schemas.records import CanonicalSet
from schemas.topics import CHANGES
from sinks.systems import Systems

BATCH = 500
TOLD_EVERY = 10_000


def replay(
    system: Annotated[str, typer.Argument(help="system id")],
    from_: Annotated[str, typer.Option("--from", help='"2h", "3d", or an instant with its zone')],
    to: Annotated[str | None, typer.Option("--to", help="as --from; default: what the log holds now")] = None,
    *,
    preview: Annotated[bool, typer.Option(help="say what would change, and write nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Map the system's raw log again with its present mapping. Versions stay, so nothing newer is overwritten."""
    settings = load_settings()
    setup_logging("replay", settings.log_format)
    now = datetime.now(UTC)
    since, until = parse_moment(from_, now), parse_moment(to, now) if to is not None else None
    with connect(settings.database.get_secret_value(), STAGE) as link:
        found = load_system(link, system)
    registry = SchemaRegistry(settings.schema_registry, wait=False)
    with RawLog(settings.kafka, found.id) as log:
        chosen = window(log, since, until)
        _say_window(found, chosen)
        work = Replay(found, look_up_of(registry), log)
        if preview:
            _preview(settings, found, work, chosen)
            return
        if not yes:
            typer.confirm(
                f"Map it again with mapping revision {found.mapping_revision}? --preview shows what would change",
                abort=True,
            )
        _carry_out(settings, found, work, chosen, registry)


def _say_window(system: System, chosen: Window) -> None:
    if chosen.lost_until is not None:
        typer.echo(
            f"{CHANGES.name} begins at {chosen.lost_until:%Y-%m-%d %H:%M:%S} UTC: what is older cannot be mapped again;"
            " snapshot its tables again"
        )
    if chosen.start >= chosen.end:
        message = f"{CHANGES.name} holds nothing of {system.name} in that time"
        raise BusinessRuleError(message, "choose an earlier --from, or snapshot the system again")


def _tell(count: int) -> None:
    if count % TOLD_EVERY == 0:
        typer.echo(f"{count} records read", err=True)


# Doing it ------------------------------------------------------------------------------------------------------------


def _carry_out(settings: Settings, system: System, work: Replay, chosen: Window, registry: SchemaRegistry) -> None:
    out = RecordsOut(settings.kafka, registry)
    sent = settled = refused = 0
    with connect(settings.database.get_secret_value(), APP) as link:
        waiting = Waiting(link, system, chosen.start)
        batch: list[Entry] = []
        for record in work.records(chosen, _tell):
            out.send(record)
            sent += 1
            refused += len(record.quarantined)
            batch += waiting.taken_by(record)
            if sent % BATCH == 0:
                out.confirm()  # only what Kafka has acknowledged is settled
                settled += _settle(link, batch, system)
                batch = []
        out.confirm()
        settled += _settle(link, batch, system)
    typer.echo(f"{sent} records mapped again with mapping revision {system.mapping_revision} and sent to the sink")
    typer.echo(f"{settled} rows taken from quarantine, {refused} refused by the present mapping")
    _say_passed(work)


def _settle(link: Link, entries: Sequence[Entry], system: System) -> int:
    notes = f"by a replay with mapping revision {system.mapping_revision}"
    return resolve(link, entries, "retried", getpass.getuser(), notes)


class Waiting:
    """The system's quarantine as it stood when the replay began, from the window's start on."""

    def __init__(self, link: Link, system: System, start: int) -> None:
        self.open: dict[int, list[Entry]] = {}
        self._known: set[tuple[int, str | None, int | None]] = set()
        for entry in find(
            link, [system.tenant_id, NOBODY], Wanted(system_id=system.id, resolved=True, from_offset=start)
        ):
            offset = entry.offset if entry.topic == CHANGES.name else entry.source_offset
            if offset is not None:
                self._known.add((offset, entry.external_table, entry.version))
                if entry.resolution is None:
                    self.open.setdefault(offset, []).append(entry)

    def taken_by(self, record: CanonicalSet) -> list[Entry]:
        """Return the open entries of the record that it settles."""
        at_fault = {(row.external_table, row.version) for row in record.quarantined}
        found = self.open.get(record.source_offset, ())
        return [entry for entry in found if (entry.external_table, entry.version) not in at_fault]

    def fresh_in(self, record: CanonicalSet) -> Iterable[str]:
        """Return why rows of the record would be refused that were not refused before."""
        return [
            f"{row.external_table} {row.external_id or ''}: {row.message}"
            for row in record.quarantined
            if (record.source_offset, row.external_table, row.version) not in self._known
        ]


# Saying it -----------------------------------------------------------------------------------------------------------


def _preview(settings: Settings, system: System, work: Replay, chosen: Window) -> None:
    dsn = settings.database.get_secret_value()
    taken: list[Entry] = []
    refused: list[str] = []
    with connect(dsn, APP) as link, connect(dsn, SINK) as reading:
        waiting = Waiting(link, system, chosen.start)
        owners = Systems(SystemClock())
        owners.refresh(reading)
        owner = owners.get(system.id)
        if owner is None:
            message = f"system {system.id} is gone"
            raise BusinessRuleError(message, "look it up with `fluxion system list`")
        compared = Preview(reading, owner)
        for record in work.records(chosen, _tell):
            taken += waiting.taken_by(record)
            refused += waiting.fresh_in(record)
            compared.take(record)
        compared.finish()
    typer.echo(
        f"{work.passed.records} records read; nothing was written. With mapping revision {system.mapping_revision}:"
    )
    _say_changes(compared)
    typer.echo(f"{len(taken)} rows would be taken from quarantine")
    refused += compared.refused
    typer.echo(f"{len(refused)} rows would now be refused")
    for line in refused[:5]:
        typer.echo(f"  {line}")
    _say_passed(work)


def _say_changes(compared: Preview) -> None:
    for name, found in compared.tables.items():
        if not (found.changed or found.new or found.deleted):
            continue
        fields = ", ".join(f"{name} {count}" for name, count in sorted(found.by_field.items()))
        typer.echo(
            f"{name}: {len(found.changed)} rows would change{f' ({fields})' if fields else ''},"
            f" {len(found.new)} would be new, {len(found.deleted)} would be deleted"
        )
        for example in found.examples:
            said = ", ".join(f"{field}: {before} → {after}" for field, (before, after) in example.fields.items())
            typer.echo(f"  {example.external_table} {example.external_id}: {said}")
    if not any(found.changed or found.new or found.deleted for found in compared.tables.values()):
        typer.echo("no row would change")


def _say_passed(work: Replay) -> None:
    if work.passed.ends_left_out:
        tables = ", ".join(sorted(work.passed.ends_left_out))
        typer.echo(f"the snapshot of {tables} began before --from: its end is left out, so it deletes nothing")
    if work.passed.unmapped:
        offset, why = work.passed.unmapped[0]
        typer.echo(
            f"{len(work.passed.unmapped)} records cannot be mapped at all and stay as they are; offset {offset}: {why}"
        )
