import struct
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxion.errors import DataValidationError, SourceNotReadyError
from producers.sources.mysql import charsets
from producers.sources.mysql.values import single
from tests.producers.conftest import Shop, take

# column → (definition, [SQL literal, canonical text])
COLUMNS = {
    "ti": ("tinyint(1)", "-1", "-1"),
    "sm": ("smallint unsigned", "65535", "65535"),
    "me": ("mediumint", "-8388608", "-8388608"),
    "meu": ("mediumint unsigned", "16777215", "16777215"),
    "it": ("int(6) zerofill", "42", "42"),
    "bi": ("bigint", "-9223372036854775808", "-9223372036854775808"),
    "biu": ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
    "yr": ("year", "2026", "2026"),
    "yr0": ("year", "0", "0"),
    "de": ("decimal(18,4)", "-12.34", "-12.3400"),
    "des": ("decimal(30,20)", "0.00000000000000000001", "0.00000000000000000001"),
    "dez": ("decimal(8,2) zerofill", "7.5", "7.50"),
    "de0": ("decimal(20,0)", "99999999999999999999", "99999999999999999999"),
    "fl": ("float", "0.1", "0.1"),
    "flb": ("float", "16777216", "16777216.0"),
    "fl2": ("float(7,2)", "12345.67", "12345.67"),
    "db": ("double", "0.1", "0.1"),
    "dbe": ("double", "1e300", "1e+300"),
    "db2": ("double(10,2)", "2.345", "2.35"),
    "ch": ("char(10)", "'x  '", "x"),
    "chl": ("char(200)", "'largo'", "largo"),
    "vl": ("varchar(20) character set latin1", "'niño €'", "niño €"),
    "v3": ("varchar(300) character set utf8mb3", "'ñ'", "ñ"),
    "v4": ("varchar(20)", "'😀 '", "😀 "),
    "tx": ("text", "''", ""),
    "tl": ("mediumtext character set latin1", "'té'", "té"),
    "en": ("enum('uno','dós')", "'dós'", "dós"),
    "enz": ("enum('uno')", "'otro'", ""),
    "se": ("set('b','ñ','a')", "'a,b'", "b,a"),
    "se0": ("set('b')", "''", ""),
    "js": ("json", """'{"a": 1}'""", '{"a": 1}'),
    "b1": ("bit(1)", "1", "1"),
    "b12": ("bit(12)", "2049", "2049"),
    "bn": ("binary(4)", "x'01020000'", "AQIAAA=="),
    "vb": ("varbinary(5)", "x'0100'", "AQA="),
    "bl": ("blob", "x'ff00'", "/wA="),
    "da": ("date", "'2024-02-29'", "2024-02-29"),
    "da0": ("date", "'0000-00-00'", None),
    "tm": ("time", "'-838:59:59'", "-838:59:59"),
    "tm3": ("time(3)", "'01:02:03.5'", "01:02:03.500000"),
    "tm3z": ("time(3)", "'01:02:03'", "01:02:03"),
    "dt": ("datetime", "'2026-01-31 08:05:00'", "2026-01-31T08:05:00"),
    "dt3": ("datetime(3)", "'2026-01-31 08:05:00.12'", "2026-01-31T08:05:00.120000"),
    "dt6": ("datetime(6)", "'2026-01-31 08:05:00.000001'", "2026-01-31T08:05:00.000001"),
    "dt0": ("datetime", "'0000-00-00'", None),
    "dtp": ("datetime", "'2024-00-00'", None),
    "ts": ("timestamp null", "'2026-01-31 08:05:00'", "2026-01-31T12:05:00Z"),
    "ts3": ("timestamp(3) null", "'2026-01-31 08:05:00.5'", "2026-01-31T12:05:00.500000Z"),
    "ts0": ("timestamp null", "0", None),
    "nothing": ("decimal(18,4)", "null", None),
    "vi": ("int as (ti + 1) virtual", None, "0"),
    "hid": ("int invisible default 7", "7", "7"),
}
KINDS = {
    "ti": "integer", "de": "decimal", "fl": "float", "db": "float", "ch": "text", "js": "text", "b1": "boolean",
    "b12": "integer", "bn": "bytes", "da": "date", "tm": "time", "dt": "datetime", "ts": "instant", "yr": "integer",
}  # fmt: skip


@pytest.fixture
def every_type(shop: Shop) -> str:
    columns = ", ".join(f"{name} {definition}" for name, (definition, _, _) in COLUMNS.items())
    shop.run(f"create table v (id int primary key, {columns})")
    given = {name: literal for name, (_, literal, _) in COLUMNS.items() if literal is not None}
    return f"insert into v (id, {', '.join(given)}) values (1, {', '.join(given.values())})"


def test_snapshot_and_stream_give_the_same_canonical_text(shop: Shop, every_type: str) -> None:
    # The writer's zone is Caracas: an instant must not depend on it.
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("set sql_mode = '', time_zone = '-04:00'")
        start = shop.now("v")
        cursor.execute(every_type)
    (streamed,) = take(shop.source("v").stream(start), 1)
    (read,) = shop.snapshot("v")
    wanted = {"id": "1", **{name: text for name, (_, _, text) in COLUMNS.items()}}
    names = [column.name for column in read.layouts[0].columns]
    assert dict(zip(names, read.rows[0].values, strict=True)) == wanted
    assert dict(zip(names, streamed.rows[0].values, strict=True)) == wanted
    assert streamed.layouts == read.layouts
    types = {column.name: column.type for column in read.layouts[0].columns}
    assert {name: types[name] for name in KINDS} == KINDS
    assert read.layouts[0].key == ["id"]


@pytest.mark.parametrize(
    "definition",
    [
        "uuid",
        "point",
        "inet6",
        "varchar(9) character set gbk",
        "enum('a') character set sjis",
        "year(2)",
        "int, t2 geometry",
    ],
)
def test_a_type_that_is_not_known_is_named_before_anything_is_read(shop: Shop, definition: str) -> None:
    shop.run(f"create table v (id int primary key, odd {definition})")
    (fault,) = shop.source("v").check()
    assert fault.code == "UNSUPPORTED_TYPE"
    with pytest.raises(SourceNotReadyError, match=r"odd|t2"):
        shop.snapshot("v")


@pytest.mark.parametrize("definition", ["point", "varchar(9) character set gbk"])
def test_a_type_that_comes_while_it_reads_is_named_too(shop: Shop, definition: str) -> None:
    shop.run("create table v (id int primary key)")
    start = shop.now("v")
    shop.run(f"alter table v add odd {definition}", "insert into v values (1, null)")
    with pytest.raises(SourceNotReadyError, match="odd"):
        take(shop.source("v").stream(start), 1)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(struct.unpack("f", struct.pack("f", 16777217.5))[0])
@example(8.589973e9)  # a float of nine digits
@example(3.4028234663852886e38)
@example(1.401298464324817e-45)
def test_a_float_is_the_shortest_text_that_reads_back_to_it(value: float) -> None:
    text = single(value)
    assert struct.pack("f", float(text)) == struct.pack("f", value)
    digits = len(text.partition("e")[0].replace(".", "").replace("-", "").strip("0"))
    assert digits <= 9
    shorter = float(f"{value:.{max(1, digits - 1)}g}")
    assert digits <= 6 or abs(shorter) > 3.4e38 or struct.pack("f", shorter) != struct.pack("f", value)


def test_compressed_columns_are_read_whether_they_were_worth_it_or_not(shop: Shop) -> None:
    shop.run("create table v (id int primary key, t text compressed, b blob compressed)")
    start = shop.now("v")
    shop.run("insert into v values (1, repeat('ñ', 500), repeat('a', 500)), (2, 'x', 'y'), (3, '', null)")
    (streamed,) = take(shop.source("v").stream(start), 1)
    (read,) = shop.snapshot("v")
    assert [row.values for row in streamed.rows] == [row.values for row in read.rows]
    assert streamed.rows[0].values[1] == "ñ" * 500


class Before1010:
    """What a cursor says on a server before MariaDB 10.10, whose first view has no numbers."""

    def execute(self, query: str) -> None:
        asked = "collation_character_set_applicability" in query
        self.description = (
            [("COLLATION_NAME",), ("CHARACTER_SET_NAME",)] if asked else [("id",), ("character_set_name",)]
        )

    def fetchall(self) -> list[tuple[int, str]]:
        return [(8, "latin1"), (45, "utf8mb4")]


def test_a_server_before_mariadb_10_10_is_asked_for_its_collations_in_its_own_way() -> None:
    assert charsets.collations_of(Before1010()) == {8: "latin1", 45: "utf8mb4"}  # type: ignore[arg-type] # all that is used of a cursor


def test_a_key_over_parts_of_columns_is_refused_by_the_log_too(shop: Shop) -> None:
    shop.run("create table v (id int primary key, t text)")
    start = shop.now("v")
    shop.run("alter table v drop primary key, add primary key (t(5))", "insert into v values (1, 'x')")
    with pytest.raises(SourceNotReadyError, match="primary key"):
        take(shop.source("v").stream(start), 1)


def test_keys_labels_and_charsets_that_the_log_says_once_or_column_by_column_are_the_same(shop: Shop) -> None:
    shop.run(
        "create table v (b varchar(5) character set latin1, a varchar(5) character set cp850, c varchar(5), d blob,"
        " e enum('ñ') character set latin1, f set('ó', 'ú') character set cp850, g enum('é'), primary key (a, b))"
    )
    start = shop.now("v")
    shop.run("insert into v values ('ñ', 'ó', '😀', x'ff', 'ñ', 'ó,ú', 'é')")
    (streamed,) = take(shop.source("v").stream(start), 1)
    assert streamed.rows[0].values == ["ñ", "ó", "😀", "/w==", "ñ", "ó,ú", "é"]
    assert streamed.layouts == shop.snapshot("v")[0].layouts


OLD = {
    "t": ("time", "'-101:02:03'", "-101:02:03"), "t0": ("time", "0", "00:00:00"),
    "d": ("datetime", "'2026-01-31 08:05:09'", "2026-01-31T08:05:09"), "d0": ("datetime", "0", None),
    "dp": ("datetime", "'2024-00-10 01:02:03'", None), "s": ("timestamp null", "'2026-01-31 08:05:09'", "2026-01-31T08:05:09Z"),
    "s0": ("timestamp null", "0", None),
}  # fmt: skip


@pytest.fixture
def old_formats(shop: Shop) -> Iterator[None]:
    """New tables are made as before MariaDB 10.1."""
    shop.run("set global mysql56_temporal_format = off")
    yield
    shop.run("set global mysql56_temporal_format = on")


@pytest.mark.usefixtures("old_formats")
def test_tables_from_before_mariadb_10_1_give_the_same_texts(shop: Shop) -> None:
    columns = ", ".join(f"{name} {definition}" for name, (definition, _, _) in OLD.items())
    shop.run(f"create table v (id int primary key, {columns})")
    start = shop.now("v")
    values = ", ".join(literal for _, literal, _ in OLD.values())
    shop.run(f"set statement sql_mode = '', time_zone = '+00:00' for insert into v values (1, {values})")
    (streamed,) = take(shop.source("v").stream(start), 1)
    (read,) = shop.snapshot("v")
    assert streamed.layouts == read.layouts
    assert streamed.rows[0].values == read.rows[0].values == ["1", *(text for _, _, text in OLD.values())]


@pytest.mark.usefixtures("old_formats")
@pytest.mark.parametrize("definition", ["time(3)", "datetime(1)", "timestamp(6) null"])
def test_old_fractions_whose_length_the_log_does_not_tell_are_refused(shop: Shop, definition: str) -> None:
    shop.run("create table v (id int primary key)")
    start = shop.now("v")
    # 460551 is 07 07 07 in the log: taken for rows, they would be rows of nothing but NULL.
    shop.run(f"alter table v add odd {definition}", "insert into v values (1, timestamp'2026-01-02 03:04:05.460551')")
    (fault,) = shop.source("v").check()
    assert fault.code == "UNSUPPORTED_TYPE"
    with pytest.raises(DataValidationError, match="a row of v"):
        take(shop.source("v").stream(start), 1)


def test_every_character_set_gives_the_text_that_the_server_gives(shop: Shop) -> None:
    known = [
        name
        for (name,) in shop.run("select character_set_name from information_schema.character_sets where maxlen = 1")
    ]
    known = [name for name in known if charsets.decoder(name) is not None]
    assert {"latin1", "cp850", "ascii", "latin2"} <= set(known)
    for name in known:
        shown = ", ".join(
            f"convert(cast(x'{code:02x}' as char character set {name}) using utf8mb4)" for code in range(256)
        )
        ((*letters,),) = shop.run(f"select {shown}")
        decode = charsets.decoder(name)
        assert decode is not None
        assert [decode(bytes([code])) for code in range(256)] == letters, name


def test_a_day_that_no_calendar_has_is_null_by_both_ways(shop: Shop) -> None:
    shop.run("create table v (id int primary key, d date, m datetime(6))")
    start = shop.now("v")
    shop.run(
        "set statement sql_mode = 'ALLOW_INVALID_DATES' for"
        " insert into v values (1, '2024-02-31', '2023-02-29 01:02:03.000004'), (2, '2024-02-29', '2024-02-29')"
    )
    (streamed,) = take(shop.source("v").stream(start), 1)
    (read,) = shop.snapshot("v")
    assert [row.values for row in streamed.rows] == [row.values for row in read.rows]
    assert [row.values for row in read.rows] == [["1", None, None], ["2", "2024-02-29", "2024-02-29T00:00:00"]]
