"""Text of a point of sale, read by locale."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.values import boolean, float_number, float_text, money, number_boolean


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


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(1, 1000))
def test_sums_and_products_of_cents_in_floats_end_as_the_right_cents(one: int, other: int, times: int) -> None:
    added, multiplied = float_number(repr(one / 100 + other / 100)), float_number(repr(one / 100 * times))
    assert round(Decimal(str(added)), 4) == Decimal(one + other) / 100
    assert round(Decimal(str(multiplied)), 4) == Decimal(one * times) / 100


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.30000000000000004", "0.3"),
        ("116.00000000000001", "116"),
        ("1.0", "1"),
        ("-0.07000000000000001", "-0.07"),
        ("17.24137931034483", "17.2413793103"),
        ("0.0700000000000001", "0.07"),
        ("100.0", "100"),
        ("-100.1250", "-100.125"),
        ("0.0", "0"),
        ("1.5e-05", "0.000015"),
        ("1.25e+22", "12500000000000000000000"),
        ("99999999999999.98", "99999999999999.98"),
        ("1e+300", "1" + "0" * 300),
        ("nan", "NaN"),
        ("inf", "Infinity"),
    ],
)
def test_the_noise_of_a_floats_arithmetic_is_left_out(text: str, number: str) -> None:
    assert float_number(text) == number


def test_a_number_in_a_float_column_is_text_without_its_point() -> None:
    assert [float_text(text) for text in ("1234.0", "12.5", "1e+16", "x ")] == [
        "1234",
        "12.5",
        "10000000000000000",
        "x",
    ]
    assert [number_boolean(text) for text in ("1.0", "0.00", "-1.0")] == [True, False, True]
    with pytest.raises(ValueError, match="neither yes nor no"):
        number_boolean("2.0")


def test_floats_are_written_plain() -> None:
    assert [float_number(text) for text in ("1e-07", "1.1", "1e+16")] == ["0.0000001", "1.1", "10000000000000000"]
