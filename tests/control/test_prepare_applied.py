"""`fluxion system prepare --apply`: what it does to a SQL Server.

The stand-in for SQL Server keeps logins, users, roles and what was granted, but refuses nobody for want of a permission: that the
agent may read no more than its tables is seen in the catalogue, and by a refusal on a real server alone.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from control import prepare_sqlserver
from control.prepare import PASSWORD, Method, Step
from control.prepare_apply import opened, run
from control.status_text import Language
from fluxion.errors import AccessDeniedError, FluxionError
from tests.conftest import Cloud
from tests.control.preparing import AGENT_PASSWORD, Store, terminal
from tests.support.sqlserver import Database

SPANISH, CHANGE_TRACKING, CDC = Language.SPANISH, Method.CHANGE_TRACKING, Method.CDC


@pytest.fixture
def store(cloud: Cloud, mssql: Database) -> Iterator[Store]:
    made = Store(cloud, mssql)
    yield made
    made.drop_login()


def test_applied_twice_it_makes_the_database_ready_and_then_changes_nothing(store: Store) -> None:
    assert [fault.code for fault in store.faults()] == ["ACCESS_DENIED"]
    steps = prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).steps
    for result in ("hecho", "nada que hacer"):
        code, said, failure = store.apply("--yes")
        assert (code, failure) == (0, "")
        lines = said.splitlines()[-len(steps) - 1 :]
        for place, step in enumerate(steps, 1):
            shown = "hecho" if step.guard is None else result
            if "SET CHANGE_TRACKING (" in step.statement or "ALTER USER" in step.statement:
                shown = "nada que hacer"
            assert lines[place - 1] == f"{place}/14 {step.statement}: {shown}"
        assert AGENT_PASSWORD not in said
        assert PASSWORD in said
        assert store.granted() == [
            (table, permission) for table in store.target.tables for permission in ("SELECT", "VIEW CHANGE TRACKING")
        ]
        assert store.tracked() == 4
        assert store.switches() == (True, True)
        assert store.faults() == []


def test_the_printed_script_runs_as_one_batch(store: Store) -> None:
    script = prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH)
    text = script.text.replace(f"N'{PASSWORD}'", prepare_sqlserver.text(AGENT_PASSWORD))
    for _ in range(2):
        with closing(store.server.connect()) as master:
            results = master.execute(text)
            while results.nextset():  # an error of a later statement comes with its result
                pass
        assert store.faults() == []


def test_without_an_answer_nothing_is_run(store: Store) -> None:
    code, said, failure = store.apply()
    assert code == 1
    assert f"¿Ejecutar estas 14 sentencias en {store.server.host}:" in said
    assert "Aborted" in failure
    assert store.switches() == (False, False)


def test_on_a_terminal_it_asks_for_the_password_and_does_not_show_it(store: Store) -> None:
    words = ("system", "prepare", store.system, "--apply", "--admin", store.server.user, "--lang", "en")
    with terminal(store.cloud, *words, FLUXION_SOURCE_PASSWORD=AGENT_PASSWORD) as (said, answer):
        said(f"Password of {store.server.user}:")
        answer(store.server.password)
        said("Run these 14 statements on")
        answer("y")
        heard = said(f"See for yourself: fluxion system check {store.system}")
    assert f"CREATE USER [{store.user}] FOR LOGIN [{store.user}]: done" in heard
    assert store.server.password not in heard
    assert store.faults() == []


def test_a_wrong_password_of_the_administrator_names_its_setting(store: Store) -> None:
    code, _, failure = store.apply("--yes", FLUXION_ADMIN_PASSWORD="wrong")
    assert code == AccessDeniedError.exit_code
    assert "correct --admin and FLUXION_ADMIN_PASSWORD" in failure
    assert store.switches() == (False, False)


def test_what_the_server_refuses_is_ours_and_keeps_what_was_done(store: Store) -> None:
    store.database.run("DROP TABLE dbo.ventas", "CREATE TABLE dbo.ventas (id int)")
    with pytest.raises(FluxionError, match=r"ALTER TABLE \[dbo\]\.\[ventas\] ENABLE.*primary key") as caught:
        store.run(prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).steps)
    assert "skipped when it is run again" in caught.value.mend
    assert store.tracked() == 3


def test_a_shorter_retention_becomes_seven_days_and_a_longer_one_stays(store: Store) -> None:
    steps = prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).steps[:3]
    name = store.database.name
    kept = "SELECT retention_period, retention_period_units_desc FROM sys.change_tracking_databases WHERE database_id = DB_ID()"
    store.database.run(
        f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 47 HOURS, AUTO_CLEANUP = ON)"
    )
    store.run(steps)
    assert store.database.run(kept) == [(7, "DAYS")]
    store.database.run(f"ALTER DATABASE {name} SET CHANGE_TRACKING (CHANGE_RETENTION = 200 HOURS)")
    store.run(steps)
    assert store.database.run(kept) == [(200, "HOURS")]


def test_undone_and_prepared_again_it_is_ready_again(store: Store) -> None:
    prepared = prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).to_run
    store.run(prepared)
    said = ""
    for _ in range(2):
        code, said, failure = store.apply("--undo", "--yes")
        assert (code, failure) == (0, "")
        assert (store.tracked(), store.switches()) == (0, (True, True))
        assert [fault.code for fault in store.faults()] == ["SOURCE_NOT_READY"]  # the login without its user
        assert store.granted() == []
    assert f"5/9 DROP USER [{store.user}]: nada que hacer" in said
    store.run(prepared)
    assert store.faults() == []
    whole = prepare_sqlserver.undo(store.target, CHANGE_TRACKING, SPANISH, everything=True).to_run
    assert all(acted for _, acted in store.run(whole))
    assert (store.tracked(), store.switches()) == (0, (False, False))
    assert [fault.code for fault in store.faults()] == ["ACCESS_DENIED"]
    assert not any(acted for _, acted in store.run(whole))
    store.run(prepared)
    assert store.faults() == []


def test_a_user_that_came_with_a_backup_is_joined_to_its_login(store: Store) -> None:
    other = f"otro_{store.database.name}"
    store.database.run(
        f"CREATE LOGIN {other} WITH PASSWORD = N'Otro!2026x'", f"CREATE USER {store.user} FOR LOGIN {other}"
    )
    told = dict(store.run(prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).to_run))
    assert told[f"CREATE USER [{store.user}] FOR LOGIN [{store.user}]"] is False
    assert told[f"ALTER USER [{store.user}] WITH LOGIN = [{store.user}]"] is True
    assert store.faults() == []
    store.database.run(f"DROP LOGIN {other}")


def test_a_user_with_more_than_we_granted_is_not_dropped(store: Store) -> None:
    store.run(prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).to_run)
    store.database.run("CREATE TABLE dbo.ajena (id int)", f"GRANT SELECT ON dbo.ajena TO {store.user}")
    careful = prepare_sqlserver.undo(store.target, CHANGE_TRACKING, SPANISH, everything=False).to_run
    assert dict(store.run(careful))[f"DROP USER [{store.user}]"] is False
    assert store.granted() == [("ajena", "SELECT")]
    store.database.run(
        f"REVOKE SELECT ON dbo.ajena FROM {store.user}",
        "CREATE ROLE de_otros",
        f"ALTER ROLE de_otros ADD MEMBER {store.user}",
    )
    assert dict(store.run(careful))[f"DROP USER [{store.user}]"] is False
    store.database.run(f"ALTER ROLE de_otros DROP MEMBER {store.user}")
    assert dict(store.run(careful))[f"DROP USER [{store.user}]"] is True


def test_undoing_everything_leaves_tracking_on_for_a_table_that_is_not_ours(store: Store) -> None:
    store.run(prepare_sqlserver.prepare(store.target, CHANGE_TRACKING, SPANISH).to_run)
    store.database.run(
        "CREATE TABLE dbo.ajena (id int NOT NULL PRIMARY KEY)", "ALTER TABLE dbo.ajena ENABLE CHANGE_TRACKING"
    )
    store.run(prepare_sqlserver.undo(store.target, CHANGE_TRACKING, SPANISH, everything=True).to_run)
    assert (store.tracked(), store.switches()) == (1, (False, True))


def test_cdc_is_switched_on_and_off_again(store: Store) -> None:
    prepared = prepare_sqlserver.prepare(store.target, CDC, SPANISH).to_run
    undone = prepare_sqlserver.undo(store.target, CDC, SPANISH, everything=True).to_run
    tracked = "SELECT name FROM sys.tables WHERE is_tracked_by_cdc = 1 ORDER BY name"
    enabled = "SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND is_cdc_enabled = 1"
    store.run(prepared)
    assert [name for (name,) in store.database.run(tracked)] == list(store.target.tables)
    assert [
        instance for (instance,) in store.database.run("SELECT capture_instance FROM cdc.change_tables ORDER BY 1")
    ] == [f"fluxion_dbo_{table}" for table in store.target.tables]
    assert store.granted() == [(table, "SELECT") for table in store.target.tables]
    assert {statement.split()[0] for statement, acted in store.run(prepared) if acted} == {"GRANT"}
    store.run(undone)
    assert store.database.run(tracked) == []
    assert store.database.run(enabled) == []


def test_rowversion_is_ready_once_a_person_has_added_the_columns(store: Store) -> None:
    prepared = prepare_sqlserver.prepare(store.target, Method.ROWVERSION, SPANISH)
    store.run(prepared.to_run)
    assert store.granted() == [(table, "SELECT") for table in store.target.tables]
    assert {fault.code for fault in store.faults(Method.ROWVERSION)} == {"NO_ROWVERSION"}
    added = [step for step in prepared.steps if not step.chosen]
    assert all(acted for _, acted in store.run(added))
    assert store.faults(Method.ROWVERSION) == []
    assert not any(acted for _, acted in store.run(added))
    undone = prepare_sqlserver.undo(store.target, Method.ROWVERSION, SPANISH, everything=True).to_run
    assert all(acted for _, acted in store.run(undone))
    assert store.database.run("SELECT name FROM sys.columns WHERE name = 'fluxion_rv'") == []


def test_a_password_reaches_the_server_as_it_is(store: Store) -> None:
    password = "o'Hara ]]; -- {fn now()} ? $(x) ''"
    store.database.run("CREATE TABLE dbo.dichos (id int NOT NULL PRIMARY KEY, dicho nvarchar(80))")
    with opened(store.config(store.server.user, store.server.password)) as link:
        run(link, (Step(f"INSERT INTO dbo.dichos VALUES (1, N'{PASSWORD}')"),), password, lambda *_: None)
    assert store.database.run("SELECT dicho FROM dbo.dichos") == [(password,)]
