"""What the method rowversion refuses, by its check and by its stream, and what its file of keys says where it cannot be kept."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxion.errors import DependencyDownError, SourceNotReadyError
from producers.sources.sqlserver import check
from producers.sources.sqlserver.catalogue import Shapes
from producers.sources.sqlserver.edition import Edition
from producers.sources.sqlserver.keys import Keys
from producers.sources.sqlserver.rowversion_check import find_faults
from producers.sources.sqlserver.rowversion_tables import VersionedTables
from tests.producers.sql_shop import SqlShop


@pytest.mark.parametrize(
    ("definition", "code", "said"),
    [
        ("odd (id int NOT NULL, rv rowversion)", "NO_PRIMARY_KEY", "no primary key"),
        ("odd (id int NOT NULL PRIMARY KEY)", "NO_ROWVERSION", "no column of type rowversion"),
        ("other (id int NOT NULL PRIMARY KEY, rv rowversion)", "TABLE_MISSING", "there is no table odd"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_by_the_check_and_by_the_stream(
    sql_shop: SqlShop, definition: str, code: str, said: str
) -> None:
    sql_shop.run(f"CREATE TABLE dbo.{definition}")
    faults = sql_shop.source("odd", method="rowversion").check()
    assert [fault.code for fault in faults if not fault.warning] == [code]
    links = sql_shop.links("odd")
    link = links.open()
    with pytest.raises(SourceNotReadyError, match=said) as refused:
        VersionedTables(sql_shop.config("odd")).read(link)
    assert refused.value.mend
    links.drop(link)


def test_a_server_from_before_2012_is_refused(sql_items: SqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Edition("Express Edition", 4, (10, 50, 1600))
    monkeypatch.setattr(check, "edition_of", lambda _: old)
    (fault,) = [fault for fault in sql_items.source("items").check() if not fault.warning]
    assert fault.code == "UNSUPPORTED_SERVER"
    assert "SQL Server 2008 Express Edition" in fault.message


def test_a_check_that_has_no_time_left_says_so_of_each_table(sql_shop: SqlShop) -> None:
    sql_shop.run("CREATE TABLE dbo.odd (id int NOT NULL PRIMARY KEY, rv rowversion)")
    links = sql_shop.links("odd")
    link = links.open()
    shapes = Shapes(sql_shop.config("odd"), ["odd"]).read(link)
    assert [fault.code for fault in find_faults(link, shapes, lambda: False)] == ["TABLE_BUSY"]
    assert list(find_faults(link, shapes, lambda: True)) == []
    links.drop(link)


def test_a_file_of_keys_that_cannot_be_kept_is_named_with_its_mend(tmp_path: Path) -> None:
    with pytest.raises(DependencyDownError, match=r"cannot be kept in .*gone") as fault:
        _ = Keys(tmp_path / "gone" / "keys.db").id
    assert "let the agent write there" in fault.value.mend
    kept = Keys(None)
    kept.put("items", [["1"]])
    assert kept.count("items") == 1
    with pytest.raises(DependencyDownError, match="a temporary file"):
        kept.put("items", _broken_off())


def _broken_off() -> Iterator[list[str | None]]:
    yield ["2"]
    raise sqlite3.OperationalError("database or disk is full")
