"""Ids and versions are a contract for life: rows that were written with them must be found again."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import entity_id, epoch_of, event_id, version_of

SYSTEM = "6f1c5a52-7d0e-4c1b-9a53-0d3f5b8c2e11"


def test_an_id_is_the_uuid5_that_the_design_writes_down() -> None:
    name = json.dumps(["sale", "transactions", "15"], ensure_ascii=False, separators=(",", ":"))
    assert entity_id(SYSTEM, "sale", "transactions", ["15"]) == str(uuid.uuid5(uuid.UUID(SYSTEM), name))
    assert entity_id(SYSTEM, "sale", "transactions", ["15"]) == "d431af70-edfb-55e3-9326-dbc5f77bf060"


def test_equal_keys_of_two_tables_or_entities_never_meet() -> None:
    ids = {
        entity_id(SYSTEM, "sale", "transactions", ["1"]),
        entity_id(SYSTEM, "line", "transactions", ["1"]),
        entity_id(SYSTEM, "sale", "sales", ["1"]),
        entity_id(SYSTEM, "stock", "stock", ["1", "2"]),
        entity_id(SYSTEM, "stock", "stock", ["1,2"]),
    }
    assert len(ids) == 5


def test_padding_does_not_count_and_case_only_where_the_template_says() -> None:
    plain = entity_id(SYSTEM, "product", "items", ["Café"])
    assert entity_id(SYSTEM, "product", "items", ["Café   "]) == plain
    assert entity_id(SYSTEM, "product", "items", ["CAFÉ"]) != plain
    folded = [entity_id(SYSTEM, "product", "items", [key], ignore_case=True) for key in ("Café", "CAFÉ")]
    assert folded[0] == folded[1]


def test_an_event_id_tells_type_version_and_revision_apart() -> None:
    sale = entity_id(SYSTEM, "sale", "transactions", ["1"])
    ids = {
        event_id(sale, "sale_created", 1, 1),
        event_id(sale, "sale_created", 2, 1),
        event_id(sale, "sale_voided", 1, 1),
    }
    assert len(ids | {event_id(sale, "sale_created", 1, 2)}) == 4
    assert event_id(sale, "sale_created", 1, 1) in ids


@given(st.integers(1, 65_535), st.integers(0, 2**47 - 1), st.integers(1, 65_535), st.integers(0, 2**47 - 1))
def test_a_higher_epoch_is_newer_whatever_the_number_and_fits_a_bigint(e1: int, n1: int, e2: int, n2: int) -> None:
    one, two = version_of(e1, n1), version_of(e2, n2)
    assert (one < two) == ((e1, n1) < (e2, n2))
    assert epoch_of(one) == e1
    assert one < 2**63


@pytest.mark.parametrize(("epoch", "number"), [(0, 1), (65_536, 1), (1, -1), (1, 2**47)])
def test_what_does_not_fit_is_refused(epoch: int, number: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        version_of(epoch, number)
