"""Apache Kafka, one node that is broker and controller (KRaft)."""

import base64
import os
import shutil
import socket
import struct
import uuid
from pathlib import Path
from string import Template

from deploy.stack.accounts import make_whole, run
from deploy.stack.jars import JAVA, QUICK_START, RESOURCES, fetch, jars_of
from deploy.stack.service import Service

PORT, CONTROLLER_PORT = 9092, 9093
# A second listener for stores, which the broker advertises under LINE_PORT: there the demo puts a line that can be cut.
STORE_PORT, LINE_PORT = 9094, 9095
FORMAT = "kafka.tools.StorageTool"


def kafka(home: Path, base_port: int) -> Service:
    """Describe the Kafka of a stack; its url is the bootstrap server. $FLUXION_KAFKA_JVM replaces the JVM's flags."""
    port, controller_port, store_port = base_port + PORT, base_port + CONTROLLER_PORT, base_port + STORE_PORT
    properties, logs = home / "server.properties", home / "logs"
    flags = os.environ.get("FLUXION_KAFKA_JVM", "").split() or ["-Xmx384m", *QUICK_START]
    java = [
        *(JAVA, *flags, f"-Djava.io.tmpdir={home / 'tmp'}"),
        *(f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}", "-cp", f"{jars_of('kafka')}/*"),
    ]

    def configure(file: Path, folder: Path) -> None:
        text = (RESOURCES / "kafka" / "server.properties").read_text()
        ports = {"port": port, "controller_port": controller_port, "store_port": store_port}
        file.write_text(Template(text).substitute(**ports, line_port=base_port + LINE_PORT, logs=folder))

    def install(part: Path) -> None:
        part.mkdir()
        configure(part / "format.properties", part)
        run([*java, FORMAT, "format", "-t", _cluster_id(), "-c", str(part / "format.properties")])
        (part / "format.properties").unlink()

    def prepare() -> None:
        fetch("kafka")
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        shutil.copy(RESOURCES / "kafka" / "log4j2.properties", home)
        configure(properties, logs)
        make_whole(logs, install)

    return Service(
        name="kafka",
        port=port,
        url=f"127.0.0.1:{port}",
        home=home,
        prepare=prepare,
        ready=lambda: live_brokers(port) > 0,
        command=[*java, "kafka.Kafka", str(properties)],
        more_ports=(controller_port, store_port),
    )


def _cluster_id() -> str:
    """Return a new id: 16 bytes in base64, the first one zero, for an id that begins with `-` would look like an option."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def live_brokers(port: int) -> int:
    """Ask for the cluster's metadata and return how many brokers it names: the broker must have joined its own cluster.

    Written out (request 3, version 1: no topics), because a client library tells the terminal about every try that fails.
    """
    metadata, version, correlation, client = 3, 1, 1, b"stack"
    body = struct.pack(f">hhih{len(client)}si", metadata, version, correlation, len(client), client, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
        link.sendall(struct.pack(">i", len(body)) + body)
        with link.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            _, brokers = struct.unpack(">ii", answer.read(size)[:8])
    return int(brokers)
