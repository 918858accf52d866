"""Columns of every type: values to write into them, and two second opinions of what their canonical text is."""

import json
import string
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from hypothesis import strategies as st

Literals = st.SearchStrategy[str]

LABELS = ["uno", "dós", "ñandú €", "cuatro"]


@dataclass(frozen=True)
class Kind:
    """A column. literals: SQL to insert. shown: how to SELECT it plainly ({} is the column), and canonical text from that.

    logged: canonical text from mysql-replication's value (never None); None where that library is known to misread it.
    """

    definition: str
    literals: Literals
    shown: str = "cast({} as char)"
    read: Callable[[Any], str | None] = str
    logged: Callable[[Any], str | None] | None = str


def _quoted(raw: bytes, charset: str = "binary") -> str:
    return f"_{charset} x'{raw.hex()}'"


def _text(characters: str, most: int) -> Literals:
    return st.text(characters, max_size=most).map(lambda text: _quoted(text.encode(), "utf8mb4"))


def _any_text(most: int, beyond: int = 0x10FFFF) -> Literals:
    characters = st.characters(exclude_categories=["Cs"], max_codepoint=beyond)
    return st.text(characters, max_size=most).map(lambda text: _quoted(text.encode(), "utf8mb4"))


def _letters(codec: str) -> str:
    return "".join(bytes([code]).decode(codec, errors="ignore") for code in range(256))


# Numbers -------------------------------------------------------------------------------------------------------------


def _integer(definition: str, bits: int) -> Kind:
    unsigned = "unsigned" in definition
    least, most = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return Kind(definition, (st.integers(least, most) | st.sampled_from([least, most, 0])).map(str))


def _decimal(precision: int, scale: int, more: str = "") -> Kind:
    most = 10**precision - 1
    numbers = st.integers(0 if more else -most, most) | st.sampled_from([0, most, 1])
    literals = numbers.map(lambda number: format(Decimal(number).scaleb(-scale), "f"))
    return Kind(f"decimal({precision},{scale}) {more}", literals, read=_plain, logged=_plain)


def _plain(value: Any) -> str:
    return format(Decimal(value), "f")


def shortest_single(value: Any) -> str:
    """The shortest decimal that is this 32-bit float, found by trying."""
    stored = struct.pack("f", value)
    tried = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return repr(next(short for short in tried if struct.pack("f", short) == stored) + 0.0)


def _floating(definition: str, width: Literal[32, 64], least: float | None = None) -> Kind:
    literals = st.floats(least, None if least is None else -least, width=width, allow_nan=False, allow_infinity=False)
    read: Callable[[Any], str] = shortest_single if width == 32 else lambda value: repr(value + 0.0)
    return Kind(definition, literals.map(repr), "{} + 0e0", read, read)


def _bit(bits: int) -> Kind:
    literals = st.integers(0, 2**bits - 1).map(lambda number: f"b'{number:b}'")
    return Kind(f"bit({bits})", literals, "{} + 0", str, lambda text: str(int(text, 2)))


NUMBERS = {
    "ti": _integer("tinyint", 8), "tiu": _integer("tinyint unsigned", 8), "flag": _integer("tinyint(1)", 8),
    "yr": Kind("year", st.integers(1901, 2155).map(str) | st.just("0"), "{} + 0", logged=lambda year: str(year if year != 1900 else 0)),
    "si": _integer("smallint", 16), "siu": _integer("smallint unsigned", 16),
    "mi": _integer("mediumint", 24), "miu": _integer("mediumint unsigned", 24),
    "it": _integer("int", 32), "itu": _integer("int unsigned", 32),
    "bi": _integer("bigint", 64), "biu": _integer("bigint unsigned", 64),
    "itz": Kind("int(6) unsigned zerofill", st.integers(0, 2**32 - 1).map(str), "{} + 0"),
    "de": _decimal(18, 4), "de0": _decimal(20, 0), "de9": _decimal(9, 9), "des": _decimal(30, 20), "del": _decimal(65, 30),
    "det": _decimal(1, 0), "deu": _decimal(10, 2, "unsigned"), "dez": _decimal(8, 2, "zerofill"),
    "fl": _floating("float", 32), "flu": _floating("float(7,2)", 32, -99999), "db": _floating("double", 64),
    "b1": _bit(1), "b8": _bit(8), "b12": _bit(12), "b64": _bit(64),
}  # fmt: skip


# Dates and times -----------------------------------------------------------------------------------------------------

_DAYS = st.dates().map(str) | st.sampled_from(["0000-00-00", "2024-00-00", "2024-05-00", "0000-01-01", "9999-12-31"])
_MICROS = st.integers(0, 999_999) | st.just(0)


def _clock(text: str) -> str:
    """`1:02:03.500` → `1:02:03.500000`, nothing behind the seconds where that is zero."""
    whole, _, fraction = text.partition(".")
    return whole if not fraction.strip("0") else f"{whole}.{fraction:0<6}"


def _shown_day(text: str) -> str | None:
    year, month, day = (int(part) for part in text.split("-"))
    try:
        return str(date(year, month, day))
    except ValueError:
        return None


def _shown_moment(text: str) -> str | None:
    day, _, clock = text.partition(" ")
    return _shown_day(day) and f"{day}T{_clock(clock)}"


def _shown_instant(text: str) -> str | None:
    moment = _shown_moment(text)
    return moment and f"{moment}Z"


def _elapsed(value: timedelta) -> str:
    seconds, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    text = f"{'-' if value < timedelta(0) else ''}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{micros:06d}" if micros else text


def _moment(digits: int) -> Kind:
    clocks = st.times().map(str)
    # (in a DATE, a 31st of February is more than mysql-replication can read at all)
    literals = st.tuples(_DAYS | st.just("2024-02-31"), clocks).map(lambda both: f"'{both[0]} {both[1]}'")
    return Kind(f"datetime({digits})", literals, read=_shown_moment, logged=lambda value: str(value.isoformat()))


def _instant(digits: int) -> Kind:
    seconds = st.integers(1, 2**31 - 2)
    literals = st.tuples(seconds, _MICROS).map(lambda both: f"from_unixtime({both[0]}.{both[1]:06d})")
    return Kind(f"timestamp({digits}) null", literals | st.just("0"), read=_shown_instant, logged=_logged_instant)


def _logged_instant(value: Any) -> str | None:
    return None if value.year == 1970 and value.timestamp() == 0 else f"{value.isoformat()}Z"


def _time(digits: int) -> Kind:
    literals = st.timedeltas(
        -timedelta(hours=838, minutes=59, seconds=59), timedelta(hours=838, minutes=59, seconds=59)
    )
    # mysql-replication misreads the fraction of a negative one.
    return Kind(
        f"time({digits})",
        literals.map(lambda value: f"'{_elapsed(value)}'"),
        read=_clock,
        logged=None if digits else _elapsed,
    )


MOMENTS = {
    "da": Kind("date", _DAYS.map(lambda day: f"'{day}'"), read=_shown_day),
    **{f"tm{digits}": _time(digits) for digits in range(7)},
    **{f"dt{digits}": _moment(digits) for digits in range(7)},
    **{f"ts{digits}": _instant(digits) for digits in range(7)},
}  # fmt: skip


# Texts ---------------------------------------------------------------------------------------------------------------


def _binary(definition: str, most: int, width: int = 0) -> Kind:
    def read(value: str) -> str:
        return b64encode(bytes.fromhex(value)).decode()

    def logged(value: bytes) -> str:
        return b64encode((value or b"").ljust(width, b"\0")).decode()  # (it gives '' for no bytes)

    return Kind(definition, st.binary(max_size=most).map(_quoted), "hex({})", read, logged)


def _enum(charset: str, labels: list[str], *, is_known: bool = True) -> Kind:
    listed = ", ".join(f"'{label}'" for label in labels)
    literals = st.integers(0, len(labels)).map(str)  # 0: what is no label
    return Kind(f"enum({listed}) character set {charset}", literals, logged=str if is_known else None)


def _set(charset: str, labels: list[str], *, is_known: bool = True) -> Kind:
    listed = ", ".join(f"'{label}'" for label in labels)
    literals = st.integers(0, 2 ** len(labels) - 1).map(str)

    def chosen(value: set[str]) -> str:
        return ",".join(label for label in labels if label in value)

    return Kind(f"set({listed}) character set {charset}", literals, logged=chosen if is_known else None)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(string.printable + "ñ€😀", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abñ", max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def _string(definition: str, literals: Literals) -> Kind:
    return Kind(definition, literals, "convert({} using utf8mb4)")


TEXTS = {
    "ch": _string("char(10)", _any_text(10)), "chl": _string("char(255)", _any_text(60)),
    "ch1": _string("char(100) character set latin1", _text(_letters("cp1252"), 60)),
    "vl": _string("varchar(20) character set latin1", _text(_letters("cp1252"), 20)),
    "v850": _string("varchar(300) character set cp850", _text(_letters("cp850"), 60)),
    "v3": _string("varchar(300) character set utf8mb3", _any_text(60, 0xFFFF)),
    "v4": _string("varchar(63)", _any_text(63)), "vbin": _string("varchar(99) collate utf8mb4_bin", _any_text(20)),
    "v16": _string("varchar(20) character set utf16", _any_text(20)),
    "v2": _string("varchar(20) character set ucs2", _any_text(20, 0xFFFF)),
    "c32": _string("char(20) character set utf32", _any_text(20)),
    "tt": _string("tinytext", _any_text(20)), "tx": _string("text", _any_text(90)),
    "tml": _string("mediumtext character set latin1", _text(_letters("cp1252"), 99)),
    "t850": _string("text character set cp850", _text(_letters("cp850"), 99)),
    "lt": _string("longtext", _any_text(90)),
    "js": _string("json", _JSON.map(lambda value: _quoted(json.dumps(value).encode(), "utf8mb4"))),
    "en": _enum("utf8mb4", LABELS), "enl": _enum("latin1", LABELS, is_known=False),
    "en2": _enum("utf8mb4", [f"n{number}" for number in range(300)]),
    "se": _set("utf8mb4", LABELS), "sel": _set("cp850", LABELS[:2], is_known=False),
    "se64": _set("utf8mb4", [f"n{number:02d}" for number in range(64)]),
    "bn": _binary("binary(7)", 7, 7), "bnl": _binary("binary(255)", 40, 255), "vb": _binary("varbinary(300)", 40),
    "tb": _binary("tinyblob", 40), "bl": _binary("blob", 300), "lb": _binary("longblob", 40),
    "vc": _string("varchar(99) compressed", _any_text(99)), "tc": _string("text compressed", _text("ab", 300)),
    "vlc": _string("varchar(400) character set latin1 compressed", _text(_letters("cp1252"), 99)),
    "bc": _binary("blob compressed", 99), "bnc": _binary("varbinary(99) compressed", 99),
}  # fmt: skip
# What mysql-replication does not know, or stumbles over (it swaps the bytes of wide characters): it would refuse the whole table.
UNHEARD = [
    name for name, kind in TEXTS.items() if kind.definition.endswith((" compressed", " utf16", " ucs2", " utf32"))
]
