"""Text of a point of sale, read by locale."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.values import boolean, float_number, money


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234.56", "1234.56"),
        ("1234,56", "1234.56"),
        ("Bs. 1.234,56", "1234.56"),
        ("BsS 4.117.054,64", "4117054.64"),
        ("1,234.56 USD", "1234.56"),
        ("$ -12", "-12"),
        ("-Bs.S. 0,500", "-0.500"),
        ("0.500", "0.500"),
        ("1.234.567", "1234567"),
        ("1234,567", "1234.567"),
        (",5", ".5"),
        ("  ", None),
    ],
)
def test_amounts(text: str, number: str | None) -> None:
    assert money(None)(text) == number


@pytest.mark.parametrize(
    "text", ["1,234", "1.234", "Bs. 12.345", "12,345", "1.2.3", "1,23,4.5", "12..5", "x", "--1", "1.234,56.7"]
)
def test_what_is_ambiguous_or_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"ambiguous|not a number"):
        money(None)(text)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=3, allow_nan=False))
def test_a_format_reads_what_it_writes(number: Decimal) -> None:
    english = f"{number:,.3f}"
    assert Decimal(str(money("1,234.56")(english))) == number
    spanish = english.translate(str.maketrans(",.", ".,"))
    assert Decimal(str(money("1.234,56")(spanish))) == number


def test_a_format_refuses_the_other() -> None:
    with pytest.raises(ValueError, match=r"written as 1\.234,56"):
        money("1.234,56")("12.5")


@pytest.mark.parametrize(
    ("text", "value"),
    [("S", True), ("n ", False), ("1", True), ("0", False), ("-1", True), ("Inactivo", False), ("", None)],
)
def test_booleans(text: str, value: bool | None) -> None:  # noqa: FBT001 -- a row of the table above
    assert boolean(text) is value


def test_floats_are_written_plain() -> None:
    assert [float_number(text) for text in ("1e-07", "1.1", "1e+16")] == ["0.0000001", "1.1", "10000000000000000"]
