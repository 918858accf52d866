"""What the stream says of a row is what the snapshot says, what a plain SELECT says, and what mysql-replication reads."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.constants import NONE_SOURCE
from pymysqlreplication.row_event import WriteRowsEvent

from deploy.stack import Stack
from producers.sources.mysql.position import parse
from tests.producers.conftest import Shop, made_shop, rows, take
from tests.producers.every_type import MOMENTS, NUMBERS, TEXTS, UNHEARD, Kind

Said = dict[str, str | None]

FAMILIES = {
    "numbers": NUMBERS,
    "moments": MOMENTS,
    "texts": {name: kind for name, kind in TEXTS.items() if name not in UNHEARD},
    "unheard": {name: TEXTS[name] for name in UNHEARD},
}


@pytest.fixture(scope="module")
def typed_shop(stack: Stack) -> Iterator[Shop]:
    """A shop with a table for each family, each with an INT in front, a computed and an invisible column."""
    for shop in made_shop(stack.mariadb_host, stack.mariadb_port):
        for family, kinds in FAMILIES.items():
            columns = ", ".join(f"{name} {kind.definition}" for name, kind in kinds.items())
            more = "seen int invisible default 7, twice int as (id * 2) virtual, stored int as (id * 3) persistent"
            shop.run(f"create table {family} (id int primary key, {columns}, {more}) character set utf8mb4")
        yield shop


def literals(kinds: dict[str, Kind]) -> st.SearchStrategy[list[dict[str, str]]]:
    row = st.fixed_dictionaries({name: kind.literals | st.just("null") for name, kind in kinds.items()})
    return st.lists(row, min_size=1, max_size=12)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(data=st.data())
def test_all_readers_agree_on_every_type(typed_shop: Shop, family: str, data: st.DataObject) -> None:
    kinds = FAMILIES[family]
    given_rows = data.draw(literals(kinds))
    start = typed_shop.now(family)
    insert(typed_shop, family, given_rows)
    (read,) = typed_shop.snapshot(family)
    plain = selected(typed_shop, family, kinds)
    typed_shop.run(f"update {family} set seen = 8 where true", f"delete from {family} where true")

    streamed = take(typed_shop.source(family).stream(start), 3)
    names = [column.name for column in read.layouts[0].columns]
    assert [capture.layouts for capture in streamed] == [read.layouts] * 3
    snapshot = [dict(zip(names, values, strict=True)) for _, _, values in rows([read])]
    created, updated, deleted = (
        [dict(zip(names, values, strict=True)) for _, _, values in rows([capture])] for capture in streamed
    )
    assert created == snapshot
    assert updated == deleted == [{**row, "seen": "8"} for row in snapshot]
    assert [{name: row[name] for name in kinds} for row in created] == plain
    if family != "unheard":
        for found, wanted in zip(logged(typed_shop, family, kinds, parse(start).gtid), created, strict=True):
            assert found == {name: wanted[name] for name in found}
    for number, row in enumerate(created, 1):
        assert [row[name] for name in ("id", "twice", "stored", "seen")] == [
            str(n) for n in (number, number * 2, number * 3, 7)
        ]


def insert(shop: Shop, family: str, given_rows: list[dict[str, str]]) -> None:
    with shop.link() as link, link.cursor() as cursor:
        # Another zone than ours: an instant must not depend on the writer's.
        cursor.execute("set sql_mode = 'ALLOW_INVALID_DATES', time_zone = '-04:00'")
        cursor.execute("begin")
        for number, row in enumerate(given_rows, 1):
            cursor.execute(f"insert into {family} (id, {', '.join(row)}) values ({number}, {', '.join(row.values())})")
        cursor.execute("commit")


def selected(shop: Shop, family: str, kinds: dict[str, Kind]) -> list[Said]:
    """The rows by a plain SELECT, brought to canonical form by the rules of `every_type`."""
    shown = ", ".join(kind.shown.format(name) for name, kind in kinds.items())
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute(f"select {shown} from {family} order by id")
        return [
            {name: None if value is None else kinds[name].read(value) for name, value in zip(kinds, row, strict=True)}
            for row in cursor.fetchall()
        ]


def logged(shop: Shop, family: str, kinds: dict[str, Kind], gtid: str) -> list[Said]:
    """The rows by mysql-replication's own events, but for the columns that it is known to misread."""
    reader = BinLogStreamReader(
        connection_settings={},
        pymysql_wrapper=lambda **settings: pymysql.connect(
            host=shop.host, port=shop.port, user="root", cursorclass=settings.get("cursorclass", pymysql.cursors.Cursor)
        ),
        server_id=990,
        is_mariadb=True,
        auto_position=gtid,
        only_events=[WriteRowsEvent],
        only_schemas=[shop.database],
        only_tables=[family],
        enable_logging=False,
    )
    known = {name: kind.logged for name, kind in kinds.items() if kind.logged is not None}
    with closing(reader):
        return [_canonical(row, known) for event in reader for row in event.rows]


def _canonical(row: dict[str, Any], known: dict[str, Callable[[Any], str | None]]) -> Said:
    values, why = row["values"], row["none_sources"]
    return {
        name: read(values[name])
        if values[name] is not None
        else ("" if why.get(name) == NONE_SOURCE.EMPTY_SET else None)
        for name, read in known.items()
    }
