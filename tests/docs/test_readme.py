"""What the README shows must work as it stands there."""

import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from fluxion.cli import COMMANDS
from fluxion.kafka import producer
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Encoder, schema_text
from schemas.events import SaleEvent
from schemas.topics import SALE_EVENTS
from tests.conftest import Cloud
from tests.support import local
from tests.support.samples import SALE

README = (local.ROOT / "README.md").read_text(encoding="utf-8")
TOTAL = "987654.32"


def test_the_twenty_lines_read_an_event_once_although_it_was_sent_twice(cloud: Cloud, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    registry = SchemaRegistry(cloud.stack.registry)
    encode: Encoder[SaleEvent] = Encoder(
        "sale_event", registry.schema_id(SALE_EVENTS.subject, schema_text("sale_event"))
    )
    out = producer(cloud.stack.kafka)
    headers: dict[str, str | bytes | None] = {"ce_id": b"readme-1", "ce_type": b"sale_created"}
    for _ in range(2):
        event = SaleEvent(tenant_id="t", store_id="readme", sale=msgspec.structs.replace(SALE, total=TOTAL))
        out.produce(SALE_EVENTS.name, encode(event), b"readme", headers=headers)
    assert out.flush(10) == 0
    script = tmp_path / "read_events.py"
    code = code.replace("http://127.0.0.1:28081/apis/ccompat/v7", cloud.stack.registry)
    script.write_text(code.replace("127.0.0.1:29092", cloud.stack.kafka))
    with (tmp_path / "out").open("w+") as printed:
        reader = subprocess.Popen([sys.executable, str(script)], stdout=printed, stderr=printed)
        try:
            deadline = time.monotonic() + 30
            while TOTAL not in (tmp_path / "out").read_text() and time.monotonic() < deadline:
                assert reader.poll() is None, (tmp_path / "out").read_text()
                time.sleep(0.2)
            time.sleep(2)
        finally:
            reader.kill()
            reader.wait()
    assert (tmp_path / "out").read_text().splitlines().count(TOTAL) == 1


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"fluxion ([a-z]+)", README))
    named |= {"agent", "processor", "sink", "relay"}
    assert named <= set(COMMANDS)
