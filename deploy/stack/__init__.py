"""The local stack, without Docker: real Kafka, schema registry, MariaDB and PostgreSQL for the demo and the tests."""

from deploy.stack.lifecycle import (
    DEFAULT_BASE_PORT,
    ServiceStatus,
    Stack,
    default_home,
    down,
    start,
    status,
    stop,
    up,
)

__all__ = ["DEFAULT_BASE_PORT", "ServiceStatus", "Stack", "default_home", "down", "start", "status", "stop", "up"]
