"""Each type as canonical text, the same by snapshot and by poll, and as a plain SELECT gives it."""

import struct
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from producers.sources.sqlserver import values
from producers.sources.sqlserver.values import TableColumn, canonical, declared, is_captured
from tests.producers.sql_shop import SqlShop, changes, told

# column → (type, SQL literal, its canonical type, its canonical text)
KINDS = {
    "c_tiny": ("tinyint", "255", "integer", "255"),
    "c_small": ("smallint", "-32768", "integer", "-32768"),
    "c_int": ("int", "-2147483648", "integer", "-2147483648"),
    "c_big": ("bigint", "9223372036854775807", "integer", "9223372036854775807"),
    "c_bit": ("bit", "1", "boolean", "1"),
    "c_bit0": ("bit", "0", "boolean", "0"),
    "c_dec": ("decimal(18,4)", "-12345678901234.5678", "decimal", "-12345678901234.5678"),
    "c_dec0": ("decimal(10,0)", "7", "decimal", "7"),
    "c_wide": ("numeric(38,10)", "1234567890123456789012345678.0123456789", "decimal", "1234567890123456789012345678.0123456789"),
    "c_tail": ("decimal(18,10)", "0.0000000001", "decimal", "0.0000000001"),
    "c_zero": ("decimal(18,10)", "0", "decimal", "0.0000000000"),
    "c_money": ("money", "-922337203685477.5808", "decimal", "-922337203685477.5808"),
    "c_cents": ("money", "0.1", "decimal", "0.1000"),
    "c_smallmoney": ("smallmoney", "214748.3647", "decimal", "214748.3647"),
    "c_real": ("real", "0.1", "float", "0.1"),
    "c_float": ("float", "0.1", "float", "0.1"),
    "c_float2": ("float", "1.7976931348623157e308", "float", "1.7976931348623157e+308"),
    "c_char": ("char(5)", "'ab'", "text", "ab"),
    "c_nchar": ("nchar(5)", "N'ñ '", "text", "ñ"),
    "c_varchar": ("varchar(20)", "'café € ñandú'", "text", "café € ñandú"),
    "c_nvarchar": ("nvarchar(20)", "N'Ünï 😀 漢'", "text", "Ünï 😀 漢"),
    "c_empty": ("nvarchar(20)", "N''", "text", ""),
    "c_max": ("nvarchar(max)", "N'" + "é" * 5000 + "'", "text", "é" * 5000),
    "c_vmax": ("varchar(max)", "'" + "y" * 9000 + "'", "text", "y" * 9000),
    "c_bin": ("varbinary(10)", "0x00DEAD", "bytes", "AN6t"),
    "c_date": ("date", "'2024-02-29'", "date", "2024-02-29"),
    "c_time": ("time(6)", "'23:59:58.123456'", "time", "23:59:58.123456"),
    "c_time0": ("time(0)", "'08:05:00'", "time", "08:05:00"),
    "c_datetime": ("datetime", "'2024-02-29T23:59:58.127'", "datetime", "2024-02-29T23:59:58.127000"),
    "c_datetime0": ("datetime", "'1753-01-01T00:00:00'", "datetime", "1753-01-01T00:00:00"),
    "c_smalldt": ("smalldatetime", "'2024-01-02T03:04:00'", "datetime", "2024-01-02T03:04:00"),
    "c_dt2": ("datetime2(6)", "'2024-01-02T03:04:05.000001'", "datetime", "2024-01-02T03:04:05.000001"),
    "c_dt0": ("datetime2(0)", "'9999-12-31T23:59:59'", "datetime", "9999-12-31T23:59:59"),
    "c_dto": ("datetimeoffset(3)", "'2024-01-02T03:04:05.678-04:00'", "instant", "2024-01-02T07:04:05.678000Z"),
    "c_uuid": ("uniqueidentifier", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "uuid", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
}  # fmt: skip


@pytest.fixture
def every_type(sql_shop: SqlShop) -> SqlShop:
    columns = ", ".join(f"{name} {kind} NULL" for name, (kind, _, _, _) in KINDS.items())
    sql_shop.create(f"tipos (id int primary key, {columns}, rv rowversion)")
    return sql_shop


def _fill(shop: SqlShop, key: int) -> None:
    literals = ", ".join(literal for _, literal, _, _ in KINDS.values())
    shop.run(f"INSERT INTO tipos (id, {', '.join(KINDS)}) VALUES ({key}, {literals})")


def test_every_type_reads_the_same_by_snapshot_and_by_poll(every_type: SqlShop) -> None:
    _fill(every_type, 1)
    every_type.run("INSERT INTO tipos (id) VALUES (2)")
    (snapshot,) = every_type.snapshot("tipos")
    _fill(every_type, 3)
    (poll,) = changes(every_type.stream(snapshot.stream_start or "", "tipos"), 1)
    kinds = {column.name: column.type for column in snapshot.layouts[0].columns}
    assert kinds == {"id": "integer", "rv": "bytes"} | {name: kind for name, (_, _, kind, _) in KINDS.items()}
    (_, _, full), (_, _, empty) = told([snapshot])
    ((_, _, polled),) = told([poll])
    for name, (_, _, _, text) in KINDS.items():
        assert (name, full[name], polled[name], empty[name]) == (name, text, text, None)
    assert full["rv"] != polled["rv"]
    assert len(full["rv"] or "") == 12, "eight bytes in base64"


def test_it_is_what_a_plain_select_gives(every_type: SqlShop) -> None:
    _fill(every_type, 1)
    (snapshot,) = every_type.snapshot("tipos")
    ((_, _, found),) = told([snapshot])
    with closing(every_type.link()) as link:
        for name, (kind, _, canonical_type, _) in KINDS.items():
            if canonical_type in {"integer", "decimal", "date", "uuid", "boolean"}:
                shown = str(link.execute(f"SELECT CAST({name} AS nvarchar(60)) FROM tipos").fetchval())
                assert (kind, found[name]) == (kind, shown.lower())


def test_a_collation_of_its_own_keeps_its_text(sql_shop: SqlShop) -> None:
    sql_shop.create("clientes (id int primary key, nombre varchar(60), notas nvarchar(60))")
    text = "Ñuño Peña “café” ¿5 €?"
    with closing(sql_shop.link()) as link:
        link.execute("INSERT INTO clientes VALUES (1, ?, ?)", text, text)
    assert told(sql_shop.snapshot("clientes"))[0][2] == {"id": "1", "nombre": text, "notas": text}


@pytest.mark.parametrize("bits", [0x3DCCCCCD, 0x00000001, 0x7F7FFFFF, 0xBF9D70A4, 0x80000000, 0x4B000001])
def test_a_real_is_the_shortest_text_that_reads_back(bits: int) -> None:
    (wide,) = struct.unpack("f", struct.pack("I", bits))
    text = values.single(wide)
    assert struct.pack("f", float(text)) == struct.pack("I", bits)
    assert len(text) <= len(repr(wide))


@pytest.mark.parametrize(("ticks", "shown"), [(0, ""), (1, ".003000"), (2, ".007000"), (299, ".997000")])
@pytest.mark.parametrize("is_exact", [True, False])
def test_thirds_of_a_hundredth_of_a_second_are_shown_to_the_millisecond(ticks: int, shown: str, is_exact: bool) -> None:  # noqa: FBT001 -- a parameter
    """Some drivers give 3,333 microseconds, some 3,000."""
    micros = ticks * 1_000_000 // 300 if is_exact else round(ticks * 1000 / 300) * 1000
    assert (
        values.milliseconds(datetime.fromisoformat("2024-01-02T03:04:05").replace(microsecond=micros))
        == f"2024-01-02T03:04:05{shown}"
    )


def test_an_instant_is_told_in_utc() -> None:
    caracas = timezone(-timedelta(hours=4))
    assert values.instant(datetime(2024, 12, 31, 22, 0, 0, 500_000, caracas)) == "2025-01-01T02:00:00.500000Z"
    assert values.instant(datetime(2024, 1, 2, tzinfo=UTC)) == "2024-01-02T00:00:00Z"
    assert values.instant(datetime.max.replace(tzinfo=caracas)) == "9999-12-31T23:59:59.999999-04:00"


def test_money_is_never_a_float() -> None:
    for kind in ("money", "smallmoney", "decimal", "numeric"):
        read = canonical(TableColumn("m", kind, kind, None, 0)).read
        assert read(Decimal("1E+3")) == "1000"
        with pytest.raises(TypeError):
            read(0.1)


def test_a_type_that_has_no_canonical_text_is_left_out() -> None:
    for kind in ("sql_variant", "geography", "geometry", "vector"):
        assert not is_captured(TableColumn("c", kind, kind, None, 0))


@pytest.mark.parametrize(
    ("of_catalogue", "text"),
    [
        (("nvarchar", 40, 0, 0), "nvarchar(20)"),
        (("varchar", -1, 0, 0), "varchar(max)"),
        (("decimal", 9, 18, 4), "decimal(18,4)"),
        (("datetime2", 8, 27, 7), "datetime2(7)"),
        (("timestamp", 8, 0, 0), "binary(8)"),
        (("money", 8, 19, 4), "money"),
    ],
)
def test_a_type_is_written_as_cast_takes_it(of_catalogue: tuple[str, int, int, int], text: str) -> None:
    assert declared(*of_catalogue) == text
