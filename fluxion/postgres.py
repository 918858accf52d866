"""PostgreSQL connections, and the one place where psycopg's errors become ours, by SQLSTATE."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, conninfo

from fluxion.errors import AccessDeniedError, DependencyDownError, FluxionError

# A role is a set of rights and of row policies; a process takes one at the start of its session (see sinks/migrations).
APP, STAGE, SINK = "fluxion_app", "fluxion_stage", "fluxion_sink"

CONNECT_TIMEOUT_S = 5


def connect(dsn: str, role: str | None = None) -> Connection[tuple[Any, ...]]:
    """Open a connection that acts as `role` (None: as the login itself).

    Not in autocommit. TCP keepalives notice a half-open line within 30 s. Raises AccessDeniedError or DependencyDownError.
    """
    with translated("PostgreSQL"):
        link = psycopg.connect(
            dsn,
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            options=f"-c role={role} -c timezone=UTC" if role else "-c timezone=UTC",
        )
    link.prepare_threshold = 2
    return link


def probe(dsn: str, role: str) -> Callable[[], object]:
    """Return what asks PostgreSQL for a sign of life, as `role`; it raises what `connect` raises."""

    def ask() -> None:
        with connect(dsn, role) as link, translated("PostgreSQL"):
            link.execute("select 1")

    return ask


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate psycopg's errors inside the block: connection and privilege errors become FluxionErrors, others pass."""
    try:
        yield
    except psycopg.Error as fault:
        known = translate(fault, what)
        if known is None:
            raise
        raise known from fault


def translate(fault: psycopg.Error, what: str = "PostgreSQL") -> FluxionError | None:
    """Return our error for a driver's, or None where it is neither a connection's nor a privilege's."""
    state = fault.sqlstate or ""
    text = " ".join(str(fault).split())
    if state in {"28P01", "28000"} or "password authentication failed" in text:
        return AccessDeniedError(f"{what} refuses the login ({text})", "correct user and password in FLUXION_DATABASE")
    if state == "3D000" or ("does not exist" in text and 'database "' in text):
        return AccessDeniedError(f"{what} has no such database ({text})", "correct the name in FLUXION_DATABASE")
    if state == "42501":
        return AccessDeniedError(f"{what} denies a privilege ({text})", "run `fluxion db migrate` as the owner")
    # A login that does not exist is refused before there is a SQLSTATE to read.
    if "does not exist" in text and (state in {"42P01", "3F000", "22023"} or (not state and 'role "' in text)):
        mend = "run `fluxion db migrate`, or correct the user in FLUXION_DATABASE"
        return AccessDeniedError(f"{what} lacks a table, schema or role ({text})", mend)
    if state[:2] in {"08", "53", "57"} or (not state and isinstance(fault, psycopg.OperationalError)):
        return DependencyDownError(f"{what} does not answer ({text})", "check that it runs and FLUXION_DATABASE")
    return None


def redacted(dsn: str) -> str:
    """Return the DSN without its password, for messages."""
    parts = conninfo.conninfo_to_dict(dsn)
    parts.pop("password", None)
    return " ".join(f"{key}={value}" for key, value in parts.items())
