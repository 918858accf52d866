"""The functions that a template may call."""

from decimal import Decimal
from fractions import Fraction
from inspect import signature

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calls import (
    FUNCTIONS,
    added,
    date_and_time,
    difference,
    first,
    joined,
    largest,
    negated,
    only_if,
    return_if_negative,
    rif,
    signed,
    times,
)

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=8)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_said_of_a_function_is_true(name: str) -> None:
    function = FUNCTIONS[name]
    taken = signature(function.run).parameters.values()
    assert function.more == any(one.kind is one.VAR_POSITIONAL for one in taken)
    assert function.takes_count(len(function.takes))
    assert function.takes_count(len(function.takes) + 3) == function.more
    assert len(function.kinds(len(function.takes) + 3)) == len(function.takes) + 3
    assert function.run(*[None] * len(function.takes)) in {None, "invoice"}


def test_text() -> None:
    assert joined("-", "A", None, "000123") == "A-000123"
    assert joined(None, "A", "B") == "AB"
    assert joined("-", None) is None
    assert first(None, "b", "c") == "b"
    assert (
        date_and_time("2026-11-17", "10:30:00"),
        date_and_time("2026-11-17", None),
        date_and_time(None, "10:30"),
    ) == (
        "2026-11-17T10:30:00",
        "2026-11-17",
        None,
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("J070133805", "J-07013380-5"),
        ("v-11.470.283-4", "V-11470283-4"),
        ("G 20000303 0", "G-20000303-0"),
        (" J-07013380-5 ", "J-07013380-5"),
        ("V-11470283", "V-11470283"),
        ("12345678", "12345678"),
        ("J-070133805-55", "J-070133805-55"),
        ("PASAPORTE", "PASAPORTE"),
        (None, None),
    ],
)
def test_a_rif_is_written_as_one_and_anything_else_as_it_was(text: str | None, written: str | None) -> None:
    assert rif(text) == written


def test_a_value_that_holds_only_where_another_is_said() -> None:
    assert (only_if("A-1", "1"), only_if("A-1", None), only_if(None, "1")) == ("A-1", None, None)


@given(st.lists(NUMBERS, min_size=1))
def test_the_largest_of_numbers_is_one_of_them(numbers: list[Decimal]) -> None:
    texts = [format(number, "f") for number in numbers]
    assert Decimal(str(largest(*texts, None))) == max(numbers)
    assert largest("9", "10", None) == "10"


def test_signs() -> None:
    assert (signed("5", "-1"), signed("5", "1"), signed("-5", "-1"), signed(None, None)) == ("-5", "5", "5", None)
    for nothing in (None, "0"):
        with pytest.raises(ValueError, match="comes in or goes out"):
            signed("5", nothing)
    assert [negated(one) for one in ("0", "0.00", "-0.00", "-1.5", "1.5")] == ["0", "0.00", "0.00", "1.5", "-1.5"]
    assert [return_if_negative(one) for one in ("-0.01", "0", None)] == ["credit_note", "invoice", "invoice"]


@given(NUMBERS, NUMBERS)
def test_arithmetic_is_exact(one: Decimal, other: Decimal) -> None:
    texts = format(one, "f"), format(other, "f")
    exact = Fraction(one), Fraction(other)
    assert Fraction(str(added(*texts))) == exact[0] + exact[1]
    assert Fraction(str(difference(*texts))) == exact[0] - exact[1]
    assert Fraction(str(times(*texts))) == exact[0] * exact[1]
    assert Fraction(str(difference(None, texts[0]))) == -exact[0]
    assert (added(texts[0], None), times(texts[0], None)) == (texts[0], None)


@given(NUMBERS)
def test_a_number_turned_round_twice_is_itself(number: Decimal) -> None:
    text = format(number, "f")
    assert Fraction(negated(text)) == -Fraction(number)
    assert Fraction(negated(negated(text))) == Fraction(number)
