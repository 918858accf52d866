"""A consumer in another language, with Avro's own reader, reads from the real topic what the relay writes there."""

import json
import uuid
from datetime import datetime
from typing import Any

import msgspec

from fluxion import kafka
from fluxion.schema_registry import SchemaRegistry
from schemas.events import SaleEvent
from schemas.topics import SALE_EVENTS
from sinks.cli import sale_encoder
from sinks.outbox import Event
from tests.conftest import Cloud
from tests.docs.test_events import SAMPLES
from tests.support import java


def outbox_row(number: int, sample: dict[str, Any], store: str) -> Event:
    headers = sample["headers"]
    return Event(
        id=number,
        topic=SALE_EVENTS.name,
        key=store,
        event_id=headers["ce_id"],
        event_type=headers["ce_type"],
        subject=headers["ce_subject"],
        tenant_id=sample["value"]["tenantId"],
        occurred_at=datetime.fromisoformat(headers["ce_time"]),
        data=sample["value"] | {"storeId": store},
    )


def test_java_reads_every_sample_as_python_published_it(cloud: Cloud) -> None:
    store = str(uuid.uuid4())  # other tests write to the topic too
    rows = [outbox_row(number, sample, store) for number, sample in enumerate(SAMPLES.values())]
    encode = sale_encoder(SchemaRegistry(cloud.stack.registry))
    out = kafka.producer(cloud.stack.kafka)
    for row in rows:
        value = encode(row.topic, msgspec.convert(row.data, SaleEvent))
        out.produce(row.topic, value, row.key.encode(), headers=row.headers())
    out.produce(SALE_EVENTS.name, b"foreign", store.encode())
    assert out.flush(10) == 0
    lines = [json.loads(line) for line in java.read_events(cloud.stack.kafka, cloud.stack.registry, SALE_EVENTS.name)]
    mine = [line for line in lines if line["key"] == store]
    assert len({line["partition"] for line in mine}) == 1
    assert "unreadable" in mine.pop()
    assert [line["value"] for line in mine] == [row.data for row in rows]
    texts = [{name: bytes(value or b"").decode() for name, value in row.headers()} for row in rows]  # type: ignore[arg-type] # the client's own type: ours are bytes
    assert [line["headers"] for line in mine] == texts
