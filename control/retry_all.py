"""Entries of the quarantine mapped again, system by system: sent, acknowledged by Kafka, and only then settled."""

from collections.abc import Iterable, Iterator, Sequence

from control.quarantine import Entry, Held, Link, Wanted, find_held, resolve
from control.raw_log import RawLog, look_up_of
from control.records_out import RecordsOut
from control.retry import Retry, carry_out
from fluxion.errors import ConfigurationError, FluxionError
from fluxion.postgres import STAGE, connect
from fluxion.registry import System, load_system
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings
from schemas.records import CanonicalSet

# So many rows are in memory and on the way before Kafka's word is waited for.
BATCH = 500

Refusals = list[tuple[Entry, str]]


def retry_all(settings: Settings, link: Link, entries: Sequence[Entry], by: str) -> tuple[int, Refusals]:
    """Return how many entries were settled, and the others with their reasons; `link` acts as fluxion_app."""
    taken, refused = 0, []
    for system_id, system in _systems(settings, entries).items():
        mine = [entry for entry in entries if entry.system_id == system_id]
        if isinstance(system, FluxionError):
            refused += [(entry, str(system)) for entry in mine]
            continue
        done, left = _retry_system(settings, link, system, mine, by)
        taken += done
        refused += left
    return taken, refused


def _retry_system(
    settings: Settings, link: Link, system: System, entries: Sequence[Entry], by: str
) -> tuple[int, Refusals]:
    registry = SchemaRegistry(settings.schema_registry, wait=False)
    out = RecordsOut(settings.kafka, registry)
    taken: int = 0
    refused: Refusals = []
    with RawLog(settings.kafka, system.id) as log:
        again = Retry(system, look_up_of(registry), log)
        again.look_behind(entries)
        for groups in _batches(again.groups(entries)):
            helds = _held(link, [entry for group in groups for entry in group])
            done = [carry_out(again, [helds[entry.id] for entry in group], out.send) for group in groups]
            # (1) Only what Kafka has acknowledged …
            out.confirm()
            # (2) … is settled. A crash in between has it mapped once more, which changes nothing.
            settled = [entry for one in done for entry in one.taken]
            taken += resolve(link, settled, "retried", by, f"with mapping revision {system.mapping_revision}")
            refused += [pair for one in done for pair in one.refused]
    return taken, refused


def _batches(groups: Iterable[list[Entry]]) -> Iterator[list[list[Entry]]]:
    batch: list[list[Entry]] = []
    for group in groups:
        batch.append(group)
        if sum(map(len, batch)) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _held(link: Link, entries: Sequence[Entry]) -> dict[int, Held]:
    whose = {entry.tenant_id for entry in entries}
    wanted = Wanted(ids=[entry.id for entry in entries], resolved=True)
    return {held.entry.id: held for held in find_held(link, whose, wanted)}


def mapped_now(settings: Settings, held: Held) -> CanonicalSet | FluxionError:
    """Return what the present mapping makes of an entry, or why nothing."""
    system = _systems(settings, [held.entry])[held.entry.system_id]
    if isinstance(system, FluxionError):
        return system
    registry = SchemaRegistry(settings.schema_registry, wait=False)
    try:
        with RawLog(settings.kafka, system.id) as log:
            again = Retry(system, look_up_of(registry), log)
            return again.mapped(again.source(held), held.entry)
    except FluxionError as fault:
        return fault


def _systems(settings: Settings, entries: Iterable[Entry]) -> dict[str, System | FluxionError]:
    """Return each entry's system, or why there is none."""
    found: dict[str, System | FluxionError] = {}
    with connect(settings.database.get_secret_value(), STAGE) as link:
        for system_id in dict.fromkeys(entry.system_id for entry in entries):
            try:
                found[system_id] = load_system(link, system_id)
            except ConfigurationError as fault:
                found[system_id] = fault
    return found
