"""Which source a template's database needs, and that agent.toml keeps what was chosen."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from fluxion.settings import Settings
from producers.home import KEYS, AgentConfig, SourceSection, read_config, write_config
from producers.sources.choice import Place, kind_for, open_source, options_for
from producers.sources.mysql import MySQLSource
from producers.sources.sqlserver import SQLServerSource

TABLES = frozenset({"ventas"})


def place(kind: str, **options: str) -> Place:
    return Place(kind, "caja", 1, "fluxion", "tienda", TABLES, "secret", options)


def test_the_template_says_which_kind() -> None:
    assert kind_for(("mysql", "mariadb", "oracle")) == kind_for(("oracle", "mariadb")) == "mysql"
    assert kind_for(("sqlserver",)) == "sqlserver"
    with pytest.raises(ConfigurationError, match="for oracle, which no agent of this version reads"):
        kind_for(("oracle",))


def test_a_source_is_of_its_kind() -> None:
    assert isinstance(open_source(place("mysql"), SystemClock()), MySQLSource)
    assert isinstance(open_source(place("sqlserver", schema="ventas"), SystemClock()), SQLServerSource)


def test_what_is_told_of_a_deleted_row_is_known_without_asking() -> None:
    assert place("mysql").deleted_row == "whole", "full images are demanded"
    assert place("sqlserver").deleted_row == place("sqlserver", method="change_tracking").deleted_row == "key"
    assert place("sqlserver", method="cdc").deleted_row == "whole"


def test_an_option_of_another_kind_is_refused_with_its_mend() -> None:
    with pytest.raises(ConfigurationError, match=r"mysql source does not take that option.*'schema'") as refused:
        open_source(place("mysql", schema="dbo"), SystemClock())
    assert "agent.toml" in refused.value.mend


def test_the_templates_schema_is_an_option_of_sql_server_only() -> None:
    assert options_for("sqlserver", "ventas", {}) == {"schema": "ventas"}
    assert options_for("sqlserver", "ventas", {"schema": "dbo", "driver": "FreeTDS"})["schema"] == "dbo"
    assert options_for("mysql", "ventas", {}) == {}


def test_agent_toml_keeps_kind_and_options(tmp_path: Path) -> None:
    source = SourceSection(
        kind="sqlserver", host="caja", port=1433, user="fluxion", database="tienda", tables=["ventas"],
        options={"driver": "ODBC Driver 18 for SQL Server"},
    )  # fmt: skip
    write_config(tmp_path, AgentConfig(system_id="s", epoch=1, source=source))
    config = read_config(tmp_path)
    assert config.source == source
    found = config.place(Settings(source_password=SecretStr("secret")))
    assert (found.kind, found.options, found.password) == ("sqlserver", source.options, "secret")
    assert found.address == "caja:1433/tienda"
    assert (found.scratch, config.place(Settings(), tmp_path).scratch) == (None, tmp_path / KEYS)


def test_only_a_source_that_remembers_something_is_told_where(tmp_path: Path) -> None:
    for kind in ("mysql", "sqlserver"):
        open_source(replace(place(kind), scratch=tmp_path / KEYS), SystemClock())
    assert not (tmp_path / KEYS).exists(), "opening a source writes nothing"


@pytest.mark.parametrize(("kind", "other"), [("mysql", "pyodbc"), ("sqlserver", "pymysql")])
def test_an_agent_loads_the_driver_of_its_own_store_only(kind: str, other: str) -> None:
    code = (
        "import sys, producers.cli; from fluxion.clock import SystemClock;"
        " from producers.sources.choice import Place, open_source;"
        f" open_source(Place({kind!r}, 'h', 1, 'u', 'd', frozenset()), SystemClock()); print({other!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_computer_without_odbc_is_told_what_it_lacks() -> None:
    code = (
        "import sys; sys.modules['pyodbc'] = None; from fluxion.clock import SystemClock;"
        " from producers.sources.choice import Place, open_source;"
        " open_source(Place('sqlserver', 'h', 1, 'u', 'd', frozenset()), SystemClock())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "ConfigurationError: this computer cannot speak with SQL Server" in last
    assert last.endswith("install ODBC and a driver: on Debian the packages unixodbc and tdsodbc")
