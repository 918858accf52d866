"""`fluxion quarantine`: what could not be taken is shown, mended, mapped again under its original version, or set aside."""

import getpass
import json
import re
import time
from typing import Any

import pytest

from control.quarantine import Wanted, find
from fluxion.postgres import APP, SINK, STAGE, connect
from fluxion.registry import load_system
from schemas.mapping import load, resolve
from schemas.records import End
from stream_processors.mappings import POLL_S
from tests.conftest import Cloud
from tests.control.live import Pos
from tests.stream_processors import sets
from tests.stream_processors.cloud_side import new_store, set_mapping

OPEN = (
    "select code from pos_integration.quarantine where pos_system_id = %(system)s and resolved_at is null order by id"
)
SALES = "select number, total::text from fluxion.sales where pos_system_id = %(system)s and has_header order by number"
LINES = "select sku, quantity::text from fluxion.sale_items where pos_system_id = %(system)s order by sku"
PRODUCTS = "select sku, selling_price::text from fluxion.products where pos_system_id = %(system)s order by sku"


def entries(pos: Pos, *, resolved: bool = False) -> list[dict[str, Any]]:
    """What waits of this system, as `quarantine list --json` says it."""
    with connect(pos.database, STAGE) as link:
        tenant = load_system(link, pos.system).tenant_id
    with connect(pos.database, APP) as link:
        return [entry.plain() for entry in find(link, [tenant], Wanted(system_id=pos.system, resolved=resolved))]


def in_store_3() -> list[str | None]:
    return sets.cells(sets.TRANSACTIONS, sets.SALE, location_id="3")


def mapping(**changed: Any) -> str:
    """The Systimax template with blocks changed, as it is stored."""
    data = resolve(load("systimax"))
    for entity, fields in changed.items():
        for block in data[entity]:
            block.update(fields)
    return json.dumps(data)


def test_a_row_of_an_unknown_store_is_shown_beside_its_fault_and_taken_after_the_store_was_added(
    cloud: Cloud, pos: Pos
) -> None:
    version = pos.next_version
    pos.send((sets.TRANSACTIONS, "c", 0, in_store_3()), (sets.DETAILS, "c", 0, sets.LINE))
    pos.until(OPEN, [("UNKNOWN_STORE",)])
    (entry,) = entries(pos)
    assert (entry["external_table"], entry["external_id"], entry["version"]) == ("transactions", "1", version)
    assert "UNKNOWN_STORE" in pos.run("quarantine", "list", "--system", pos.system, "--table", "transactions")
    assert json.loads(pos.run("quarantine", "list", "--code", "UNKNOWN_STORE", "--json").splitlines()[-1]) == entry
    shown = pos.run("quarantine", "show", str(entry["id"]))
    assert "trans_no = A-1" in shown
    assert "refused: " in shown

    status, said = pos.refused("quarantine", "retry", str(entry["id"]))
    assert status == 1
    assert "still at fault" in said
    assert entries(pos) == [entry]

    new_store(cloud.stack.postgres, pos.system, "3")
    assert "SaleHeader.total = 116.00" in pos.run("quarantine", "show", str(entry["id"]))
    assert "1 mapped again" in pos.run("quarantine", "retry", "--system", pos.system, "--code", "UNKNOWN_STORE")
    pos.until(SALES, [("A-1", "116.0000")])
    assert pos.rows("select version from fluxion.sales where pos_system_id = %(system)s") == [(version,)]
    assert entries(pos) == []
    (settled,) = entries(pos, resolved=True)
    assert (settled["resolution"], settled["resolved_by"]) == ("retried", getpass.getuser())
    shown = pos.run("quarantine", "list", "--system", pos.system, "--all")
    assert f"retried by {getpass.getuser()}" in shown
    status, said = pos.refused("quarantine", "retry", str(entry["id"]))
    assert status == 78
    assert "was retried already" in said


def test_a_row_that_is_older_than_what_postgresql_has_changes_nothing_when_it_is_retried(
    cloud: Cloud, pos: Pos
) -> None:
    pos.send((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, item_code=None)))
    pos.send((sets.ITEMS, "u", 0, sets.cells(sets.ITEMS, sets.ITEM, sale_price="150.00")))
    pos.until(PRODUCTS, [("000001", "150.0000")])
    open_again(cloud, pos)
    set_mapping(cloud.stack.postgres, pos.system, mapping(product={"sku": {"value": "MENDED"}}))
    assert "1 mapped again" in pos.run("quarantine", "retry", "--system", pos.system)
    pos.send((sets.CATEGORIES, "c", 0, ["7", "Víveres"]))  # behind the retried row in the same partition
    pos.until("select name from fluxion.categories where pos_system_id = %(system)s", [("Víveres",)])
    assert pos.rows(PRODUCTS) == [("000001", "150.0000")]


def open_again(cloud: Cloud, pos: Pos) -> None:
    """As an entry stands that was written before newer rows settled older entries."""
    with connect(cloud.stack.postgres, SINK) as link:
        link.execute(
            "update pos_integration.quarantine set resolved_at = null, resolution = null, row_id = null"
            " where pos_system_id = %s",
            [pos.system],
        )


def test_what_its_message_prescribes_empties_the_quarantine(pos: Pos) -> None:
    bad = sets.cells(sets.TRANSACTIONS, sets.SALE, trans_date=None)
    for op in ("c", "u", "r"):
        pos.send((sets.TRANSACTIONS, op, 0, bad))
    pos.send((sets.CATEGORIES, "c", 0, ["7", "Víveres"]))
    pos.until("select name from fluxion.categories where pos_system_id = %(system)s", [("Víveres",)])
    (entry,) = entries(pos)
    assert (
        "sale.sold_at is null or blank (a zero date counts as null); mend the value in the point of sale"
        in entry["message"]
    )
    assert [one["resolution"] for one in entries(pos, resolved=True)] == ["superseded", "superseded", None]
    pos.send((sets.TRANSACTIONS, "u", 0, sets.SALE))
    pos.until(SALES, [("A-1", "116.0000")])
    pos.until(OPEN, [])
    shown = pos.run("quarantine", "list", "--system", pos.system, "--all")
    assert "superseded by fluxion: the row came again and was taken" in shown
    status, said = pos.refused("quarantine", "retry", str(entry["id"]))
    assert (status, "was superseded already" in said) == (78, True)


@pytest.mark.parametrize("width", [30, 80, 110, 200])
def test_the_list_loses_nothing_in_a_window_of_any_width(pos: Pos, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pos.send((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, item_id="123456789012345678", item_code=None)))
    pos.until(OPEN, [("REQUIRED_MISSING",)])
    (entry,) = entries(pos)
    monkeypatch.setenv("COLUMNS", str(width))
    shown = pos.run("quarantine", "list", "--system", pos.system)
    assert str(entry["id"]) in shown
    assert "REQUIRED_MISSING" in shown
    assert "…" not in shown
    is_table = "┃" in shown
    assert is_table == (width >= 100)
    if is_table:
        assert max(map(len, shown.splitlines())) <= width
    else:
        assert f"123456789012345678  REQUIRED_MISSING\n    {entry['message']}\n" in shown


def test_a_code_that_no_row_has_names_those_that_there_are(pos: Pos) -> None:
    status, said = pos.refused("quarantine", "retry", "--system", pos.system, "--code", "FOO")
    assert (status, "nothing waits" in said) == (78, True)
    pos.send((sets.TRANSACTIONS, "c", 0, in_store_3()))
    pos.send((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, item_code=None)))
    pos.until(OPEN, [("UNKNOWN_STORE",), ("REQUIRED_MISSING",)])
    status, said = pos.refused("quarantine", "retry", "--system", pos.system, "--code", "FOO")
    assert status == 78
    assert "no row that waits has the code 'FOO'; codes that there are: REQUIRED_MISSING (1), UNKNOWN_STORE (1)" in said


def test_a_code_alone_is_retried_in_every_system(cloud: Cloud, pos: Pos) -> None:
    pos.send((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, item_code=None)))
    pos.until(OPEN, [("REQUIRED_MISSING",)])
    with connect(cloud.stack.postgres, SINK) as link:  # a code that no other system's rows have
        link.execute("update pos_integration.quarantine set code = 'MINE_ALONE' where pos_system_id = %s", [pos.system])
    set_mapping(cloud.stack.postgres, pos.system, mapping(product={"sku": "item_name"}))
    assert "1 mapped again" in pos.run("quarantine", "retry", "--code", "MINE_ALONE")
    pos.until("select sku from fluxion.products where pos_system_id = %(system)s", [("Harina P.A.N.",)])


def test_lines_of_one_ticket_are_retried_together(cloud: Cloud, pos: Pos) -> None:
    lines = [sets.cells(sets.DETAILS, sets.LINE, detail_id=key, item_code=key, qty=None) for key in ("11", "12")]
    pos.send((sets.TRANSACTIONS, "c", 0, sets.SALE), *((sets.DETAILS, "c", 0, line) for line in lines))
    pos.until(OPEN, [("REQUIRED_MISSING",), ("REQUIRED_MISSING",)])
    data = json.loads(mapping())
    data["sale"][0]["lines"]["quantity"] = {"value": "1"}
    set_mapping(cloud.stack.postgres, pos.system, json.dumps(data))
    assert "2 mapped again" in pos.run("quarantine", "retry", *(str(entry["id"]) for entry in entries(pos)))
    pos.until(LINES, [("11", "1.0000"), ("12", "1.0000")])


def test_a_row_that_a_later_snapshot_no_longer_found_does_not_come_alive(cloud: Cloud, pos: Pos) -> None:
    gone, stays = (sets.cells(sets.ITEMS, sets.ITEM, item_id=key, item_code=None) for key in ("5", "6"))
    pos.send((sets.ITEMS, "c", 0, gone), (sets.ITEMS, "c", 0, stays))
    began = pos.next_version
    pos.send(
        (sets.ITEMS, "r", 0, sets.cells(sets.ITEMS, sets.ITEM, item_id="6", item_code="SIX")),
        ends=(End("items", began),),
    )
    pos.until(PRODUCTS, [("SIX", "120.0000")])
    pos.until(OPEN, [("REQUIRED_MISSING",)])
    open_again(cloud, pos)
    set_mapping(cloud.stack.postgres, pos.system, mapping(product={"sku": "item_id"}))
    assert "2 mapped again" in pos.run("quarantine", "retry", "--system", pos.system)
    pos.until(
        "select external_id, deleted_at is null, version from fluxion.products where pos_system_id = %(system)s order by 1",
        [("5", False, began), ("6", True, began)],
    )


def test_a_record_that_was_set_aside_whole_is_mapped_from_its_bytes(cloud: Cloud, pos: Pos) -> None:
    set_mapping(cloud.stack.postgres, pos.system, json.dumps({"template": "none"}))
    time.sleep(POLL_S + 0.5)  # the processor may have read the mapping before
    pos.send(
        (sets.ITEMS, "c", 0, sets.ITEM),
        (sets.ITEMS, "c", 1, sets.cells(sets.ITEMS, sets.ITEM, item_id="6", item_code=None)),
    )
    pos.until(OPEN, [("MAPPING",)])
    (entry,) = entries(pos)
    assert entry["external_table"] is None
    status, said = pos.refused("quarantine", "retry", str(entry["id"]))
    assert (status, "does not fit the format" in said) == (1, True)
    set_mapping(cloud.stack.postgres, pos.system, mapping())
    assert "1 mapped again" in pos.run("quarantine", "retry", str(entry["id"]))
    pos.until(PRODUCTS, [("000001", "120.0000")])
    pos.until(OPEN, [("REQUIRED_MISSING",)])  # its bad row has an entry of its own now


def test_bytes_that_are_no_record_stay_and_say_so(pos: Pos) -> None:
    pos.send_bytes(b"foreign")
    pos.until(OPEN, [("UNREADABLE_RECORD",)])
    (entry,) = entries(pos)
    assert "7 bytes" in pos.run("quarantine", "show", str(entry["id"]))
    status, said = pos.refused("quarantine", "retry", str(entry["id"]))
    assert status == 1
    assert "header" in said


def without_change(cloud: Cloud, entry: dict[str, Any], offset: int) -> None:
    """As the sink leaves a row that PostgreSQL refused: only the place of its raw record is known."""
    with connect(cloud.stack.postgres, SINK) as link:
        link.execute(
            "update pos_integration.quarantine set change = null, topic = 'fluxion.records.v1', source_offset = %s where id = %s",
            [offset, entry["id"]],
        )


def test_a_row_without_its_own_copy_is_read_again_from_the_raw_log(cloud: Cloud, pos: Pos) -> None:
    first, second = (sets.cells(sets.ITEMS, sets.ITEM, item_id=key, item_code=None) for key in ("5", "6"))
    pos.send((sets.ITEMS, "c", 0, first), (sets.ITEMS, "c", 0, second))
    pos.until(OPEN, [("REQUIRED_MISSING",), ("REQUIRED_MISSING",)])
    one, other = entries(pos)
    without_change(cloud, one, one["offset"])
    set_mapping(cloud.stack.postgres, pos.system, mapping(product={"sku": "item_id"}))
    assert "1 mapped again" in pos.run("quarantine", "retry", str(one["id"]))
    pos.until(PRODUCTS, [("5", "120.0000")])
    assert [entry["id"] for entry in entries(pos)] == [other["id"]]


def test_a_row_that_the_raw_log_no_longer_holds_says_what_to_do(cloud: Cloud, pos: Pos) -> None:
    pos.send((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, item_code=None)))
    pos.until(OPEN, [("REQUIRED_MISSING",)])
    (entry,) = entries(pos)
    without_change(cloud, entry, 10**12)
    status, said = pos.refused("quarantine", "retry", str(entry["id"]))
    assert status == 1
    assert "touch the row in the point of sale" in said
    assert [one["id"] for one in entries(pos)] == [entry["id"]]


def test_what_is_discarded_keeps_who_did_it_and_why(pos: Pos) -> None:
    pos.send((sets.ITEMS, "c", 0, sets.cells(sets.ITEMS, sets.ITEM, item_code=None)))
    pos.until(OPEN, [("REQUIRED_MISSING",)])
    (entry,) = entries(pos)
    status, said = pos.refused("quarantine", "discard", str(entry["id"]), "--reason", " ")
    assert status == 78
    assert "--reason" in said
    assert "1 discarded" in pos.run("quarantine", "discard", str(entry["id"]), "--reason", "a test item", "--by", "ana")
    assert entries(pos) == []
    (settled,) = entries(pos, resolved=True)
    assert (settled["resolution"], settled["resolved_by"], settled["notes"]) == ("discarded", "ana", "a test item")
    assert "settled already" in pos.run("quarantine", "discard", str(entry["id"]), "--reason", "again")
    assert entries(pos, resolved=True) == [settled]


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (("retry",), "either ids or --system"),
        (("retry", "1", "--code", "UNKNOWN_STORE"), "either ids or --system"),
        (("retry", "1", "--system", "x"), "either ids or --system"),
        (("retry", "999999999"), "fluxion quarantine list"),
        (("show", "999999999"), "fluxion quarantine list"),
        (("list", "--system", "x"), "fluxion system list"),
    ],
)
def test_a_wrong_word_is_one_sentence_with_its_mend(pos: Pos, words: tuple[str, ...], mend: str) -> None:
    status, said = pos.refused("quarantine", *words)
    assert status == 78
    assert mend in said
    assert re.fullmatch(r"fluxion: .*\n", said)
