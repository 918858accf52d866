"""What every process does first: a watchdog, and the page that tells how it stands."""

from collections.abc import Mapping

from fluxion import kafka, postgres
from fluxion.clock import Clock
from fluxion.health import Address, Health, Probe, serve
from fluxion.progress import Watchdog
from fluxion.schema_registry import SchemaRegistry
from fluxion.settings import Settings


def observe(
    process: str, settings: Settings, role: str, clock: Clock, more: Mapping[str, Probe] | None = None
) -> Watchdog:
    """Start both and return the watchdog, which is told what to watch. role: the process's own in PostgreSQL; more: other probes.

    Raises ConfigurationError where the port for metrics cannot be had.
    """
    probes: dict[str, Probe] = {
        "Kafka": kafka.probe(settings.kafka),
        "PostgreSQL": postgres.probe(settings.database.get_secret_value(), role),
        "schema registry": SchemaRegistry(settings.schema_registry).answers,
        **(more or {}),
    }
    watchdog = Watchdog(clock)
    serve(Health(process, watchdog, probes, clock), Address(settings.metrics_host, settings.metrics_port))
    watchdog.start()
    return watchdog
