"""The one place where pyodbc's errors become ours, by SQL Server's own number, else by SQLSTATE.

Numbers: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors; 20000 and up
are FreeTDS's own.
"""

import re
from dataclasses import asdict, dataclass

import pyodbc

from fluxion.errors import (
    AccessDeniedError,
    ConfigurationError,
    DataValidationError,
    DependencyDownError,
    FluxionError,
    SourceNotReadyError,
)
from producers.sources.sqlserver.config import SQLServerConfig
from producers.sources.sqlserver.drivers import INSTALL

# A session's number of milliseconds that it waits for a lock.
LOCK_TIMEOUT_MS = 2_000


@dataclass(frozen=True)
class _Case:
    """What some numbers mean. Texts take config's fields as {user}, {database}, {schema}."""

    numbers: frozenset[int]
    error: type[FluxionError]
    says: str
    mend: str


_PASSWORD = "correct the user in agent.toml and the password in FLUXION_SOURCE_PASSWORD"  # noqa: S105 -- a sentence
_TRIED_AGAIN = "it is tried again; check that it runs"
_CASES = (
    _Case(
        frozenset({18450, 18452, 18456, 18458, 18459, 18460, 18461, 18463, 18470, 18486, 18487, 18488}),
        AccessDeniedError,
        "refuses the login {user!r}",
        _PASSWORD,
    ),
    _Case(
        frozenset({911, 916, 4060, 4064}),
        SourceNotReadyError,
        "does not open the database {database!r}",
        "correct the database's name, or CREATE USER [{user}] FOR LOGIN [{user}] in it",
    ),
    _Case(
        frozenset({229, 230, 262, 297, 300, 371, 15247, 22104}),
        AccessDeniedError,
        "denies a permission",
        "GRANT SELECT, VIEW CHANGE TRACKING ON SCHEMA::[{schema}] TO [{user}]",
    ),
    _Case(
        frozenset({22981}),
        AccessDeniedError,
        "does not show what Change Data Capture keeps",
        "GRANT SELECT ON SCHEMA::[{schema}] TO [{user}]; ALTER ROLE [fluxion_cdc] ADD MEMBER [{user}]",
    ),
    _Case(
        frozenset({207, 208, 4902}),
        SourceNotReadyError,
        "lacks what we capture",
        "correct the database's name and the template",
    ),
    _Case(
        frozenset({22105}),
        SourceNotReadyError,
        "does not track the changes of a table",
        "ALTER TABLE [{schema}].[…] ENABLE CHANGE_TRACKING",
    ),
    _Case(
        frozenset({3952}),
        SourceNotReadyError,
        "does not allow snapshots of {database!r}",
        "ALTER DATABASE [{database}] SET ALLOW_SNAPSHOT_ISOLATION ON",
    ),
    # A transaction that lost against another, against a change of the schema (3961), or for want of room in tempdb: from
    # its beginning it can be tried again.
    _Case(
        frozenset({1204, 1205, 1222, 3957, 3958, 3960, 3961, 3966, 3967}),
        DependencyDownError,
        "made us give way",
        "it is tried again",
    ),
    # The line, the server's start and end, a database that is being restored or recovered, memory, disk; 20000: FreeTDS.
    _Case(
        frozenset({
            -2, 2, 53, 64, 121, 233, 596, 601, 701, 802, 845, 922, 926, 927, 942, 945, 952, 976, 983, 1101, 1105, 3314,
            5011, 6005, 8645, 8651, 9001, 9002, 10053, 10054, 10060, 10061, 10928, 10929, 11001, 17142, 17188, 17197,
            18401, 18451, 40197, 40501, 40613, *range(20000, 21000),
        }),
        DependencyDownError,
        "does not answer",
        _TRIED_AGAIN,
    ),
)  # fmt: skip
_BY_NUMBER = {number: case for case in _CASES for number in case.numbers}
_TLS = re.compile(r"SSL|TLS|certificate|encryption", re.IGNORECASE)
_NO_DRIVER = re.compile(r"Can't open lib|Data source name not found|Driver's SQLAllocHandle|driver could not be loaded")
# Beside 08…; the vague ones mean a lost line only where the server has said nothing.
_LINE_STATES = {"HYT00", "HYT01", "HY008", "01000", "HY000"}
_VAGUE_STATES = {"01000", "HY000"}
_REFUSED_STATES = {"28000"}
_NUMBER = re.compile(r"\((-?\d+)\) \(SQL|\((-?\d+)\)(?=; \[|$)")


def number_of(fault: pyodbc.Error) -> int:
    """Return SQL Server's number of an error, 0 where the driver gives none: it stands in the text only."""
    found = [int(one or other) for one, other in _NUMBER.findall(_text(fault))]
    return next((number for number in found if number), 0)


def translate(fault: Exception, config: SQLServerConfig) -> FluxionError:
    """Return our error for one that a call of pyodbc raised."""
    where = f"SQL Server at {config.address}"
    if not isinstance(fault, pyodbc.Error):  # what pyodbc cannot turn into a value of Python's
        message = f"{where} gives a value that cannot be read ({fault})"
        return DataValidationError(message, "correct the row in the source")
    number, text = number_of(fault), _text(fault)
    case = _BY_NUMBER.get(number)
    if case is None:
        return _by_state(str(fault.args[0]) if fault.args else "", number, where, text)
    says, mend = (one.format(**asdict(config)) for one in (case.says, case.mend))
    return case.error(f"{where} {says} ({text})", mend)


def _by_state(state: str, number: int, where: str, text: str) -> FluxionError:
    if state in {"IM002", "IM003", "IM004"} or _NO_DRIVER.search(text):
        return ConfigurationError(f"the ODBC driver cannot be used ({text})", f"correct `driver`, or {INSTALL}")
    if state in _REFUSED_STATES:
        return AccessDeniedError(f"{where} refuses the login ({text})", _PASSWORD)
    if state.startswith("08") or state in _LINE_STATES:
        if _TLS.search(text):
            return _no_encryption(where, text)
        if state not in _VAGUE_STATES or not number:
            return DependencyDownError(f"{where} does not answer ({text})", _TRIED_AGAIN)
    return SourceNotReadyError(f"{where} answers with error {number} ({text})", "look the number up in its manual")


def _no_encryption(where: str, text: str) -> SourceNotReadyError:
    message = f"{where} and this machine agree on no encryption ({text})"
    mend = (
        "an old server offers TLS 1.0 only: install its update for TLS 1.2 (KB3135244), or set driver = 'FreeTDS'; "
        "if its certificate has expired, let it make a new one by a restart"
    )
    return SourceNotReadyError(message, mend)


def _text(fault: pyodbc.Error) -> str:
    return str(fault.args[1]) if len(fault.args) > 1 else str(fault)
