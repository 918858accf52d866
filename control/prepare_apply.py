"""Run a prepared script on SQL Server, statement by statement, as an administrator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from control.prepare import PASSWORD, Step
from control.prepare_sqlserver import text
from fluxion.errors import AccessDeniedError, DependencyDownError, FluxionError
from producers.sources.sqlserver import SQLServerConfig
from producers.sources.sqlserver.connection import Link, Links

# Allowing snapshots waits until every open transaction has ended, and what is broken off is not done.
STATEMENT_S = 120
_AGAIN = "; what is done already is skipped when it is run again"

# Told of each step: its place from 1, the step, whether it changed something; None: it failed.
Tell = Callable[[int, Step, bool | None], None]


@contextmanager
def opened(config: SQLServerConfig) -> Iterator[Link]:
    """Log in for the block. `config`: the administrator's name and password, and no tables. Raises FluxionError."""
    links = Links(config)
    try:
        link = links.open(STATEMENT_S)
    except AccessDeniedError as fault:
        raise AccessDeniedError(fault.message, "correct --admin and FLUXION_ADMIN_PASSWORD") from None
    except DependencyDownError as fault:
        raise DependencyDownError(fault.message, "check that it runs; --host and --port say where it is") from None
    try:
        yield link
    finally:
        links.drop(link)


def run(link: Link, steps: tuple[Step, ...], password: str, tell: Tell) -> int:
    """Run the steps in their order and return how many changed something; FluxionError at the first that fails.

    Nothing is rolled back: each step is whole by itself. password: of the agent's login, where a step needs it.
    """
    changed = 0
    for place, step in enumerate(steps, 1):
        try:
            acted = _run_one(link, step, password)
        except FluxionError as fault:
            tell(place, step, None)
            raise type(fault)(f"{step.statement}: {fault.message}", _mend(fault)) from None
        tell(place, step, acted)
        changed += acted
    return changed


def _run_one(link: Link, step: Step, password: str) -> bool:
    if step.guard is not None:
        ((is_due,),) = link.rows(f"SELECT CASE WHEN {step.guard} THEN 1 ELSE 0 END")
        if not is_due:
            return False
    # (a statement that creates a login takes no parameters)
    statement = step.statement.replace(f"N'{PASSWORD}'", text(password)) if step.needs_password else step.statement
    link.rows(statement)
    return True


def _mend(fault: FluxionError) -> str:
    """Say what an administrator can do; what the driver's errors say is meant for the agent's account."""
    if isinstance(fault, AccessDeniedError):
        return "let somebody with more permissions run it (the script's heading says which)" + _AGAIN
    if isinstance(fault, DependencyDownError):
        return "run it again when the registers are quiet" + _AGAIN
    return "mend what the server says, or give the printed script to its administrator" + _AGAIN
