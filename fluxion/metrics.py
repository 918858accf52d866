"""Every metric of every process; no other file names one. What they mean for an operator: `docs/operation.md`.

Labels are bounded: topics, codes of errors, outcomes, dependencies. Never a system's rows, a SKU or an address; what knows the process
is the scraper (one address a process) and `fluxion_process_info`.
"""

from typing import Literal, TypeAlias

from prometheus_client import Counter, Gauge, Histogram

PROCESS = Gauge("fluxion_process_info", "1: which process answers here, and its version", ["process", "version"])
WAITS = Counter("fluxion_dependency_waits", "Seconds, about, that were spent waiting for a dependency", ["dependency"])
RECONNECTS = Counter("fluxion_source_reconnects", "Times that the point-of-sale database was lost and tried again")
CIRCUIT = Gauge("fluxion_source_circuit_open", "1: the source was given up for an hour and is only probed")

# Kafka's readers ------------------------------------------------------------------------------------------------------
LAG = Gauge("fluxion_lag_records", "Offsets of a topic that wait to be read by this process", ["topic"])
OLDEST = Gauge("fluxion_oldest_unprocessed_seconds", "Age of the oldest record that waits to be read", ["topic"])

# Work -----------------------------------------------------------------------------------------------------------------
Outcome: TypeAlias = Literal["shipped", "mapped", "set_aside", "written", "published"]
RECORDS = Counter("fluxion_records", "Kafka records by what became of them", ["outcome"])
BATCH = Histogram(
    "fluxion_batch_records",
    "Records that were worked on together",
    buckets=(1, 2, 5, 10, 25, 50, 100, 200, 500, 1000, 5000),
)
QUARANTINED = Counter("fluxion_quarantined_rows", "Rows that wait in quarantine since this process began", ["code"])
STALE_EPOCH = Counter("fluxion_stale_epoch_rows", "Rows of an agent that a newer one has replaced; not applied")
LATENCY = Histogram(
    "fluxion_end_to_end_seconds",
    "From the capture of a change set to its commit in PostgreSQL; replayed ones are left out",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 86400),
)

# The agent's journal --------------------------------------------------------------------------------------------------
JOURNAL_BYTES = Gauge("fluxion_journal_bytes", "Size of the journal's files")
JOURNAL_UNSHIPPED = Gauge("fluxion_journal_unshipped_captures", "Captures that Kafka has not acknowledged yet")
JOURNAL_AGE = Gauge("fluxion_journal_oldest_unshipped_seconds", "Age of the oldest of them; 0: all are shipped")

# The outbox -----------------------------------------------------------------------------------------------------------
OUTBOX_UNPUBLISHED = Gauge(
    "fluxion_outbox_unpublished_events", "Events that PostgreSQL committed and Kafka has not acknowledged"
)
OUTBOX_AGE = Gauge("fluxion_outbox_oldest_seconds", "Age of the oldest of them; 0: all are published")


def count(outcome: Outcome, records: int = 1) -> None:
    """Count Kafka records by what became of them."""
    RECORDS.labels(outcome).inc(records)
