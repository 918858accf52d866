"""Apicurio Registry with Confluent's API, its schemas kept in PostgreSQL (its default, memory, forgets the ids at a restart)."""

import urllib.request
from http import HTTPStatus
from pathlib import Path

from deploy.stack import postgres
from deploy.stack.jars import JAVA, QUICK_START, fetch, jars_of
from deploy.stack.service import Service

PORT, MANAGEMENT_PORT = 8081, 8082


def schema_registry(home: Path, base_port: int) -> Service:
    """Describe the schema registry of a stack; its url is that of Confluent's API."""
    port, management_port = base_port + PORT, base_port + MANAGEMENT_PORT
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"

    def prepare() -> None:
        fetch("registry")
        (home / "tmp").mkdir(parents=True, exist_ok=True)

    def ready() -> bool:
        with urllib.request.urlopen(f"{url}/subjects", timeout=2) as answer:  # noqa: S310  http, as written above
            return bool(answer.status == HTTPStatus.OK)

    jar = jars_of("registry") / "quarkus-run.jar"
    return Service(
        name="registry",
        port=port,
        url=url,
        home=home,
        prepare=prepare,
        ready=ready,
        command=[JAVA, "-Xmx256m", *QUICK_START, f"-Djava.io.tmpdir={home / 'tmp'}", "-jar", str(jar)],
        environment=_environment(port, management_port, base_port + postgres.PORT),
        more_ports=(management_port,),
        after=("postgres",),
    )


def _environment(port: int, management_port: int, postgres_port: int) -> dict[str, str]:
    return {
        "QUARKUS_HTTP_HOST": "127.0.0.1",
        "QUARKUS_HTTP_PORT": str(port),
        "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
        "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
        "QUARKUS_MANAGEMENT_PORT": str(management_port),
        "APICURIO_STORAGE_KIND": "sql",
        "APICURIO_STORAGE_SQL_KIND": "postgresql",
        "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://127.0.0.1:{postgres_port}/{postgres.REGISTRY_DATABASE}",
        "APICURIO_DATASOURCE_USERNAME": postgres.USER,
        "APICURIO_DATASOURCE_PASSWORD": "unused",
        # By default it opens 20 connections at once and up to 100, which is all that PostgreSQL has.
        "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
        "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
        "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "10",
    }
