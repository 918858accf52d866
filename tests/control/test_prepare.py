"""`fluxion system prepare`: what it prints to the letter, what it refuses, and what the script does to a MariaDB."""

import pymysql
import pytest
import sqlglot

from control import prepare_mysql, prepare_sqlserver
from control.prepare import PASSWORD, Method, Script, Target
from control.status_text import Language
from deploy.demo.systimax import Systimax
from fluxion.errors import ConfigurationError
from tests.conftest import Cloud
from tests.control.preparing import new_system, prepare, target
from tests.support import local

SPANISH, CHANGE_TRACKING, CDC = Language.SPANISH, Method.CHANGE_TRACKING, Method.CDC
ROWVERSION = Method.ROWVERSION
HOSTILE = ("a]b", "]; DROP TABLE x; --", "it's", "N'x'; EXEC y --", "/* z", "á ñ", "`b`", "[c]", '"d"', "\\")

STELLAR = """\
-- Fluxion POS CDC: prepara la base [tienda] para capturar «Principal» (Change Tracking).
-- Repetirlo no cambia nada. Deshacerlo: fluxion system prepare --undo 7
-- Quién lo ejecuta: db_owner + securityadmin. Se detiene en el primer error; si una caja ocupa una tabla, cede: repítalo luego.

SET XACT_ABORT ON;
SET LOCK_TIMEOUT 5000;
USE [tienda];

-- Lecturas sin bloqueo: el agente nunca detiene una caja. Espera a que terminen las transacciones abiertas.
IF EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND snapshot_isolation_state NOT IN (1, 3))
    ALTER DATABASE [tienda] SET ALLOW_SNAPSHOT_ISOLATION ON;

-- Change Tracking en la base: anota qué claves cambiaron, durante 7 días (lo que el agente puede estar apagado).
IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_databases WHERE database_id = DB_ID())
    ALTER DATABASE [tienda] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON);

-- Si ya estaba activo con menos de 7 días, se amplía.
IF EXISTS (SELECT 1 FROM sys.change_tracking_databases WHERE database_id = DB_ID() AND is_auto_cleanup_on = 1
   AND retention_period * CASE retention_period_units WHEN 1 THEN 1 WHEN 2 THEN 60 ELSE 1440 END < 10080)
    ALTER DATABASE [tienda] SET CHANGE_TRACKING (CHANGE_RETENTION = 7 DAYS);

-- En cada tabla de la plantilla (exige clave primaria).
IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID(N'[dbo].[categorias]'))
    ALTER TABLE [dbo].[categorias] ENABLE CHANGE_TRACKING;
IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID(N'[dbo].[detalle_ventas]'))
    ALTER TABLE [dbo].[detalle_ventas] ENABLE CHANGE_TRACKING;
IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID(N'[dbo].[productos]'))
    ALTER TABLE [dbo].[productos] ENABLE CHANGE_TRACKING;
IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID(N'[dbo].[ventas]'))
    ALTER TABLE [dbo].[ventas] ENABLE CHANGE_TRACKING;

-- El agente entra con este login, sin ningún rol. Ponga su contraseña; si el login ya existe, conserva la suya.
IF NOT EXISTS (SELECT 1 FROM sys.server_principals WHERE name = N'fluxion')
    CREATE LOGIN [fluxion] WITH PASSWORD = N'<PASSWORD>';
IF NOT EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'fluxion')
    CREATE USER [fluxion] FOR LOGIN [fluxion];

-- Si el usuario vino con un respaldo de otro servidor, se vuelve a unir a su login.
IF EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'fluxion' AND sid <> SUSER_SID(N'fluxion'))
    ALTER USER [fluxion] WITH LOGIN = [fluxion];

-- Solo leer, y solo las tablas de la plantilla.
GRANT SELECT, VIEW CHANGE TRACKING ON OBJECT::[dbo].[categorias] TO [fluxion];
GRANT SELECT, VIEW CHANGE TRACKING ON OBJECT::[dbo].[detalle_ventas] TO [fluxion];
GRANT SELECT, VIEW CHANGE TRACKING ON OBJECT::[dbo].[productos] TO [fluxion];
GRANT SELECT, VIEW CHANGE TRACKING ON OBJECT::[dbo].[ventas] TO [fluxion];"""

SYSTIMAX = """\
-- Fluxion POS CDC: prepares MariaDB for the capture of the database `tienda` of "Principal".
-- Repeating it changes nothing. The way back: fluxion system prepare --undo 7
--
-- First, in my.cnf, and restart it (fluxion agent check tells):
--   [mariadbd]
--   log_bin             = mysql-bin
--   binlog_format       = ROW
--   binlog_row_image    = FULL
--   binlog_row_metadata = FULL
--   expire_logs_days    = 7          # as long as the agent may be off

-- The agent enters by this account. Put its password; where it exists, it keeps its own.
CREATE USER IF NOT EXISTS 'fluxion'@'%' IDENTIFIED BY '<PASSWORD>';

-- Reading the binary log; MariaDB grants it for the whole server only.
GRANT REPLICATION SLAVE ON *.* TO 'fluxion'@'%';

-- Reading only, and only the template's tables.
GRANT SELECT ON `tienda`.`categories` TO 'fluxion'@'%';
GRANT SELECT ON `tienda`.`items` TO 'fluxion'@'%';
GRANT SELECT ON `tienda`.`stock` TO 'fluxion'@'%';
GRANT SELECT ON `tienda`.`transaction_details` TO 'fluxion'@'%';
GRANT SELECT ON `tienda`.`transactions` TO 'fluxion'@'%';"""


# The text ---------------------------------------------------------------------------------------------------------------


def test_the_script_for_stellar_to_the_letter() -> None:
    assert prepare_sqlserver.prepare(target(), CHANGE_TRACKING, SPANISH).text == STELLAR


def test_the_script_for_systimax_to_the_letter() -> None:
    assert prepare_mysql.prepare(target("systimax"), Language.ENGLISH).text == SYSTIMAX


def all_scripts(aim: Target) -> list[Script]:
    return [
        *(prepare_sqlserver.prepare(aim, method, language) for method in Method for language in Language),
        *(
            prepare_sqlserver.undo(aim, method, SPANISH, everything=every)
            for method in Method
            for every in (True, False)
        ),
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_identifier_or_one_literal(name: str) -> None:
    hostile = Target("7", name, name, name, (name,), name)
    plain = Target("7", "x", "x", "x", ("x",), "x")
    for script, model in zip(all_scripts(hostile), all_scripts(plain), strict=True):
        tokens, expected = (sqlglot.tokenize(one.text, read="tsql") for one in (script, model))
        assert [token.token_type for token in tokens] == [token.token_type for token in expected]
        named = {token.text for token in tokens if token.token_type is sqlglot.TokenType.IDENTIFIER}
        assert named <= {name, prepare_sqlserver.CDC_ROLE, "fluxion_rv"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_identifier_on_mariadb(name: str) -> None:
    hostile, plain = Target("7", name, name, "dbo", (name,), name), Target("7", "x", "x", "dbo", ("x",), "x")
    for one, other in (
        (prepare_mysql.prepare(hostile, SPANISH), prepare_mysql.prepare(plain, SPANISH)),
        (
            prepare_mysql.undo(hostile, SPANISH, everything=False),
            prepare_mysql.undo(plain, SPANISH, everything=False),
        ),
    ):
        tokens, expected = (sqlglot.tokenize(script.text, read="mysql") for script in (one, other))
        assert [token.token_type for token in tokens] == [token.token_type for token in expected]


def test_a_systems_name_cannot_leave_its_comment() -> None:
    script = prepare_sqlserver.prepare(target(name="x\nGO\r\nDROP DATABASE [tienda]\u2028y"), CHANGE_TRACKING, SPANISH)
    assert script.text.replace("x GO DROP DATABASE [tienda] y", "Principal") == STELLAR


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "a\u2028b", "$(x)", "", "x" * 129])
def test_a_name_that_no_person_could_review_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot stand in a script"):
        target(database=name)


@pytest.mark.parametrize("user", ["sa", "SA", "dbo", "guest"])
@pytest.mark.parametrize("method", Method)
def test_the_agent_never_gets_an_administrators_login(user: str, method: Method) -> None:
    with pytest.raises(ConfigurationError, match="none for an agent"):
        prepare_sqlserver.prepare(target(user=user), method, SPANISH)
    with pytest.raises(ConfigurationError, match="none for an agent"):
        prepare_sqlserver.undo(target(user=user), method, SPANISH, everything=True)


def test_the_user_that_cdc_makes_for_itself_is_refused_for_cdc_alone() -> None:
    assert prepare_sqlserver.prepare(target(user="cdc"), CHANGE_TRACKING, SPANISH).steps
    with pytest.raises(ConfigurationError, match="belongs to Change Data Capture"):
        prepare_sqlserver.prepare(target(user="cdc"), CDC, SPANISH)


def test_nothing_of_the_server_is_touched_but_the_agents_login() -> None:
    for script in all_scripts(target()):
        text = script.text.lower()
        assert not any(
            word in text for word in ("sp_configure", "xp_cmdshell", "alter server", "reconfigure", "srvrole")
        )
        assert {"create login [fluxion] with password = n'<password>'", "drop login [fluxion]"} >= {
            step.statement.lower() for step in script.steps if " login [" in step.statement.lower()
        } - {"create user [fluxion] for login [fluxion]"}


def test_undoing_leaves_to_a_person_what_others_may_use() -> None:
    careful = prepare_sqlserver.undo(target(), CHANGE_TRACKING, SPANISH, everything=False)
    shown = [step.statement for step in careful.steps if not step.chosen]
    assert shown == [
        "ALTER DATABASE [tienda] SET CHANGE_TRACKING = OFF",
        "ALTER DATABASE [tienda] SET ALLOW_SNAPSHOT_ISOLATION OFF",
        "DROP LOGIN [fluxion]",
    ]
    for statement in shown:
        assert f"--     {statement};" in careful.text.splitlines()
    assert "AVISO: afecta a toda la base. Otros programas que usen Change Tracking" in careful.text
    whole = prepare_sqlserver.undo(target(), CHANGE_TRACKING, SPANISH, everything=True)
    assert [step.statement for step in whole.to_run[-3:]] == shown


def test_cdc_says_that_express_has_none() -> None:
    script = prepare_sqlserver.prepare(target(), CDC, SPANISH)
    assert "Express no tiene CDC: use --method change_tracking" in script.text
    assert "Express has no CDC" in prepare_sqlserver.prepare(target(), CDC, Language.ENGLISH).text
    assert "VIEW CHANGE TRACKING" not in script.text


def test_rowversion_reads_only_and_leaves_the_columns_to_a_person() -> None:
    script = prepare_sqlserver.prepare(target(), ROWVERSION, SPANISH)
    assert "Deshacerlo: fluxion system prepare --undo 7 --method rowversion" in script.text
    assert [step.statement.partition(" TO ")[0] for step in script.to_run] == [
        "ALTER DATABASE [tienda] SET ALLOW_SNAPSHOT_ISOLATION ON",
        "CREATE LOGIN [fluxion] WITH PASSWORD = N'<PASSWORD>'",
        "CREATE USER [fluxion] FOR LOGIN [fluxion]",
        "ALTER USER [fluxion] WITH LOGIN = [fluxion]",
        *(f"GRANT SELECT ON OBJECT::[dbo].[{table}]" for table in target().tables),
    ]
    added = [step.statement for step in script.steps if not step.chosen]
    assert added == [f"ALTER TABLE [dbo].[{table}] ADD [fluxion_rv] rowversion" for table in target().tables]
    assert f"--     {added[0]};" in script.text.splitlines()
    assert "rewrites the table" in prepare_sqlserver.prepare(target(), ROWVERSION, Language.ENGLISH).text


def test_undoing_rowversion_takes_the_columns_away_only_with_everything() -> None:
    careful = prepare_sqlserver.undo(target(), ROWVERSION, SPANISH, everything=False)
    assert [step.statement.split(maxsplit=1)[0] for step in careful.to_run] == ["REVOKE"] * 4 + ["DROP"]
    whole = prepare_sqlserver.undo(target(), ROWVERSION, SPANISH, everything=True)
    assert [step.statement for step in whole.to_run[5:]] == [
        *(f"ALTER TABLE [dbo].[{table}] DROP COLUMN [fluxion_rv]" for table in target().tables),
        "ALTER DATABASE [tienda] SET ALLOW_SNAPSHOT_ISOLATION OFF",
        "DROP LOGIN [fluxion]",
    ]
    assert "AVISO: quita de las tablas" in careful.text


# The command ----------------------------------------------------------------------------------------------------------


def test_printing_needs_no_server(cloud: Cloud) -> None:
    system = new_system(cloud, "stellar", "--host", "127.0.0.1", "--port", "1", "--database", "tienda")
    code, said, _ = prepare(cloud, system)
    assert (code, said.replace(system, "7")) == (0, STELLAR + "\n")
    code, said, _ = prepare(cloud, system, "--undo", "--lang", "en")
    assert code == 0
    assert "WARNING: this concerns the whole database" in said
    assert "--     DROP LOGIN [fluxion];" in said.splitlines()


def test_words_that_do_not_go_together_are_one_sentence(cloud: Cloud) -> None:
    stellar = new_system(cloud, "stellar")
    systimax = new_system(cloud, "systimax")
    for words, mend in (
        ((stellar, "--everything"), "add --undo"),
        ((stellar, "--apply", "--yes"), "add --admin USER"),
        ((stellar, "--apply", "--admin", "sa", "--yes"), "FLUXION_SOURCE_PASSWORD"),
        ((stellar, "--undo", "--apply", "--admin", "sa", "--yes"), "FLUXION_ADMIN_PASSWORD"),
        ((systimax, "--method", "cdc"), "leave --method out"),
        ((systimax, "--apply", "--admin", "root", "--yes"), "on MariaDB, where --apply runs nothing"),
    ):
        code, _, said = prepare(cloud, *words)
        assert code == 78, words
        assert mend in said
        assert said.count("\n") == 1


# Run on MariaDB ---------------------------------------------------------------------------------------------------------


def test_the_script_for_mariadb_makes_an_account_that_passes_the_check(cloud: Cloud) -> None:
    stack = cloud.stack
    pos = Systimax(stack.mariadb_host, stack.mariadb_port, "app", "app", "prepared")
    pos.create(0)
    place = ("--port", str(pos.port), "--user", "prepared_agent", "--database", pos.database)
    system = new_system(cloud, "systimax", *place)
    for _ in range(2):
        mariadb(cloud, prepare(cloud, system)[1].replace(PASSWORD, "secreta"))
    environment = {**cloud.environment, "FLUXION_SOURCE_PASSWORD": "secreta"}
    assert "fits its database" in local.fluxion("system", "check", system, environment=environment).stdout
    mariadb(cloud, prepare(cloud, system, "--undo")[1])
    done = local.fluxion("system", "check", system, environment=environment, check=False)
    assert done.returncode == 1
    assert "denied" in done.stdout
    for _ in range(2):
        mariadb(cloud, prepare(cloud, system, "--undo", "--everything")[1])
    assert mariadb(cloud, "SELECT user FROM mysql.user WHERE user = 'prepared_agent'") == []


def mariadb(cloud: Cloud, script: str) -> list[tuple[str, ...]]:
    """Run a script as the administrator; rows of its last statement."""
    place = (cloud.stack.mariadb_host, cloud.stack.mariadb_port)
    with pymysql.connect(host=place[0], port=place[1], user="root", autocommit=True) as link, link.cursor() as cursor:
        for statement in script.split(";\n"):
            if any(line and not line.startswith("--") for line in statement.splitlines()):
                cursor.execute(statement)
        return list(cursor.fetchall())
