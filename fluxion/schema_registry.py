"""Client of the schema registry's Confluent API. A registry that is down delays; it never loses a record."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError, DependencyDownError
from fluxion.progress import Progress

TIMEOUT_S = 5
_NOT_FOUND, _CONFLICT, _SERVER_ERROR = 404, 409, 500


class UnknownSchemaError(ConfigurationError):
    """The schema registry answers, and does not know the id or the subject."""

    code = "UNKNOWN_SCHEMA"


class SchemaRegistry:
    """Looks schemas up and registers them. Each answer is kept for the life of the process: ids never change.

    Look-ups wait for a registry that is down, a second at a time; `wait=False` raises instead. `waiting` is told each second
    what is waited for; without it a line says so at once and then every 10 s.
    """

    def __init__(
        self,
        url: str,
        *,
        wait: bool = True,
        sleep: Callable[[float], None] = time.sleep,
        waiting: Callable[[str, str], None] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._wait = wait
        self._sleep = sleep
        self._waiting = waiting or Progress(SystemClock()).waiting
        self._texts: dict[int, str] = {}
        self._ids: dict[tuple[str, str], int] = {}

    def schema_text(self, schema_id: int) -> str:
        """Return the schema with that id as JSON text."""
        if schema_id not in self._texts:
            self._texts[schema_id] = str(self._call(f"/schemas/ids/{schema_id}")["schema"])
        return self._texts[schema_id]

    def schema_id(self, subject: str, text: str) -> int:
        """Return the id under which `text` is registered; ConfigurationError where it is not."""
        if (subject, text) not in self._ids:
            self._ids[subject, text] = int(self._call(f"/subjects/{subject}", {"schema": text})["id"])
        return self._ids[subject, text]

    def answers(self) -> None:
        """Ask for a sign of life; raises DependencyDownError or ConfigurationError, whether it waits otherwise or not."""
        self._once("/config", None, None)

    def register(self, subject: str, text: str, compatibility: str) -> int:
        """Register `text` and set the subject's compatibility; the same text again is the same id."""
        schema_id = int(self._call(f"/subjects/{subject}/versions", {"schema": text})["id"])
        self._call(f"/config/{subject}", {"compatibility": compatibility}, method="PUT")
        return schema_id

    def _call(self, path: str, body: dict[str, str] | None = None, method: str | None = None) -> dict[str, Any]:
        while True:
            try:
                return self._once(path, body, method)
            except DependencyDownError as fault:
                if not self._wait:
                    raise
                self._waiting("schema registry", fault.message)
                self._sleep(1.0)

    def _once(self, path: str, body: dict[str, str] | None, method: str | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 -- the address comes from our own settings
            self._url + path,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 -- as above
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as fault:
            detail = fault.read().decode(errors="replace")[:300]
            if fault.code >= _SERVER_ERROR:
                message = f"the schema registry at {self._url} fails ({fault.code} {detail})"
                raise DependencyDownError(message, "look at its log") from None
            if fault.code == _NOT_FOUND and "error_code" not in detail:
                message = f"what answers at {self._url} is no schema registry"
                raise ConfigurationError(message, "correct FLUXION_SCHEMA_REGISTRY: …/apis/ccompat/v7") from None
            if fault.code == _NOT_FOUND:
                message = f"the schema registry does not know {path}"
                raise UnknownSchemaError(message, "run `fluxion schemas register`") from None
            message = f"the schema registry refuses {path} ({fault.code} {detail})"
            mend = "make the change compatible" if fault.code == _CONFLICT else "check FLUXION_SCHEMA_REGISTRY"
            raise ConfigurationError(message, mend) from None
        except (OSError, ValueError) as fault:
            message = f"the schema registry at {self._url} does not answer ({fault})"
            raise DependencyDownError(message, "check that it runs and FLUXION_SCHEMA_REGISTRY") from None
