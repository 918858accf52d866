"""Tickets as shops print them, and what happens to them afterwards: right rows, right events, each once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from tests.sinks.desk import Desk

OLD = "2020-01-01T00:00:00Z"


def lines_of(desk: Desk) -> list[tuple[str, bool, bool]]:
    found = desk.rows(
        "select external_id, purged_at is not null, deleted_at is not null from fluxion.sale_items"
        " where tenant_id = :tenant order by 1"
    )
    return [(key, purged, deleted) for key, purged, deleted in found]


def test_a_ticket_with_everything_on_it(desk: Desk) -> None:
    mine = desk.shop
    header = mine.header(
        7, number="00012345", control_number="00-998877", doc_type="invoice", status="completed", register_id="2",
        shift_id="T1", cashier_id="ana", sold_at_precision="minute", business_date="2030-05-01", currency="VES",
        exchange_rate="243.11050000", subtotal="30", discount_total="1.5", exempt_total="10", tax_total="3.04",
        igtf_total="0.9", rounding="0.01", total="32.45", prices_include_tax=False, customer_name="Ana Pérez",
        customer_tax_id="J-07013380-5", fiscal_printer="Z1B1234567", fiscal_number="00001234", fiscal_z="0456",
    )  # fmt: skip
    line = mine.line(
        7, 1, scanned_code="2100010012345", name="Queso", quantity="0.4375", unit="kg", list_price="11", discount="1",
        unit_price="10", line_total="30", tax_rate="0", tax_category="exempt", tax_amount="0", unit_cost="7.123",
        returned_quantity="0", line_no="1",
    )  # fmt: skip
    payment = mine.payment(7, 1, currency="USD", amount="0.13", rate="243.11050000", amount_base="31.6", igtf="0.9",
                           reference="998877665544", method="zelle")  # fmt: skip
    sale = replace(mine.sale(7), header=header, lines=[line], payments=[payment], taxes=[mine.tax(7, 1)])
    desk.sales(sale)
    ((kind, said),) = desk.events()
    assert kind == "sale_created"
    assert {name: said[name] for name in ("controlNumber", "exchangeRate", "igtfTotal", "fiscalZ", "totalsMatch")} == {
        "controlNumber": "00-998877", "exchangeRate": "243.1105", "igtfTotal": "0.9", "fiscalZ": "0456", "totalsMatch": True,
    }  # fmt: skip
    assert said["lines"][0]["quantity"] == "0.4375"
    assert said["tenders"] == [
        {"method": "zelle", "currency": "USD", "amount": "0.13", "rate": "243.1105", "amountBase": "31.6", "igtf": "0.9",
         "reference": "********5544"}
    ]  # fmt: skip
    assert said["taxes"] == [{"category": "general", "rate": "16", "base": "30", "amount": "4.8"}]
    assert (said["customer"]["kind"], said["customer"]["rifValid"]) == ("J", True)
    assert "Ana" not in str(said)
    assert "07013380" not in str(said)
    assert desk.rows("select customer_name, exchange_rate::text from fluxion.sales where tenant_id = :tenant") == [
        ("Ana Pérez", "243.1105000000")
    ]


def test_lines_saved_one_by_one_under_a_live_header_are_one_sale(desk: Desk) -> None:
    mine = desk.shop
    live = {"live": True}
    desk.sales(replace(mine.sale(1, lines=0, closed=False), live=True))
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 1)], **live))
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 2)], **live))
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 1, "delete", deletion="purge")], **live))
    desk.pass_time(300)
    assert desk.types() == []
    assert lines_of(desk) == [("1|1", False, True), ("1|2", False, False)]
    desk.sales(replace(mine.sale(1, lines=0), live=True))
    assert desk.types() == []
    desk.pass_time(1.5)
    assert desk.types() == []
    desk.pass_time(1)
    ((_, said),) = desk.events()
    assert (said["complete"], len(said["lines"])) == (True, 1)


def test_a_ticket_without_an_amount_and_one_with_a_whole_ticket_discount(desk: Desk) -> None:
    mine = desk.shop
    free = replace(mine.sale("free"), header=mine.header("free", subtotal="0", tax_total="0", total="0"))
    free = replace(free, lines=[mine.line("free", 1, unit_price="0", line_total="0")])
    cut = mine.sale("cut", subtotal="27", discount_total="3", tax_total="4.32", total="31.32")
    gross = mine.sale("gross", subtotal=None, total="30", prices_include_tax=True)
    desk.sales(free, cut, gross)
    assert {(said["externalId"], said["total"], said["totalsMatch"]) for _, said in desk.events()} == {
        ("free", "0", True),
        ("cut", "31.32", True),
        ("gross", "30", True),
    }


@pytest.mark.parametrize("named_by", ["number", "key"])
def test_a_return_with_the_invoices_own_number_names_its_invoice(desk: Desk, named_by: str) -> None:
    mine = desk.shop
    desk.sales(mine.sale("A1", number="55", doc_type="invoice"))
    said: dict[str, Any] = {"number": "55", "doc_type": "credit_note"}
    original: dict[str, Any] = (
        {"original_number": "55"} if named_by == "number" else {"original_sale_ref": mine.id("sale", "A1")}
    )
    desk.sales(mine.sale("B1", **said, **original))
    event = desk.events()[1][1]
    assert (event["docType"], event["originalSaleId"]) == ("credit_note", mine.id("sale", "A1"))
    assert event["lines"][0]["quantity"] == "1"
    # A number that two invoices of the store have names neither.
    desk.sales(mine.sale("A2", number="55"))
    desk.sales(mine.sale("B2", **said, original_number="55"))
    assert desk.events()[3][1]["originalSaleId"] is None


def test_a_debit_note_with_the_invoices_own_number_does_not_name_itself(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale("A1", number="55"))
    desk.sales(mine.sale("N1", number="55", doc_type="debit_note", original_number="55"))
    assert desk.events()[1][1]["originalSaleId"] == mine.id("sale", "A1")


def test_a_correction_after_the_announcement_is_told_once_with_the_full_state(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(replace(mine.sale(1), payments=[mine.payment(1, 1)]))
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 2, quantity="5")]))
    assert desk.types() == ["sale_created", "sale_corrected"]
    said = desk.events()[1][1]
    assert [line["quantity"] for line in said["lines"]] == ["1", "5", "1"]
    assert len(said["tenders"]) == 1
    again = mine.of_sale(1, lines=[mine.line(1, 2, quantity="5")])
    desk.sales(again)
    desk.sales(again)
    desk.pass_time(100)
    assert desk.types() == ["sale_created", "sale_corrected"]
    ids = desk.rows("select event_id from pos_integration.outbox where tenant_id = :tenant")
    assert len(set(ids)) == 2


def test_an_edit_that_comes_by_halves_is_told_once(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 1, line_total="20")], txn_end=False))
    desk.pass_time(1)
    assert desk.types() == ["sale_created"]
    desk.sales(replace(mine.sale(1, lines=0, total="44.8"), txn_end=False))
    assert desk.types() == ["sale_created"]
    desk.pass_time(2.5)
    assert desk.types() == ["sale_created", "sale_corrected"]


@pytest.mark.parametrize("how", ["status", "deleted row"])
def test_a_void_is_told_and_the_lines_stay(desk: Desk, how: str) -> None:
    mine = desk.shop
    desk.sales(replace(mine.sale(1), payments=[mine.payment(1, 1)]))
    if how == "status":
        desk.sales(mine.sale(1, lines=0, status="voided", closed=False))
    else:
        lines = [mine.line(1, place, "delete", deletion="purge") for place in (1, 2, 3)]
        header = replace(mine.header(1, "delete", deletion="void"), source_time=1_893_456_000_000_000)
        in_row = replace(mine.payment(1, 1, "delete"), deletion="void")  # a tender in the header's own row
        desk.sales(mine.of_sale(1, header=header, lines=lines, payments=[in_row]))
        assert desk.rows("select voided_at from fluxion.sales where tenant_id = :tenant") == [
            (datetime(2030, 1, 1, tzinfo=UTC),)
        ]
    assert desk.types() == ["sale_created", "sale_voided"]
    said = desk.events()[1][1]
    assert (said["status"], len(said["lines"]), len(said["tenders"])) == ("voided", 3, 1)
    assert said["voidedAt"] is not None
    desk.pass_time(100)
    assert len(desk.types()) == 2


def test_a_sale_that_was_void_from_the_first_is_created_and_voided(desk: Desk) -> None:
    desk.sales(desk.shop.sale(1, status="voided"))
    assert desk.types() == ["sale_created", "sale_voided"]


def test_an_archived_ticket_stays_as_it_was_and_sends_nothing(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(replace(mine.sale(1), payments=[mine.payment(1, 1)]))
    gone = [mine.line(1, place, "delete", deletion="purge") for place in (1, 2, 3)]
    desk.sales(mine.of_sale(1, lines=gone))
    desk.sales(mine.of_sale(1, payments=[mine.payment(1, 1, "delete")]))
    desk.pass_time(30)
    desk.sales(mine.of_sale(1, header=mine.header(1, "delete", deletion="purge")))
    desk.pass_time(100)
    assert desk.types() == ["sale_created"]
    assert lines_of(desk) == [(f"1|{place}", True, False) for place in (1, 2, 3)]


def test_lines_that_go_while_their_header_stays_are_a_correction_after_settling(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(mine.of_sale(1, lines=[mine.line(1, 2, "delete", deletion="purge"), mine.line(1, 4)]))
    desk.pass_time(50)
    assert desk.types() == ["sale_created"]
    desk.pass_time(11)
    assert desk.types() == ["sale_created", "sale_corrected"]
    assert [line["sku"] for line in desk.events()[1][1]["lines"]] == ["SKU-1", "SKU-3", "SKU-4"]
    # What was taken out stays out when the sale is archived later.
    gone = [mine.line(1, place, "delete", deletion="purge") for place in (1, 3, 4)]
    desk.sales(mine.of_sale(1, header=mine.header(1, "delete"), lines=gone))
    desk.pass_time(100)
    assert len(desk.types()) == 2
    assert lines_of(desk)[1] == ("1|2", False, True)


def test_a_sale_that_is_gone_is_marked_and_a_newer_row_revives_it(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1))
    desk.sales(mine.of_sale(1, header=mine.header(1, "delete", deletion="delete")))
    deleted = "select deleted_at is not null, purged_at is not null from fluxion.sales where tenant_id = :tenant"
    assert desk.rows(deleted) == [(True, False)]
    assert desk.types() == ["sale_created"]
    desk.sales(mine.sale(1))
    assert desk.rows(deleted) == [(False, False)]
    assert desk.types() == ["sale_created"]


def test_a_delete_of_what_was_never_seen_holds_against_what_is_older(desk: Desk) -> None:
    mine = desk.shop
    late = mine.sale(1)
    payment, tax = mine.payment(1, 1), mine.tax(1, 1)
    desk.sales(
        mine.of_sale(1, header=mine.header(1, "delete", deletion="void"), payments=[mine.payment(1, 1, "delete")])
    )
    desk.sales(replace(late, payments=[payment], taxes=[tax]))
    assert desk.rows("select has_header, status from fluxion.sales where tenant_id = :tenant") == [(False, "voided")]
    assert desk.rows("select amount, purged_at is null from fluxion.sale_payments where tenant_id = :tenant") == [
        (None, False)
    ]
    assert desk.rows("select amount::text from fluxion.sale_taxes where tenant_id = :tenant") == [("4.8000",)]
    assert desk.types() == []


def _read(desk: Desk, key: str, **fields: Any) -> None:
    """A snapshot reads a sale and its lines, and both tables end."""
    mine = desk.shop
    first = mine.rows + 1
    sale = mine.sale(key, snapshot=True, txn_end=False, **fields)
    desk.sales(replace(sale, lines=[]), ends=[])
    desk.write(mine.record(ends=[mine.end("sale", first | 1 << 47, "purge")]))
    desk.sales(replace(sale, header=None, store_id=None))
    desk.write(mine.record(ends=[mine.end("line", first | 1 << 47, "purge")]))


def test_a_sale_from_before_is_silent_until_the_pos_corrects_it(desk: Desk) -> None:
    mine = desk.shop
    _read(desk, "old", sold_at=OLD)
    desk.pass_time(100)
    remembered = "select announced_as from fluxion.sales where tenant_id = :tenant"
    assert (desk.types(), desk.rows(remembered)) == ([], [("silent",)])
    _read(desk, "old", sold_at=OLD)
    desk.pass_time(100)
    assert desk.types() == []
    desk.sales(mine.sale("old", lines=0, sold_at=OLD, total="99"))
    assert desk.types() == ["sale_created", "sale_corrected"]
    assert [said["total"] for _, said in desk.events()] == ["99", "99"]


def test_a_re_snapshot_repeats_nothing_and_finds_what_nobody_saw(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1), mine.sale(2))
    _read(desk, "1")
    _read(desk, "2", total="50")
    assert desk.types() == ["sale_created"] * 2
    desk.pass_time(100)
    assert desk.types() == ["sale_created", "sale_created", "sale_corrected"]
    assert desk.events()[2][1]["total"] == "50"


def test_a_replay_tells_only_what_the_mended_mapping_says_otherwise(desk: Desk) -> None:
    mine = desk.shop
    old, same, other, late = (mine.sale(key) for key in ("old", "same", "other", "late"))
    read = mine.sale("read", snapshot=True, txn_end=False, sold_at=OLD)
    desk.sales(old, same, other, read)
    desk.write(mine.record(ends=[mine.end("line", 0, "purge")]))
    desk.pass_time(0)
    assert desk.types() == ["sale_created"] * 3
    assert other.header is not None
    assert read.header is not None
    mended = replace(other, header=replace(other.header, total="1"))
    remapped = replace(read, header=replace(read.header, total="1"))
    desk.write(mine.record(revision=2, sales=[same, mended, remapped, late], replayed=True))
    assert len(desk.types()) == 3
    desk.pass_time(3)
    assert sorted(desk.types()) == ["sale_corrected", *["sale_created"] * 4]
    assert desk.rows("select external_id from fluxion.sales where tenant_id = :tenant and announced_as = 'silent'") == [
        ("read",)
    ]


def test_a_row_of_a_snapshot_that_is_retried_after_its_end_is_announced(desk: Desk) -> None:
    mine = desk.shop
    sale = mine.sale(1, snapshot=True, txn_end=False)
    desk.write(mine.record(ends=[mine.end("line", 0, "purge")]))
    desk.write(mine.record(sales=[sale], replayed=True))
    desk.pass_time(3)
    assert desk.types() == ["sale_created"]


def test_a_due_sale_that_opened_again_is_let_sleep(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(settle_seconds=5)
    mine = desk.shop
    desk.sales(mine.sale(1, lines=0))
    desk.sales(mine.sale(1, lines=0, closed=False))
    desk.pass_time(10)
    assert desk.types() == []
    assert desk.rows("select settle_at from fluxion.sales where tenant_id = :tenant") == [(None,)]


def test_an_old_row_that_comes_again_beside_a_void_changes_nothing_else(desk: Desk) -> None:
    mine = desk.shop
    old = mine.sale(1)
    desk.sales(old)
    desk.sales(mine.sale(1, lines=0, total="35.8"))
    desk.sales(old, mine.of_sale(1, header=mine.header(1, "delete", deletion="void")))
    assert desk.rows("select total::text, status from fluxion.sales where tenant_id = :tenant") == [
        ("35.8000", "voided")
    ]
    assert desk.types() == ["sale_created", "sale_corrected", "sale_voided"]
