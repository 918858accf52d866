import dataclasses
import time

import pymysql
import pytest

from fluxion.clock import SystemClock
from fluxion.errors import SourceNotReadyError
from producers.following import refuse_faults
from producers.source import Fault
from producers.sources.mysql import MySQLConfig, MySQLSource, check
from producers.sources.mysql.connection import translate
from tests.producers.conftest import Shop, take

TABLE = "create table items (id int primary key)"


def codes(faults: list[Fault]) -> list[str]:
    for fault in faults:
        assert fault.message, fault
        assert fault.mend, fault
        assert "\n" not in fault.message + fault.mend
    return [fault.code for fault in faults]


def test_a_prepared_database_has_no_fault_and_needs_no_reload(shop: Shop) -> None:
    shop.run(TABLE)
    mine = shop.account("select on {database}.items", "replication slave on *.*")
    assert mine.source("items").check() == []
    start = mine.now("items")
    shop.run("insert into items values (1)")
    assert take(mine.source("items").stream(start), 1)


def test_a_wrong_password_names_the_account(shop: Shop) -> None:
    config = dataclasses.replace(shop.config("items"), password="wrong")
    (fault,) = MySQLSource(config, SystemClock()).check()
    assert fault.code == "ACCESS_DENIED"
    assert "'cdc'" in fault.message
    assert "FLUXION_SOURCE_PASSWORD" in fault.mend
    assert "wrong" not in str(fault) + repr(config)


def test_nobody_there() -> None:
    config = MySQLConfig("127.0.0.1", 1, "u", "d", frozenset({"t"}))
    assert codes(MySQLSource(config, SystemClock()).check()) == ["DEPENDENCY_DOWN"]


def test_each_missing_privilege_is_told_with_its_grant(shop: Shop) -> None:
    shop.run(TABLE, "create table hidden (id int primary key)")
    mine = shop.account("select on {database}.items")
    replication, hidden = mine.source("items", "hidden").check()
    assert codes([replication, hidden]) == ["ACCESS_DENIED", "ACCESS_DENIED"]
    assert replication.mend.startswith("GRANT REPLICATION SLAVE ON *.*")
    assert "hidden" in hidden.message
    assert hidden.mend.startswith(f"GRANT SELECT ON `{shop.database}`")


@pytest.mark.parametrize(
    ("number", "code", "mend"),
    [
        (1045, "ACCESS_DENIED", "FLUXION_SOURCE_PASSWORD"),
        (1142, "ACCESS_DENIED", "GRANT SELECT ON `d`.*"),
        (1227, "ACCESS_DENIED", "GRANT REPLICATION SLAVE"),
        (1146, "SOURCE_NOT_READY", "template"),
        (1236, "POSITION_LOST", "agent resnapshot"),
        (2013, "DEPENDENCY_DOWN", "tried again"),
        (1317, "DEPENDENCY_DOWN", "tried again"),
        (1064, "SOURCE_NOT_READY", "look the number up"),
    ],
)
def test_every_error_of_the_server_is_one_of_ours_with_its_mend(number: int, code: str, mend: str) -> None:
    config = MySQLConfig("127.0.0.1", 1, "u", "d", frozenset({"t"}))
    fault = translate(pymysql.err.OperationalError(number, "what the server said"), config)
    assert fault.code == code
    assert mend in fault.mend
    assert "what the server said" in fault.message


def test_every_fault_at_once(unprepared_shop: Shop) -> None:
    unprepared_shop.run("create table heap (id int)", "create table prefix (t text, primary key (t(5)))")
    mine = unprepared_shop.account("select on {database}.*")
    faults = mine.source("heap", "prefix", "missing").check()
    assert codes(faults) == [
        "BINLOG_OFF",
        "BINLOG_FORMAT",
        "BINLOG_ROW_METADATA",
        "ACCESS_DENIED",
        "TABLE_MISSING",
        "NO_PRIMARY_KEY",
        "NO_PRIMARY_KEY",
    ]
    assert "log_bin" in faults[0].mend
    with pytest.raises(SourceNotReadyError, match="binary log is off"):
        mine.snapshot("heap")


def test_a_row_image_that_is_not_full(unprepared_shop: Shop) -> None:
    unprepared_shop.run(TABLE, "set global binlog_row_image = minimal, global binlog_format = row")
    unprepared_shop.run("set global binlog_row_metadata = full")
    try:
        faults = unprepared_shop.account("all on *.*").source("items").check()
    finally:
        unprepared_shop.run("set global binlog_row_image = full, global binlog_format = mixed")
        unprepared_shop.run("set global binlog_row_metadata = no_log")
    assert codes(faults) == ["BINLOG_OFF", "BINLOG_ROW_IMAGE"]


CASCADE = (
    "create table headers (id int primary key)",
    "create table parts (id int primary key, header int, foreign key (header) references headers (id) on delete cascade)",
    "create table notes (id int primary key, header int, foreign key (header) references headers (id))",
)


def test_what_the_log_will_not_tell_is_a_warning_and_keeps_nobody_from_capturing(shop: Shop) -> None:
    shop.run(*CASCADE)
    mine = shop.account("select on {database}.*", "replication slave on *.*")
    (warning,) = mine.source("headers", "parts", "notes").check()
    assert codes([warning]) == ["UNLOGGED_CASCADE"]
    assert warning.warning
    assert "rows of parts that go or change by the foreign key to headers" in warning.message
    refuse_faults([warning])
    with pytest.raises(SourceNotReadyError, match="nothing"):
        refuse_faults([warning, Fault("X", "nothing works", "mend it")])


@pytest.mark.parametrize(("kept", "said"), [("0.5", ["BINLOG_RETENTION"]), ("0", []), ("3", [])])
def test_a_log_that_is_kept_for_hours_only_is_a_warning(shop: Shop, kept: str, said: list[str]) -> None:
    shop.run(TABLE, f"set global expire_logs_days = {kept}")
    try:
        found = shop.source("items").check()
    finally:
        shop.run("set global expire_logs_days = 0")
    assert codes(found) == said
    assert all(fault.warning for fault in found)


def test_tables_that_somebody_alters_just_now_are_named_in_time_and_hide_no_other_fault(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "CHECK_S", 1.5)
    busy = [f"busy{number}" for number in range(6)]
    shop.run(*(f"create table {name} (id int primary key)" for name in busy), "create table free (id int)")
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("lock tables " + ", ".join(f"{name} write" for name in busy))
        began = time.monotonic()
        faults = shop.account("select on {database}.*").source(*busy, "missing", "a_free").check()
        took = time.monotonic() - began
    assert codes(faults)[0] == "ACCESS_DENIED"
    assert "TABLE_MISSING" in codes(faults), "a_free comes before the busy ones"
    assert {fault.code for fault in faults[2:]} == {"TABLE_BUSY"}
    assert "there was no time to look at" in faults[-1].message
    assert "missing" in faults[-1].message
    assert took < 6
