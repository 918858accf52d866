"""The log from which the agent must go on is gone: never a silent gap, and what was deleted in it is not forgotten."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.conftest import Cloud
from tests.e2e.abasto import Abasto, open_abasto

pytestmark = [pytest.mark.stack, pytest.mark.processes, pytest.mark.timeout(240)]

GOODS = 60
FEW = 5


@pytest.fixture
def shop(cloud: Cloud, tmp_path: Path) -> Iterator[Abasto]:
    with open_abasto(cloud, tmp_path / "shop") as opened:
        goods = ", ".join(f"('P{n:02d}', 'Producto {n}', {n + 1}, null, 16, 'S')" for n in range(GOODS))
        opened.pos(f"insert into articulos values {goods}")
        opened.wait(lambda: living(opened) == GOODS or None, "the goods")
        yield opened


def living(shop: Abasto) -> int:
    (row,) = shop.rows("select count(*) from fluxion.products where deleted_at is null")
    return int(row[0])


def price(shop: Abasto, sku: str) -> Decimal | None:
    rows = shop.rows("select selling_price from fluxion.products where sku = %s", sku)
    return rows[0][0] if rows else None


def lose_the_log(shop: Abasto) -> None:
    """Purge every file of the log that holds what happened while the agent was away.

    The server keeps a file until it has noticed that nobody reads from it any more.
    """
    shop.pos("flush binary logs", "flush binary logs")
    (newest, *_), *_ = shop.query("show master status")

    def purged() -> bool:
        shop.pos(f"purge binary logs to '{newest}'")
        return len(shop.query("show binary logs")) == 1

    shop.wait(purged, "the purge")


def demand_position_lost(shop: Abasto) -> None:
    log = (shop.home / "logs" / "agent.log").read_text()
    assert "position lost" in log, log


def test_a_purged_log_is_followed_by_a_new_snapshot_that_knows_what_was_deleted(shop: Abasto) -> None:
    shop.supervisor.end("agent")
    shop.pos(
        "delete from articulos where codigo in ('P00', 'P01')",
        "update articulos set precio = 999 where codigo = 'P02'",
        "insert into articulos values ('NUEVO', 'Producto nuevo', 5, null, 16, 'S')",
    )
    lose_the_log(shop)
    shop.start_agent()
    shop.wait(lambda: price(shop, "NUEVO"), "what was added in the gap")
    shop.wait(lambda: price(shop, "P02") == Decimal(999) or None, "the price that changed in the gap")
    shop.wait(lambda: living(shop) == GOODS - 1 or None, "the deletions in the gap")
    shop.pos("update articulos set precio = 7 where codigo = 'P03'")
    shop.wait(lambda: price(shop, "P03") == Decimal(7) or None, "the stream after it")
    demand_position_lost(shop)


def test_more_deletions_than_a_snapshot_may_make_wait_for_a_person(shop: Abasto) -> None:
    shop.supervisor.end("agent")
    shop.pos(f"delete from articulos where codigo < 'P{GOODS // 2:02d}'")
    lose_the_log(shop)
    shop.start_agent()
    waits = (
        "select count(*) from pos_integration.pending_deletes where external_table = 'articulos' and done_at is null"
    )
    shop.wait(lambda: shop.rows(waits) == [(1,)] or None, "the deletions that wait")
    demand_position_lost(shop)
    assert living(shop) == GOODS
    shop.fluxion("system", "confirm-deletes", shop.system, "articulos")
    shop.wait(lambda: living(shop) == GOODS // 2 or None, "the deletions that were confirmed")


def test_a_table_emptied_by_truncate_waits_for_a_person_too(shop: Abasto) -> None:
    shop.pos("truncate table articulos")
    waits = "select row_count, of_rows from pos_integration.pending_deletes where external_table = 'articulos'"
    assert shop.wait(lambda: shop.rows(waits), "the deletions that wait") == [(GOODS, GOODS)]
    assert living(shop) == GOODS


def test_what_is_put_into_an_emptied_table_stands(shop: Abasto) -> None:
    """The first row behind the TRUNCATE too: what the end took away is older than all of them."""
    shop.pos("delete from articulos where codigo >= 'P05'")
    shop.wait(lambda: living(shop) == FEW or None, "the deletions")
    shop.pos("truncate table articulos")
    shop.wait(lambda: living(shop) == 0 or None, "the emptied table")
    goods = ", ".join(f"('P{number:02d}', 'Otra vez', 1, null, 16, 'S')" for number in range(FEW))
    shop.pos(f"insert into articulos values {goods}")
    shop.wait(lambda: living(shop) == FEW or None, "the goods that were put in")
