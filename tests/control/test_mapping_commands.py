"""`fluxion mapping` as a person runs it, on a real database."""

import json
from pathlib import Path

import pytest

from deploy.demo.systimax import Systimax
from deploy.stack import Stack
from fluxion.postgres import STAGE, connect
from fluxion.registry import load_system
from schemas.mapping import json_schema, load, resolve
from tests.conftest import Cloud
from tests.control.live import new_tenant
from tests.support import local

PASSWORD = {"FLUXION_SOURCE_PASSWORD": "cdc"}


@pytest.fixture(scope="module")
def pos(stack: Stack) -> Systimax:
    database = Systimax(stack.mariadb_host, stack.mariadb_port, "app", "app", "check_mappings")
    database.create(3)
    with database.connect() as link, link.cursor() as cursor:
        cursor.execute("create table audit (id int primary key, what varchar(20))")
        cursor.execute("alter table items add column proveedor int")
        cursor.execute("update items set item_name = 'Harina', barcode = '759' where item_id = 1")
        link.commit()
    return database


@pytest.fixture(scope="module")
def system(cloud: Cloud, pos: Systimax) -> str:
    """A Systimax with its two stores."""
    tenant = new_tenant(cloud)
    place = ("--port", str(pos.port), "--user", "cdc", "--database", pos.database)
    made = run(cloud, "system", "add", "--tenant", tenant, "--template", "systimax", "--name", "Principal", *place)
    for number in ("1", "2"):
        run(cloud, "store", "add", number, "--system", made, "--external-id", number)
    return made


def run(cloud: Cloud, *words: str) -> str:
    return local.fluxion(*words, environment={**cloud.environment, **PASSWORD}).stdout.strip()


def refused(cloud: Cloud, *words: str) -> tuple[int, str]:
    done = local.fluxion(*words, environment={**cloud.environment, **PASSWORD}, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def own(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text("template: own\nversion: 1\nextends: systimax@1\n" + text, encoding="utf-8")
    return str(path)


def revision(cloud: Cloud, system: str) -> int:
    with connect(cloud.stack.postgres, STAGE) as link:
        return load_system(link, system).mapping_revision


def test_columns_says_what_is_mapped_to_what(cloud: Cloud, system: str, tmp_path: Path) -> None:
    shown = run(cloud, "mapping", "columns", system)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "item_id (key) product.key" in lines
    assert "payment_type sale.payments.method" in lines
    assert "trans_date sale.sold_at, sale.since" in lines
    assert "total_amount sale.total, sale.payments.amount" in lines
    assert "proveedor -" in lines
    assert "audit (not mapped)" in lines
    assert "status is mapped to sale.status, and the table lacks it" in lines
    assert lines.index("audit (not mapped)") > lines.index("transactions")
    other = own(tmp_path, "supplier: {from: proveedores, key: id, name: nombre}\nproduct: {supplier: proveedor}\n")
    shown = run(cloud, "mapping", "columns", system, "--template", other)
    assert "proveedores is mapped, and the database lacks it" in shown
    assert "proveedor        product.supplier" in shown


def test_test_shows_what_rows_would_become_and_sends_nothing(cloud: Cloud, system: str, tmp_path: Path) -> None:
    shown = run(cloud, "mapping", "test", system, "--table", "items", "--rows", "2")
    first, second = shown.splitlines()[1:]
    assert first.startswith("  Product 1: ")
    assert ' name="Harina" barcode="759" ' in first
    assert second.startswith("  Product 2: ")
    whole = run(cloud, "mapping", "test", system, "--rows", "1")
    for part in ("  Category ", "  Stock ", "  SaleHeader 1: ", "  SaleLine 1: ", "  Payment 1/1: method="):
        assert part in whole
    wrong = own(tmp_path, "product: {is_active: item_name}\n")
    code, said = refused(cloud, "mapping", "test", system, "--table", "items", "--rows", "1", "--template", wrong)
    assert code == 1
    assert "FAULT items 1: INVALID_VALUE: product.is_active: 'Harina' is neither yes nor no" in said
    code, said = refused(cloud, "mapping", "test", system, "--table", "itms")
    assert (code, "the template says nothing of table 'itms'" in said) == (78, True)


def test_test_says_every_fault_of_the_template_before_it_tries_a_row(cloud: Cloud, system: str, tmp_path: Path) -> None:
    wrong = own(
        tmp_path,
        "supplier: {from: proveedores, key: id, name: nombre}\ncategory: {from: categoris}\n"
        "product: {barcode: bar_code}\n",
    )
    code, said = refused(cloud, "mapping", "test", system, "--rows", "1", "--template", wrong)
    assert code == 1
    for fault in ("'proveedores'", "'categoris', did you mean 'categories'?", "'bar_code', did you mean 'barcode'?"):
        assert fault in said
    assert "Product 1" not in said
    code, said = refused(cloud, "mapping", "test", system, "--table", "items", "--template", wrong)
    assert (code, "'proveedores'" in said, "Product 1" in said) == (1, True, False)


def test_a_mapping_is_compared_and_saved(cloud: Cloud, system: str, tmp_path: Path) -> None:
    before = revision(cloud, system)
    file = own(tmp_path, "product: {barcode: item_code}\ncategory: ~\nsale: {subtotal: ~}\n")
    code, said = refused(cloud, "mapping", "diff", system, file)
    assert code == 1
    assert "product.category: nothing in the template feeds category" in said
    file = own(tmp_path, "product: {barcode: item_code}\nsale: {subtotal: ~}\n")
    shown = run(cloud, "mapping", "diff", system, file).splitlines()
    assert shown == [
        'template: "systimax" → "own"',
        'product.barcode: {"column": "barcode", "optional": true} → {"column": "item_code", "optional": false}',
        'sale.subtotal: {"column": "subtotal", "optional": false} → -',
    ]
    assert revision(cloud, system) == before
    assert run(cloud, "mapping", "save", system, file).splitlines() == [
        *shown,
        f"saved as mapping revision {before + 1}",
    ]
    assert revision(cloud, system) == before + 1
    assert run(cloud, "mapping", "save", system, file) == "nothing changes"
    run(cloud, "mapping", "save", system, "systimax")
    with connect(cloud.stack.postgres, STAGE) as link:
        saved = load_system(link, system)
    assert (saved.mapping, saved.system_type) == (resolve(load("systimax")), "systimax")


def test_what_does_not_fit_the_database_or_the_stores_is_not_saved(cloud: Cloud, system: str, tmp_path: Path) -> None:
    before = revision(cloud, system)
    file = own(tmp_path, "product: {barcode: bar_code, cost_price: cost}\nstock: {store: ~}\n")
    code, said = refused(cloud, "mapping", "save", system, file)
    assert code == 1
    for fault in (
        "product.barcode: 'items' has no column 'bar_code', did you mean 'barcode'?",
        "product.cost_price: 'items' has no column 'cost'",
        "stock.store: the system has 2 stores",
    ):
        assert fault in said
    code, said = refused(cloud, "mapping", "save", system, file, "--no-source")
    assert (code, "bar_code" in said, "stock.store" in said) == (1, False, True)
    assert revision(cloud, system) == before


def test_a_table_that_was_not_captured_is_said(cloud: Cloud, system: str, tmp_path: Path) -> None:
    file = own(tmp_path, "supplier: {from: audit, key: id, name: what}\n")
    assert run(cloud, "mapping", "save", system, file).endswith(
        "not captured before: audit; enrol the agent again so that it reads them"
    )
    run(cloud, "mapping", "save", system, "systimax")


def test_the_format_is_published(cloud: Cloud) -> None:
    assert json.loads(run(cloud, "mapping", "schema")) == json_schema()
