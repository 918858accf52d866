"""`fluxion agent rewind`: what is still in the journal is shipped again, with the same sequences and versions."""

from datetime import datetime
from pathlib import Path

from fluxion.clock import Clock
from fluxion.errors import ConfigurationError
from producers.home import JOURNAL, only_one
from producers.journal import Journal, Rewound

_MEND = "give a sequence, or a time with its zone, such as 2026-11-20T08:00:00-04:00"


def rewind(home: Path, to: str, clock: Clock) -> Rewound:
    """Rewind the journal in `home`, whose agent must not run: it would acknowledge over it.

    to: a sequence, or a time in ISO 8601 with its zone, from which on everything is shipped again.
    """
    with only_one(home):
        journal = Journal(home / JOURNAL, clock)
        try:
            if to.isascii() and to.isdigit():
                return journal.rewind_to_sequence(int(to))
            return journal.rewind_to_time(_micros(to))
        finally:
            journal.close()


def _micros(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is neither a sequence nor a time"
        raise ConfigurationError(message, _MEND) from None
    if time.tzinfo is None:
        message = f"{text!r} has no zone, so it says nothing of when it is"
        raise ConfigurationError(message, _MEND)
    return int(time.timestamp() * 1_000_000)
