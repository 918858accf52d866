"""A row that could not be taken waits with all that is needed to map it again, and is mapped again as the first time."""

import json

import msgspec
import pytest

from fluxion.errors import DataValidationError, MappingError
from schemas.codec import UnreadableRecordError, schema_text
from schemas.records import ChangeSet
from stream_processors.drafts import Raw
from stream_processors.remap import Place, RawRemapping, Remapping, read_change, remap
from tests.stream_processors.sets import (
    CAPTURED,
    DETAILS,
    ENCODE,
    FIRST,
    ITEM,
    ITEMS,
    LINE,
    SALE,
    STORE_1,
    STORES,
    SYSTEM,
    TRANSACTIONS,
    cells,
    change_set,
    layout,
    read,
    system,
    template,
)

PLACE = Place("pos.changes.v1", 4, 17)
STRANGE = layout("customers", ["id"], id="integer", name="text")


def test_a_poison_row_among_good_ones_is_one_clear_line() -> None:
    made = read(
        change_set(
            (ITEMS, "c", 0, ITEM),
            (ITEMS, "c", 0, cells(ITEMS, ITEM, item_id="6", item_name="Ha\0rina")),
            (ITEMS, "c", 0, cells(ITEMS, ITEM, item_id="7")),
        )
    )
    assert [product.external_id for product in made.products] == ["5", "7"]
    (entry,) = made.quarantined
    assert (entry.external_table, entry.external_id, entry.version) == ("items", "6", FIRST + 1)
    assert entry.message == "product.name holds a NUL; mend the value in the point of sale, and the row comes again"
    assert json.loads(entry.raw)["item_name"] == "Ha\0rina"


def test_what_is_kept_is_the_row_alone_with_its_version() -> None:
    rows = change_set(
        (TRANSACTIONS, "c", 0, SALE),
        (TRANSACTIONS, "u", 1, cells(TRANSACTIONS, SALE, location_id="77")),
        (STRANGE, "c", 2, ["1", "Ana"]),
    )
    unknown_store, unknown_table = read(rows).quarantined
    kept = read_change(str(unknown_store.change))
    assert kept == msgspec.structs.replace(rows, layouts=[TRANSACTIONS], rows=[rows.rows[1]])
    assert (kept.rows[0].version, kept.system_id, kept.captured_at) == (FIRST + 1, SYSTEM, CAPTURED)
    other = read_change(str(unknown_table.change))
    assert (other.layouts, [row.values for row in other.rows], other.rows[0].layout) == ([STRANGE], [["1", "Ana"]], 0)


@pytest.mark.parametrize(("txn", "last_part", "ended"), [(0, False, True), (1, False, False), (1, True, True)])
def test_what_is_kept_says_whether_its_transaction_ended(txn: int, *, last_part: bool, ended: bool) -> None:
    bad = cells(DETAILS, LINE, qty=None)
    rows = change_set((DETAILS, "c", 0, bad), (DETAILS, "c", 1, bad), last_part=last_part)
    assert read_change(str(read(rows).quarantined[txn].change)).last_part is ended


def test_a_row_is_mapped_again_once_its_store_is_known() -> None:
    rows = change_set((TRANSACTIONS, "c", 0, SALE), (DETAILS, "c", 0, LINE))
    (entry,) = read(rows, system(stores=STORES[1:], mapping=template(sale__store="location_id"))).quarantined
    assert entry.code == "UNKNOWN_STORE"
    made = Remapping(system(revision=9)).row(str(entry.change), PLACE)
    (sale,) = made.sales
    assert sale.header is not None
    assert (made.replayed, made.mapping_revision, made.source_offset, made.quarantined) == (True, 9, 17, [])
    assert (sale.store_id, sale.header.version, sale.lines) == (STORE_1, FIRST, [])


def test_mapped_again_by_the_same_template_a_set_is_the_same() -> None:
    rows = change_set(
        (TRANSACTIONS, "c", 0, SALE), (DETAILS, "c", 0, LINE), (ITEMS, "d", 1, ITEM), (STRANGE, "c", 1, ["1", "A"])
    )
    first = msgspec.structs.replace(read(rows), replayed=True)
    assert remap(system(), rows, PLACE) == first
    raw = Raw("pos.changes.v1", 4, 17, ENCODE(rows))
    assert RawRemapping(system(), lambda _: schema_text("change_set")).record(raw) == first


def test_what_cannot_be_mapped_again_is_said() -> None:
    for text in ("", "{}", "[1"):
        with pytest.raises(UnreadableRecordError, match="quarantined row cannot be read"):
            read_change(text)
    rows: ChangeSet = change_set((STRANGE, "c", 0, ["1"]))
    with pytest.raises(UnreadableRecordError, match="a row does not fit its layout"):
        remap(system(), rows, PLACE)
    with pytest.raises(DataValidationError, match="the record's key says"):
        remap(system(), change_set(system_id=STORE_1), PLACE)
    with pytest.raises(MappingError):
        Remapping(system({"template": "x"}))
