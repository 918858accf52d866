import tempfile
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from producers.enrol import tables_of
from producers.history import bounds_of
from producers.home import (
    CONFIG,
    JOURNAL,
    AgentConfig,
    BoundSection,
    SnapshotSection,
    SourceSection,
    is_running,
    only_one,
    read_config,
    write_config,
)
from producers.journal import Journal
from producers.retention import MIN_BUDGET
from producers.source import Bound
from schemas.mapping import load
from schemas.template import Template
from tests.conftest import Cloud
from tests.producers.captures import StillClock, chunk
from tests.producers.conftest import Shop
from tests.producers.till import SCHEMA, Till


def test_tables_are_collected_at_every_depth() -> None:
    mapping = {
        "product": {"from": "items", "key": "id"},
        "sale": {"from": "transactions", "lines": {"from": "details"}, "more": [{"from": "other"}]},
        "poll": {"items": {"compare": "full"}},
    }
    assert tables_of(mapping) == ["details", "items", "other", "transactions"]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@settings(deadline=None)
@given(texts, texts, st.one_of(st.none(), texts), st.integers(MIN_BUDGET, 2**50))
def test_agent_toml_reads_back_as_it_was_written(user: str, table: str, password: str | None, budget: int) -> None:
    secret = SecretStr(password) if password is not None else None
    source = SourceSection(host="h", port=1, user=user, database="d", tables=[table, "t"], password=secret)
    config = AgentConfig(system_id="s", epoch=1, source=source, journal_bytes=budget)
    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder), config)
        assert read_config(Path(folder)) == config


@pytest.mark.parametrize(
    ("text", "said"), [("nonsense", "cannot be read"), ("epoch = 0", "not valid"), ("", "system_id"), (None, "enrol")]
)
def test_a_wrong_agent_toml_is_one_sentence_with_its_mend(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_config(tmp_path)
    assert caught.value.mend


def test_a_folder_is_one_agents_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(ConfigurationError, match="another agent"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def template(sale: str, more: str = "", key: str = "[till, no]") -> Template:
    """A template of sales whose block goes on with `sale`; `more` stands beside it. key: the header's."""
    text = f"""
template: t
version: 1
title: T
databases: [mysql]
sale:
  from: sales
  key: {key}
  number: no
  sold_at: at
  total: total
  lines: {{from: details, key: {{primary: true}}, sale: [till, no], sku: sku, quantity: qty}}
{sale}
{more}
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.yaml"
        path.write_text(text)
        return load(path)


def test_sales_are_bounded_by_since_and_what_belongs_to_them_by_its_header_lines_last() -> None:
    payments = "  payments: {from: tenders, key: id, sale: [caja, numero], amount: monto}"
    header = BoundSection(table="sales", column="at")
    key = ("till", "no")
    assert bounds_of(template(f"  since: at\n{payments}")) == (
        header,
        BoundSection(table="tenders", column="at", header="sales", link=("caja", "numero"), key=key),
        BoundSection(table="details", column="at", header="sales", link=key, key=key),
    )
    assert bounds_of(template(payments)) == (), "nothing says how old a sale is"


@pytest.mark.parametrize(
    ("sale", "more", "bounded"),
    [
        (
            "  since: at",
            "stock: {from: details, key: sku, product: sku, quantity: qty}\nproduct: {from: p, key: c, sku: c, name: n}",
            ["sales"],
        ),
        ("  since: at", "product: {from: sales, key: no, sku: no, name: no}", []),
    ],
)
def test_a_table_that_feeds_something_else_too_is_read_whole_and_so_is_what_hangs_on_it(
    sale: str, more: str, bounded: list[str]
) -> None:
    assert [bound.table for bound in bounds_of(template(sale, more))] == bounded


@pytest.mark.parametrize(
    "sale",
    [
        "[{value: 7}, {value: 8}]",
        "{key: [caja, numero], optional: true}",
        "{key: [caja, numero], otherwise: {key: [tienda, ticket]}}",
    ],
)
def test_tenders_that_do_not_always_name_their_sale_by_columns_are_read_whole(sale: str) -> None:
    payments = f"  payments: {{from: tenders, key: id, sale: {sale}, amount: monto}}"
    assert [bound.table for bound in bounds_of(template(f"  since: at\n{payments}"))] == ["sales", "details"]


def test_a_constant_in_a_reference_bounds_by_the_columns_beside_it_where_the_template_says_which_they_are() -> None:
    payments = "  since: at\n  payments: {from: tenders, key: id, sale: [caja, {value: 1}], amount: monto}"
    bound = BoundSection(table="tenders", column="at", header="sales", link=("caja",), key=("till",))
    assert bounds_of(template(payments))[1] == bound
    unnamed = template(payments, key="{primary: true}")
    assert "tenders" not in {bound.table for bound in bounds_of(unnamed)}


def test_a_bound_is_the_local_time_so_many_days_ago() -> None:
    clock = StillClock()
    clock.now = 1_795_000_000_000_000  # 2026-11-18T11:06:40 UTC
    section = SnapshotSection(history_days=10, bounds=(BoundSection(table="sales", column="at"),))
    assert section.at(clock) == {"sales": Bound("at", "2026-11-08T07:06:40-04:00")}


def test_enrolling_again_takes_over_what_was_changed_and_reads_a_new_table_once(
    cloud: Cloud, shop: Shop, tmp_path: Path
) -> None:
    shop.run(*SCHEMA.split(";"))
    till = Till(cloud, shop, tmp_path / "agent")
    path = till.home / CONFIG
    path.write_text(path.read_text().replace('"stock", ', "").replace("history_days = 90", "history_days = 7"))
    with closing(Journal(till.home / JOURNAL, SystemClock())) as journal:
        journal.request_run("first", ["items"], {})
        till.enrol()
        assert read_config(till.home).snapshot.history_days == 90
        assert "stock" in read_config(till.home).source.tables
        run = journal.run()
        assert run is not None
        assert run.kind == "first"
        journal.append([chunk("s1", ["read"], end="items")])
        journal.finish_run(run.id)
        again = journal.run()
        assert again is not None
        assert (again.kind, again.tables) == ("again", ["stock"])
        journal.finish_run(again.id)
        till.enrol()
        assert journal.run() is None, "the same again changes nothing"


def test_an_agent_is_seen_to_run_without_being_kept_from_it(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    with only_one(tmp_path):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_an_option_may_be_a_number_in_the_file() -> None:
    place = 'kind = "sqlserver"\nhost = "caja"\nport = 1433\nuser = "u"\ndatabase = "d"\ntables = ["t"]\n'
    section = SourceSection.model_validate(tomllib.loads(f"{place}[options]\ncompare_s = 5\n"))
    assert section.options == {"compare_s": "5"}
