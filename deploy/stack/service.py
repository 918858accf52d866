"""What the lifecycle needs to know of a service, whichever it is."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Service:
    """One service of the stack: how it is prepared, started, asked whether it is ready, and ended."""

    name: str
    port: int
    url: str
    home: Path
    command: list[str]
    prepare: Callable[[], None]
    """Make its folder, configuration and first data; run before every start, so idempotent."""
    ready: Callable[[], bool]
    """A real request: an open port is not readiness. Raises or returns False while it is not ready."""
    when_ready: Callable[[], None] = lambda: None
    """Make what others need in it (roles, databases); run after every start, so idempotent."""
    user: str | None = None
    """The account to run as when started by root."""
    environment: Mapping[str, str] = field(default_factory=dict)
    more_ports: tuple[int, ...] = ()
    after: tuple[str, ...] = ()
    """Services that must be ready before it is started."""
    stop: signal.Signals = signal.SIGTERM
