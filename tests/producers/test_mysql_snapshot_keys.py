"""Chunks by primary key, over every type that a key can have: together they are the table, each row once, in its order."""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymysql.converters import encoders

from fluxion.errors import PositionLostError
from producers.source import Capture
from producers.sources.mysql import chunks
from producers.sources.mysql.chunks import Chunks, plans
from producers.sources.mysql.keyset import KeyColumn, behind, up_to
from tests.producers.conftest import Shop

MOMENTS = ["2026-02-01 10:00:00", "2026-02-01 10:00:00.5", "2026-02-01 10:00:00.000001", "1970-01-02 00:00:00"]
WORDS = st.text("aAáÁbBñÑßss \x01", max_size=6)
LATIN = st.text("aAáÁbBñÑßœ€ ", max_size=6)
PLAIN = st.text(string.printable, max_size=8)


@dataclass(frozen=True)
class Kind:
    """A column type and values for it, as pymysql takes them."""

    sql: str
    values: st.SearchStrategy[Any]


KINDS = [
    Kind("int", st.integers(-(2**31), 2**31 - 1) | st.integers(-5, 5)),
    Kind("bigint", st.sampled_from([-(2**63), -(2**63) + 1, 2**53, 2**53 + 1, 2**53 + 2, 2**63 - 2, 2**63 - 1])),
    Kind("bigint unsigned", st.sampled_from([0, 2**63, 2**63 + 1, 2**64 - 3, 2**64 - 2, 2**64 - 1])),
    Kind("int(8) unsigned zerofill", st.integers(0, 300)),
    Kind("decimal(30,10)", st.decimals(-(10**19), 10**19, places=10) | st.decimals(-1, 1, places=10)),
    Kind("float", st.floats(-100, 100, width=32)),
    Kind("double", st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.1, 0.2, 1e22, 1e-7])),
    Kind("varchar(20) collate utf8mb4_general_ci", WORDS),
    Kind("varchar(20) collate utf8mb4_unicode_ci", WORDS),
    Kind("varchar(20) collate utf8mb4_bin", WORDS | PLAIN),
    Kind("varchar(20) collate utf8mb4_nopad_bin", WORDS),
    Kind("varchar(20) collate utf8mb4_unicode_nopad_ci", WORDS),
    Kind("char(8) collate utf8mb4_spanish2_ci", WORDS),
    Kind("varchar(20) character set latin1", LATIN),
    Kind("varchar(20) character set latin1 collate latin1_german2_ci", LATIN),
    Kind("varchar(20) character set cp850", st.text("aAáÁñ█ ", max_size=6)),
    Kind("varchar(20) character set utf8mb3", st.text("aÁñ€'\\\"%", max_size=6)),
    Kind("varbinary(20)", st.binary(max_size=6) | st.sampled_from([b"a", b"a\0", b"a ", b"'", b"\\"])),
    Kind("binary(4)", st.binary(max_size=4)),
    Kind("date", st.sampled_from(["0000-00-00", "2026-00-10", "2026-01-00", "1000-01-01", "9999-12-31", "2026-02-28"])),
    Kind("datetime(6)", st.sampled_from([*MOMENTS, "0000-00-00 00:00:00"])),
    Kind("timestamp(6)", st.sampled_from([*MOMENTS, "0000-00-00 00:00:00", "2038-01-19 03:14:07"])),
    Kind(
        "time(3)", st.sampled_from(["-838:59:59", "-00:00:00.5", "00:00:00", "00:00:00.001", "99:00:00", "838:59:59"])
    ),
    Kind("year", st.sampled_from([0, 1901, 1999, 2000, 2026, 2155])),
    Kind("enum('z','a','m''ñ','Z2')", st.sampled_from(["z", "a", "m'ñ", "Z2", ""])),
    Kind("set('z','a','m')", st.sampled_from(["", "z", "a", "z,a", "m", "z,m", "z,a,m"])),
    Kind("bit(10)", st.integers(0, 1023)),
    Kind("uuid", st.uuids().map(str)),
    Kind("inet6", st.sampled_from(["::", "::1", "2001:db8::1", "::ffff:10.0.0.1"])),
]
CAPTURED = [kind for kind in KINDS if kind.sql not in {"uuid", "inet6"}]


@st.composite
def keyed_tables(draw: st.DrawFn) -> tuple[list[Kind], list[int], list[tuple[Any, ...]]]:
    """One to three key columns, the order of the index over them, and rows; keys that compare equal fall out."""
    kinds = draw(st.lists(st.sampled_from(CAPTURED), min_size=1, max_size=3))
    order = draw(st.permutations(range(len(kinds))))
    # Few values of the first columns, so that the last ones decide.
    pools = [st.sampled_from(draw(st.lists(kind.values, min_size=1, max_size=4))) for kind in kinds[:-1]]
    return kinds, list(order), draw(st.lists(st.tuples(*pools, kinds[-1].values), max_size=24))


def make(shop: Shop, kinds: list[Kind], order: list[int], rows: list[tuple[Any, ...]]) -> list[str]:
    """Make table k with the rows; their numbers in the order of the primary key."""
    columns = ", ".join(f"k{index} {kind.sql} not null" for index, kind in enumerate(kinds))
    names = ", ".join(f"k{index}" for index in order)
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("set session sql_mode = '', session time_zone = '+00:00'")
        cursor.execute("drop table if exists k")
        cursor.execute(f"create table k (n int, {columns}, primary key ({names}))")
        marks = ", ".join(["%s"] * (len(kinds) + 1))
        if rows:
            cursor.executemany(f"insert ignore into k values ({marks})", [(n, *row) for n, row in enumerate(rows)])
        cursor.execute(f"select n from k order by {names}")
        return [str(row[0]) for row in cursor.fetchall()]


def numbers(captures: list[Capture]) -> list[str | None]:
    return [row.values[0] for capture in captures for row in capture.rows]


@pytest.fixture
def three_rows_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 3)


# The database is one for all examples, each makes its table anew.
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=keyed_tables(), data=st.data())
@pytest.mark.usefixtures("three_rows_a_chunk")
def test_the_chunks_together_are_the_table_each_row_once_from_wherever_one_goes_on(
    shop: Shop, table: tuple[list[Kind], list[int], list[tuple[Any, ...]]], data: st.DataObject
) -> None:
    expected = make(shop, *table)
    source = shop.source("k")
    captures = list(source.resnapshot(None, frozenset({"k"}), {}))
    assert numbers(captures) == expected
    assert max(len(capture.rows) for capture in captures) <= 3
    assert [len(capture.ends) for capture in captures] == [0] * (len(captures) - 1) + [1]
    stored = data.draw(st.integers(1, len(captures)))
    rest = list(source.resnapshot(captures[stored - 1].position, frozenset({"k"}), {}))
    assert numbers([*captures[:stored], *rest]) == expected
    assert sum(len(capture.ends) for capture in [*captures[:stored], *rest]) == 1
    source.close()


@pytest.mark.parametrize("kind", CAPTURED, ids=lambda kind: kind.sql)
def test_one_can_go_on_behind_every_value_of_every_type(
    shop: Shop, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    expected = make(shop, [kind], [0], [(value,) for value in examples(kind)])
    assert len(expected) >= 3
    assert numbers(list(shop.source("k").resnapshot(None, frozenset({"k"}), {}))) == expected


# (a SET has no order that the server would walk by; it is read all the same, from the beginning each time)
@pytest.mark.parametrize("kind", [kind for kind in CAPTURED if "set" not in kind.sql[:3]], ids=lambda kind: kind.sql)
def test_the_server_walks_the_index_for_every_type(shop: Shop, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the last of many rows the server looks at a few, not at all of them."""
    shop.run(f"create table k (n int not null, k0 {kind.sql} not null, primary key (k0, n))")
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 20)
    values = [value for value in sorted({str(value) for value in examples(kind)}) if value][:3]
    assert values
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("set session sql_mode = '', session time_zone = '+00:00'")
        for value in values:
            cursor.execute("insert ignore into k select seq, %s from seq_1_to_100", [value])
    source = shop.source("k")
    link = source._links.open(conv=encoders)
    with link.cursor() as cursor:
        plan = plans(cursor, shop.database, frozenset({"k"}), {})["k"]
        walk = Chunks(source._config, (), None)
        read: list[int] = []
        ended = False
        while not ended:
            cursor.execute("flush status")
            chunk = walk.read(link, plan)
            ended = chunk.ended
            cursor.execute("show session status like 'Handler_read%'")
            read.append(sum(int(row[1]) for row in cursor.fetchall()))
    assert max(read) < 2 * chunks.CHUNK_ROWS, read
    assert len(read) >= 2


def examples(kind: Kind) -> Iterator[Any]:
    found: list[Any] = []

    @settings(max_examples=30, database=None, deadline=None)
    @given(kind.values)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    yield from found


def test_a_key_of_several_columns_is_written_out_so_that_the_index_serves() -> None:
    columns = [KeyColumn("a", "number"), KeyColumn("b", "text", "latin1"), KeyColumn("c", "plain")]
    key = ("-5", "e1", "2026-01-31")
    assert behind(columns, key) == (
        "((`a` > -5) or (`a` = -5 and `b` > _latin1 x'e1') or (`a` = -5 and `b` = _latin1 x'e1' and `c` > '2026-01-31'))"
    )
    assert up_to(columns[:1], ("-5",)) == "((`a` <= -5))"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("number", "1 or 1=1"),
        ("text", "e1'"),
        ("plain", "x' or ''='"),
        ("ordinal", "-1"),
        ("float", "1e5e"),
        ("bytes", "E1"),
        ("label", "'x'"),
    ],
)
def test_what_is_no_key_never_reaches_the_server(form: Any, value: str) -> None:
    with pytest.raises(PositionLostError):
        KeyColumn("k", form).compared(">", value)
