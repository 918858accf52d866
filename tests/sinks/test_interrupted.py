"""A transaction of the sink that meets somebody else's, or whose connection goes, in the middle."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import IsolationLevel, OperationalError

from sinks.announcements import announce
from tests.sinks.desk import Desk
from tests.sinks.locks import changed, cut, wait_until_blocked

NAMES = "select external_id, name from fluxion.products where tenant_id = :tenant order by 1"
REFUSED = "select external_id from pos_integration.quarantine where tenant_id = :tenant"


def holding(desk: Desk) -> str:
    return f"update fluxion.products set updated_at = now() where tenant_id = '{desk.shop.tenant}'"


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_transaction_that_clashed_is_done_again_and_refuses_no_good_row(desk: Desk, *, one_by_one: bool) -> None:
    mine = desk.shop
    desk.write(mine.record(products=[mine.product(1)]))
    bad = [mine.product(3, selling_price="about ten")] if one_by_one else []  # then each row is tried by itself
    record = mine.record(products=[mine.product(1, name="New"), mine.product(2), *bad])
    desk._link.isolation_level = IsolationLevel.REPEATABLE_READ  # then a change under our hands is 40001 at once
    with ThreadPoolExecutor() as pool, changed(desk.open.dsn, holding(desk)) as other:
        writing = pool.submit(desk.write, record)
        wait_until_blocked(desk.open.dsn, desk._link.info.backend_pid)
        other.commit()
        writing.result(30)
    assert desk.rows(NAMES) == [("1", "New"), ("2", "Product 2")]
    assert desk.rows(REFUSED) == ([("3",)] if one_by_one else [])


@pytest.mark.parametrize("means", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_transaction_that_was_ended_while_rows_were_tried_one_by_one_refuses_none_of_them(
    desk: Desk, means: str
) -> None:
    mine = desk.shop
    desk.write(mine.record(products=[mine.product(1)]))
    record = mine.record(products=[mine.product(1, name="New"), mine.product(2, selling_price="about ten")])
    with ThreadPoolExecutor() as pool, changed(desk.open.dsn, holding(desk)):
        writing = pool.submit(desk.write, record)
        pid = desk._link.info.backend_pid
        wait_until_blocked(desk.open.dsn, pid)
        cut(desk.open.dsn, pid, means)
        with pytest.raises(OperationalError):
            writing.result(30)
    assert (desk.rows(NAMES), desk.rows(REFUSED)) == ([("1", "Product 1")], [])
    desk.close()
    desk.connect()
    desk.write(record)
    assert (desk.rows(NAMES), desk.rows(REFUSED)) == ([("1", "New")], [("2",)])


def test_a_due_sale_of_a_system_that_is_in_no_registry_sleeps_and_holds_up_nobody(desk: Desk) -> None:
    mine = desk.shop
    desk.sales(mine.sale(1, txn_end=False))
    with desk._link.transaction():
        assert announce(desk._link, {(mine.tenant, mine.id("sale", 1)): "due"}, lambda _: None) == 0
    assert desk.types() == []
    assert desk.rows("select settle_at from fluxion.sales where tenant_id = :tenant") == [(None,)]
