"""What the wire asks of the engine; one per connection, each call in a thread of its own, never two at once."""

from collections.abc import Sequence
from typing import Protocol

from tests.support.tds.errors import SqlError
from tests.support.tds.results import Parameter, Result

Outcome = tuple[list[Result], SqlError | None]


class Session(Protocol):
    """Runs statements. What was produced before an error is returned beside the error."""

    @property
    def database(self) -> str:
        """The current database, spelled as it was created."""
        ...

    def execute(self, sql: str, parameters: Sequence[Parameter]) -> Outcome:
        """Run a batch; raises StatementCancelledError after `cancel`."""
        ...

    def call(self, name: str, parameters: Sequence[Parameter]) -> Outcome:
        """Run a stored procedure."""
        ...

    def begin(self, isolation: str | None) -> None:
        """Begin a transaction, at that isolation level from now on if one is named."""
        ...

    def commit(self) -> None:
        """Commit; raises SqlError 3902 outside a transaction."""
        ...

    def rollback(self) -> None:
        """Roll back, if there is anything to roll back."""
        ...

    def reset(self) -> None:
        """Forget the transaction, the settings and the variables."""
        ...

    def cancel(self) -> None:
        """Stop the running statement; called from another thread."""
        ...

    def close(self) -> None:
        """Roll back and leave."""
        ...
