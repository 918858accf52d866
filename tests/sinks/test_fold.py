from dataclasses import replace
from functools import reduce
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from sinks.tables import Unit, fold, rounds


def unit(row: str, version: int, revision: int, *, gone: bool, fields: dict[str, Any]) -> Unit:
    mark: Literal["deleted_at"] | None = "deleted_at" if gone else None
    return Unit("fluxion.products", "t", "s", row, "items", row, version, revision, mark, {} if gone else fields)


def _said(row: str, version: int, revision: int) -> Unit:
    """What a row says is a function of its version: a record that is read again says the same."""
    chance = hash((ord(row), version, revision))
    fields = {name: f"{version}.{revision}" for place, name in enumerate("abc") if chance >> place & 1}
    return unit(row, version, revision, gone=chance >> 3 & 3 == 0, fields=fields)


units = st.lists(st.builds(_said, st.sampled_from("xy"), st.integers(1, 5), st.integers(1, 2)), max_size=12)


@given(units, st.data())
def test_any_order_and_any_repeats_end_in_the_same_rows(said: list[Unit], data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(said), max_size=5)) if said else []
    shuffled = data.draw(st.permutations([*said, *repeats]))
    assert {u.id: u for u in fold(shuffled)} == {u.id: u for u in fold(said)}


@given(units, st.integers(0, 12))
def test_folding_in_two_batches_is_folding_in_one(said: list[Unit], cut: int) -> None:
    ordered = sorted(said, key=lambda u: (u.version, u.mapping_revision))
    in_two = fold([*fold(ordered[:cut]), *ordered[cut:]])
    assert {u.id: u for u in in_two} == {u.id: u for u in fold(ordered)}


def test_fields_sent_later_win_and_fields_not_sent_stay() -> None:
    first = unit("x", 1, 1, gone=False, fields={"name": "old", "sku": "1"})
    second = unit("x", 2, 1, gone=False, fields={"name": "new"})
    assert fold([second, first])[0].fields == {"name": "new", "sku": "1"}


def test_null_that_was_sent_wins() -> None:
    first = unit("x", 1, 1, gone=False, fields={"name": "old"})
    second = unit("x", 2, 1, gone=False, fields={"name": None})
    assert fold([first, second])[0].fields == {"name": None}


def test_a_newer_mapping_of_the_same_version_wins() -> None:
    old = unit("x", 1, 1, gone=False, fields={"name": "old"})
    new = unit("x", 1, 2, gone=False, fields={"name": "new"})
    assert fold([new, old])[0].fields == {"name": "new"}


def test_a_deletion_keeps_what_was_said_and_a_newer_upsert_revives() -> None:
    first = unit("x", 1, 1, gone=False, fields={"name": "kept"})
    gone = unit("x", 2, 1, gone=True, fields={})
    back = unit("x", 3, 1, gone=False, fields={"sku": "1"})
    assert (fold([first, gone])[0].gone, fold([first, gone])[0].fields) == ("deleted_at", {"name": "kept"})
    assert (fold([first, gone, back])[0].gone, fold([gone, back, first])[0].fields) == (
        None,
        {"name": "kept", "sku": "1"},
    )


def test_the_moment_of_a_void_stays_as_it_was_first_said() -> None:
    said = [
        unit("x", 1, 1, gone=False, fields={"status": "voided", "voided_at": "first"}),
        unit("x", 2, 1, gone=False, fields={"status": "voided", "voided_at": "later"}),
    ]
    undone = unit("x", 3, 1, gone=False, fields={"status": "completed", "voided_at": None})
    assert fold(said)[0].fields["voided_at"] == "first"
    assert fold([*said, undone])[0].fields["voided_at"] is None


def _applied(rows: dict[str, Unit], unit: Unit) -> dict[str, Unit]:
    """What PostgreSQL makes of a unit: a newer one's fields are taken, the others stay."""
    known = rows.get(unit.id)
    if known is None:
        return rows | {unit.id: unit}
    if (known.version, known.mapping_revision) >= (unit.version, unit.mapping_revision):
        return rows
    return rows | {unit.id: replace(unit, fields={**known.fields, **unit.fields})}


@given(units, units)
def test_rounds_end_where_the_units_end_one_by_one_whatever_stood_there(there: list[Unit], said: list[Unit]) -> None:
    def order(unit: Unit) -> tuple[int, int]:
        return unit.version, unit.mapping_revision

    rows = reduce(_applied, sorted(there, key=order), dict[str, Unit]())
    written = rounds([*said, *said[:2]])
    assert all(len({unit.id for unit in one}) == len(one) for one in written)
    one_by_one = reduce(_applied, sorted(said, key=order), rows)
    assert reduce(_applied, [unit for one in written for unit in one], rows) == one_by_one


def test_full_rows_are_written_once() -> None:
    full = [unit("x", version, 1, gone=False, fields={"name": version, "sku": "1"}) for version in (1, 2, 3)]
    assert rounds(full) == [[full[2]]]
    gone = unit("x", 4, 1, gone=True, fields={})
    assert rounds([gone, *full]) == [[full[2]], [gone]]
