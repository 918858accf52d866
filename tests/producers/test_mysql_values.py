import pytest

from fluxion.errors import DataValidationError, SourceNotReadyError
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


@pytest.mark.parametrize("definition", ["uuid", "point", "inet6", "varchar(9) character set utf16"])
def test_a_type_that_is_not_known_is_named_before_anything_is_read(shop: Shop, definition: str) -> None:
    shop.run(f"create table v (id int primary key, odd {definition})")
    (fault,) = shop.source("v").check()
    assert fault.code == "UNSUPPORTED_TYPE"
    assert "odd" in fault.message
    with pytest.raises(SourceNotReadyError, match="odd"):
        shop.snapshot("v")


def test_what_the_log_cannot_tell_is_an_error_and_never_a_wrong_value(shop: Shop) -> None:
    shop.run("create table v (id int primary key, e enum('ñ') character set latin1, t time(3))")
    start = shop.now("v")
    shop.run("insert into v values (1, 'ñ', null)")
    with pytest.raises(DataValidationError, match="ENUM"):
        take(shop.source("v").stream(start), 1)
    start = shop.now("v")
    shop.run("insert into v values (2, null, '-00:00:01.5')")
    with pytest.raises(DataValidationError, match="negative TIME"):
        take(shop.source("v").stream(start), 1)
