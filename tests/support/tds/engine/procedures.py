"""The system procedures of change data capture and change tracking, and the stand-in's own."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support.tds.engine.datatype_info import datatype_info
from tests.support.tds.engine.query import query, scalar
from tests.support.tds.engine.session import Session
from tests.support.tds.errors import SqlError, syntax
from tests.support.tds.results import Result

Arguments = Sequence[tuple[str, Any]]  # (lower-case name without @, or '' for positional, value)
Named = Mapping[str, Any]
ARGUMENT = re.compile(
    r"\s*(?:@(?P<name>\w+)\s*=\s*)?(?P<value>N?'(?:[^']|'')*'|0x[0-9a-f]*|-?\d+(?:\.\d+)?|@@?\w+|\[?\w+\]?)"
    r"(\s+OUT(?:PUT)?)?\s*(?:,|$)",
    re.IGNORECASE,
)
ENABLE_TABLE = "SELECT standin.cdc_enable($1, $2, $3, $4::int, $5, $6)"
ENABLE_NEEDS = ("source_schema", "source_name", "role_name")
HELP = """
SELECT OBJECT_SCHEMA_NAME(source_object_id) AS source_schema, OBJECT_NAME(source_object_id) AS source_table,
  capture_instance, object_id, source_object_id, start_lsn, end_lsn, supports_net_changes, has_drop_pending, role_name,
  index_name, filegroup_name, create_date, CAST(NULL AS nvarchar(4000)) AS index_column_list,
  standin.captured_column_list(object_id) AS captured_column_list
FROM cdc.change_tables
"""
CAPTURED = """
SELECT OBJECT_SCHEMA_NAME(t.source_object_id) AS source_schema, OBJECT_NAME(t.source_object_id) AS source_table,
  t.capture_instance, c.column_name, c.column_id, c.column_ordinal, c.column_type AS data_type
FROM cdc.captured_columns AS c JOIN cdc.change_tables AS t ON t.object_id = c.object_id
WHERE t.object_id = {} ORDER BY c.column_ordinal
"""
JOBS = "SELECT job_type, retention FROM standin.cdc_jobs"


def execute(session: Session, found: re.Match[str]) -> list[Result]:
    """EXEC procedure arguments, as part of a batch."""
    return call(session, found["name"], arguments_of(session, found["arguments"]))


def call(session: Session, name: str, arguments: Arguments) -> list[Result]:
    """Run a procedure; raises SqlError 2812 for one that is not known."""
    plain = re.sub(r"[\[\]]", "", name).lower().rsplit(".", 1)[-1]
    if plain.startswith("sp_datatype_info"):
        return [datatype_info(next((int(value) for _, value in arguments), 0))]
    if plain not in PROCEDURES:
        raise SqlError(2812, f"Could not find stored procedure '{name}'.")
    order, action = PROCEDURES[plain]
    session.check_isolation()
    results = action(session, by_name(order, arguments))
    session.forget_schema()
    return [Result()] if results is None else results


def by_name(order: Sequence[str], arguments: Arguments) -> dict[str, Any]:
    """Give positional arguments the names that they stand for."""
    positional = (value for name, value in arguments if not name)
    return {name: value for name, value in arguments if name} | dict(zip(order, positional, strict=False))


def arguments_of(session: Session, text: str) -> Arguments:
    """Read the arguments of an EXEC; values are literals and variables."""
    arguments, at = [], 0
    while at < len(text.rstrip()):
        found = ARGUMENT.match(text, at)
        if found is None:
            raise syntax(f"Incorrect syntax near '{text[at : at + 30]}'.")
        arguments.append(((found["name"] or "").lower(), _literal(session, found["value"])))
        at = found.end()
    return arguments


def _literal(session: Session, text: str) -> Any:
    if text.upper() in {"NULL", "DEFAULT"}:
        return None
    if text.startswith("@"):
        return scalar(session, text)
    if quoted := re.fullmatch(r"N?'(.*)'", text, re.DOTALL):
        return quoted[1].replace("''", "'")
    if text[:2].lower() == "0x":
        return bytes.fromhex(text[2:])
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _cdc_enable_db(session: Session, _named: Named) -> None:
    instance = session.databases.instance
    if instance.edition == "express":
        message = (
            f"This instance of SQL Server is the {instance.server_property('edition')}. Change data capture is only "
            "available in the Enterprise, Developer, Enterprise Evaluation, and Standard editions."
        )
        raise SqlError(22988, message)
    if session.database.lower() == "master":
        message = (
            "Could not enable Change Data Capture for database 'master'. Change data capture is not supported on system "
            "databases, or on a distribution database."
        )
        raise SqlError(22989, message)
    session.run("SELECT standin.cdc_database(true)")


def _cdc_disable_db(session: Session, _named: Named) -> None:
    session.run("SELECT standin.cdc_database(false)")


def _cdc_enable_table(session: Session, named: Named) -> None:
    for parameter in ENABLE_NEEDS:
        if parameter not in named:
            message = (
                f"Procedure or function 'sp_cdc_enable_table' expects parameter '@{parameter}', which was not supplied."
            )
            raise SqlError(201, message)
    keys = ("capture_instance", "supports_net_changes", "role_name", "captured_column_list")
    session.run(ENABLE_TABLE, [named["source_schema"], named["source_name"], *(named.get(key) for key in keys)])


def _cdc_disable_table(session: Session, named: Named) -> None:
    session.run("SELECT standin.require_cdc()")
    wanted = named.get("capture_instance")
    if wanted and str(wanted).lower() != "all":
        session.run("SELECT standin.cdc_drop($1)", [wanted])
        return
    session.run(
        "SELECT standin.cdc_drop(capture_instance::text) FROM cdc.change_tables WHERE source_object_id = sys.object_id($1)",
        [f"{named['source_schema']}.{named['source_name']}"],
    )


def _cdc_cleanup(session: Session, named: Named) -> None:
    session.run("SELECT standin.cdc_cleanup($1, $2::bytea)", [named["capture_instance"], named["low_water_mark"]])


def _cdc_help(session: Session, _named: Named) -> list[Result]:
    session.run("SELECT standin.require_cdc()")
    return [query(session, HELP)]


def _cdc_captured(session: Session, named: Named) -> list[Result]:
    session.run("SELECT standin.require_cdc()")
    return [query(session, CAPTURED.format(session.one("SELECT standin.instance_of($1)", named["capture_instance"])))]


def _help_jobs(session: Session, _named: Named) -> list[Result]:
    return [query(session, JOBS)]


def _change_job(session: Session, named: Named) -> None:
    if not _is_capture(named) and named.get("retention") is not None:
        session.run("SELECT standin.set_setting('cdc_retention', to_jsonb($1::int))", [named["retention"]])


def _stop_job(session: Session, named: Named) -> None:
    if _is_capture(named):
        session.run("SELECT standin.capture_stop()")


def _start_job(session: Session, named: Named) -> None:
    if _is_capture(named):
        session.run("SELECT standin.capture_start()")


def _is_capture(named: Named) -> bool:
    return str(named.get("job_type") or "capture").lower() == "capture"


def _scan(session: Session, _named: Named) -> None:
    session.run("SELECT standin.capture_scan()")


def _flush_change_tracking(session: Session, named: Named) -> None:
    session.run("SELECT standin.ct_cleanup($1)", [named.get("tabletoclean")])


def _advance_clock(session: Session, named: Named) -> None:
    session.run("SELECT standin.advance_clock($1::int)", [named["minutes"]])


def _fork_recovery(session: Session, _named: Named) -> None:
    session.run("SELECT standin.fork_recovery()")


def _log_updates(session: Session, named: Named) -> None:
    for key in ("own_seqval", "key_as_update"):
        session.run("SELECT standin.set_setting($1, to_jsonb($2::int = 1))", [key, int(named[key])])


Action = Callable[[Session, Named], list[Result] | None]
PROCEDURES: dict[str, tuple[Sequence[str], Action]] = {
    "sp_cdc_enable_db": ((), _cdc_enable_db),
    "sp_cdc_disable_db": ((), _cdc_disable_db),
    "sp_cdc_enable_table": (
        (
            *("source_schema", "source_name", "capture_instance", "supports_net_changes", "role_name"),
            *("index_name", "captured_column_list"),
        ),
        _cdc_enable_table,
    ),
    "sp_cdc_disable_table": (("source_schema", "source_name", "capture_instance"), _cdc_disable_table),
    "sp_cdc_cleanup_change_table": (("capture_instance", "low_water_mark", "threshold"), _cdc_cleanup),
    "sp_cdc_help_change_data_capture": (("source_schema", "source_name"), _cdc_help),
    "sp_cdc_scan": ((), _scan),
    "sp_cdc_start_job": (("job_type",), _start_job),
    "sp_cdc_stop_job": (("job_type",), _stop_job),
    "sp_cdc_get_captured_columns": (("capture_instance",), _cdc_captured),
    "sp_cdc_change_job": (("job_type",), _change_job),
    "sp_cdc_help_jobs": ((), _help_jobs),
    "sp_flush_ct_internal_table_on_demand": (("tabletoclean",), _flush_change_tracking),
    "advance_clock": (("minutes",), _advance_clock),
    "fork_recovery": ((), _fork_recovery),
    "log_updates": (("own_seqval", "key_as_update"), _log_updates),
}
