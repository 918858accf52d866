"""The two ways in which a statement ends early."""


class SqlError(Exception):
    """One error of SQL Server: the number, severity class and state that travel in an ERROR token."""

    def __init__(self, number: int, message: str, severity: int = 16, state: int = 1) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.severity = severity
        self.state = state


class StatementCancelledError(Exception):
    """The client sent ATTENTION: the statement stopped, and no error token may be sent."""


def not_emulated(what: str) -> SqlError:
    """Build the error that says that SQL Server would have done it, and the stand-in does not."""
    return SqlError(40000, f"The stand-in does not emulate: {what}.")


def syntax(sentence: str) -> SqlError:
    """Build error 102, incorrect syntax."""
    return SqlError(102, sentence, 15)
