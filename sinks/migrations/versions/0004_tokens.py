"""A token of one store; servers note when a token was used and what was done with it."""

from pathlib import Path
from typing import Any, cast

import psycopg
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the script as it stands: psycopg itself, since SQLAlchemy would read its percent signs as parameters."""
    link = cast("psycopg.Connection[Any]", op.get_bind().connection.driver_connection)
    link.execute(Path(__file__).with_suffix(".sql").read_bytes())
