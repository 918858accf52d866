"""What an agent must not load: the computer in a store is old, and 80 MB are all that it may have."""

import subprocess
import sys

HEAVY = ("faust", "alembic", "sqlalchemy", "rich", "yaml", "pydantic_settings", "schemas.template", "cryptography")


def test_an_agent_loads_nothing_that_only_the_cloud_needs() -> None:
    code = (
        f"import sys, producers.cli, producers.sources.mysql; print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
