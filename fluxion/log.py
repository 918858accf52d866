"""Structured logs to standard error: one line an event, text for a person or JSON for a collector."""

import logging
import sys
from collections.abc import MutableMapping
from types import ModuleType
from typing import Any, cast

# structlog takes rich where it finds it, for tracebacks that we do not print: 4 MB of the 80 that an agent may have.
_hides_rich = sys.modules.setdefault("rich", cast("ModuleType", None)) is None
import structlog  # noqa: E402 -- see above

if _hides_rich:
    del sys.modules["rich"]


def setup_logging(process: str, log_format: str) -> None:
    """Call once at the start of a process. `process` goes on every line."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            _named(process),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _named(process: str) -> structlog.typing.Processor:
    """Put the process's name on every line, whichever thread writes it."""

    def named(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return named


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Return a logger; cheap, so call it where it is used."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
