"""Bring the database to the newest schema. Every migration of one run commits together or not at all."""

from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import NullPool

from fluxion.errors import AccessDeniedError, FluxionError
from fluxion.postgres import connect, translate

_SCRIPTS = Path(__file__).parent / "migrations"
# Arbitrary, but for ever the same: two runs at once wait for each other.
_LOCK = 4_203_001


def migrate(dsn: str) -> None:
    """Bring the database at `dsn` to the newest schema; nothing happens where it is there already.

    The login must own the database and may create roles; it need not be a superuser. Raises AccessDeniedError or
    DependencyDownError.
    """
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connect(dsn), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
            connection.exec_driver_sql("create schema if not exists pos_integration")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sqlalchemy.exc.DBAPIError as fault:
        raise _ours(fault.orig) from fault
    except psycopg.Error as fault:
        raise _ours(fault) from fault


def _ours(fault: BaseException | None) -> FluxionError:
    if isinstance(fault, psycopg.errors.InsufficientPrivilege):
        message = f"the login may not migrate the database ({_one_line(fault)})"
        return AccessDeniedError(message, "let FLUXION_DATABASE name the database's owner, a role with CREATEROLE")
    known = translate(fault) if isinstance(fault, psycopg.Error) else None
    return known or FluxionError(f"the migration failed and changed nothing ({_one_line(fault)})", "report it")


def _one_line(fault: BaseException | None) -> str:
    return " ".join(str(fault).split())
