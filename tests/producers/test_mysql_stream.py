import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fluxion.errors import DependencyDownError, SourceNotReadyError
from producers.source import Capture
from producers.sources.mysql.binlog import reader, transaction
from tests.producers.conftest import Shop, ends, gtids, rows, said, take


@contextmanager
def server_set(shop: Shop, name: str, value: str) -> Iterator[None]:
    """A global variable is another meanwhile."""
    ((before,),) = shop.run(f"select @@global.{name}")
    shop.run(f"set global {name} = {value}")
    try:
        yield
    finally:
        shop.run(f"set global {name} = {before!r}")


# What sessions may do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement", ["update items set price = 5 where id = 1", "delete from items where id = 1", "insert into items (id) values (9)"]
)  # fmt: skip
@pytest.mark.parametrize("image", ["minimal", "noblob"])
def test_rows_that_lack_columns_are_refused_with_the_mend(items: Shop, image: str, statement: str) -> None:
    items.run("alter table items add t text")
    start = items.now("items")
    items.run(f"set session binlog_row_image = {image}", statement)
    with pytest.raises(SourceNotReadyError, match="incomplete rows of items") as caught:
        take(items.source("items").stream(start), 1)
    assert "binlog_row_image" in caught.value.mend


def test_a_statement_written_from_another_database_stops_the_stream(items: Shop) -> None:
    start = items.now("items")
    items.run("set session binlog_format = statement", "use mysql", f"delete from {items.database}.items")
    with pytest.raises(SourceNotReadyError, match="statements instead of rows"):
        take(items.source("items").stream(start), 1)


def test_a_loaded_file_comes_as_rows_and_as_a_statement_stops_the_stream(
    items: Shop, request: pytest.FixtureRequest
) -> None:
    path = f"/var/tmp/{items.database}.csv"
    items.run(f"select 5, 'cinco', 5 into outfile '{path}'")
    request.addfinalizer(Path(path).unlink)
    start = items.now("items")
    load = f"load data infile '{path}' into table items"
    items.run(load, "delete from items", "set session binlog_format = statement", load)
    stream = items.source("items").stream(start)
    assert rows(take(stream, 1)) == [("c", "items", ("5", "cinco", "5.0000"))]
    take(stream, 1)
    with pytest.raises(SourceNotReadyError, match="statements instead of rows"):
        take(stream, 1)


def test_a_compressed_log_gives_the_same_rows(items: Shop) -> None:
    start = items.now("items")
    with server_set(items, "log_bin_compress", "1"), server_set(items, "log_bin_compress_min_len", "10"):
        items.run("insert into items select seq, repeat('x', 20), seq from seq_10_to_60")
        items.run("update items set price = price + 1 where id between 10 and 60", "delete from items where id > 9")
        items.run(f"truncate table /* {'long ' * 30} */ items")
    created, updated, deleted, emptied = said(items.source("items").stream(start), 4)
    x = "x" * 20
    assert rows([created]) == [("c", "items", (str(n), x, f"{n}.0000")) for n in range(10, 61)]
    assert rows([updated]) == [("u", "items", (str(n), x, f"{n + 1}.0000")) for n in range(10, 61)]
    assert rows([deleted]) == [("d", "items", (str(n), x, f"{n + 1}.0000")) for n in range(10, 61)]
    assert ends(emptied) == ["items"]


def test_checksums_may_be_off_and_come_on_while_it_reads(items: Shop) -> None:
    start = items.now("items")
    with server_set(items, "binlog_checksum", "none"):
        items.run("insert into items values (3, 'x', 1)")
        stream = items.source("items").stream(start)
        assert len(take(stream, 1)) == 1
    items.run("insert into items values (4, 'x', 1)")
    assert rows(take(stream, 1)) == [("c", "items", ("4", "x", "1.0000"))]


# Transactions --------------------------------------------------------------------------------------------------------


def test_a_transaction_of_100_000_rows_comes_in_parts_and_holds_the_position_till_the_last(items: Shop) -> None:
    start = items.now("items")
    with items.link() as link, link.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("insert into items select seq, 'x', seq from seq_3_to_100000")
        cursor.execute("delete from items where id <= 2")
        cursor.execute("commit")
        cursor.execute("insert into items values (0, 'next', 0)")
    parts: list[Capture] = []
    following: list[Capture] = []
    for capture in items.source("items").stream(start):
        if capture.rows:
            (following if parts and parts[-1].last_part else parts).append(capture)
        if following:
            break
    assert [part.part for part in parts] == list(range(len(parts)))
    assert [part.last_part for part in parts] == [False] * (len(parts) - 1) + [True]
    # Of rows as small as these one event alone may be more than a part.
    assert all(transaction.MAX_ROWS // 2 < len(part.rows) < 2 * transaction.MAX_ROWS for part in parts[:-1])
    assert {gtid for part in parts[:-1] for gtid in gtids(part.position)} == gtids(start)
    assert gtids(parts[-1].position) != gtids(start)
    read = rows(parts)
    assert [values[0] for _, _, values in read] == [str(number) for number in (*range(3, 100_001), 1, 2)]
    assert (following[0].part, following[0].last_part, rows(following)) == (
        0,
        True,
        [("c", "items", ("0", "next", "0.0000"))],
    )
    again = take(items.source("items").stream(parts[3].position), 1)
    assert rows(again) == rows(parts[:1])


def test_parts_are_cut_by_their_size_too(items: Shop) -> None:
    items.run("create table notes (id int primary key, t longtext)")
    start = items.now("notes")
    items.run(f"insert into notes select seq, repeat('x', {transaction.MAX_BYTES // 2 + 1}) from seq_1_to_5")
    assert [len(capture.rows) for capture in take(items.source("notes").stream(start), 3)] == [2, 2, 1]


def test_a_row_larger_than_a_packet_is_read_whole(items: Shop) -> None:
    items.run("create table notes (id int primary key, t longtext)")
    start = items.now("notes")
    with server_set(items, "max_allowed_packet", "67108864"):
        items.run("insert into notes values (1, repeat('ñ', 9000000))")
        ((_, _, values),) = rows(take(items.source("notes").stream(start), 1))
    # With its usual limit this server could not say any more which GTIDs stand behind that row in its file.
    items.run("flush binary logs")
    assert values == ("1", "ñ" * 9_000_000)


def test_a_savepoint_takes_its_rows_back_and_what_has_no_transactions_is_read_again(items: Shop) -> None:
    items.run("create table notes (id int primary key) engine=aria transactional=0")
    start = items.now("items", "notes")
    with items.link() as link, link.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("insert into items values (3, 'x', 1)")
        cursor.execute("savepoint one")
        cursor.execute("insert into items values (4, 'x', 1)")
        cursor.execute("insert into notes values (1)")
        cursor.execute("rollback to one")
        cursor.execute("insert into items values (5, 'x', 1)")
        cursor.execute("commit")
    noted, bought = said(items.source("items", "notes").stream(start), 2)
    assert rows([noted]) == [("c", "notes", ("1",))]
    assert [values[0] for _, _, values in rows([bought])] == ["3", "5"]
    assert bought.resnapshot == ["items"]


def test_what_is_taken_back_when_parts_are_out_already_is_read_again(
    items: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "MAX_ROWS", 1)
    items.run("create table notes (id int primary key) engine=aria transactional=0")
    start = items.now("items", "notes")
    with items.link() as link, link.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("insert into items values (3, 'x', 1)")
        cursor.execute("savepoint one")
        cursor.execute("insert into items values (4, 'x', 1)")
        cursor.execute("insert into notes values (1)")
        cursor.execute("rollback to one")
        cursor.execute("insert into items values (5, 'x', 1)")
        cursor.execute("commit")
    _, *parts = said(items.source("items", "notes").stream(start), 4)
    assert [values[0] for _, _, values in rows(parts)] == ["3", "4", "5"]
    assert [part.last_part for part in parts] == [False, False, True]
    assert [part.resnapshot for part in parts] == [[], [], ["items"]]


def test_a_table_whose_map_was_forgotten_in_the_middle_of_a_transaction_is_one_layout(
    items: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MAPS_KEPT", 0)
    items.run("create table other (id int primary key)")
    start = items.now("items")
    with items.link() as link, link.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("insert into items values (3, 'x', 1)")
        cursor.execute("insert into other values (1)")
        cursor.execute("update items set price = 2 where id = 3")
        cursor.execute("commit")
    captures = take(items.source("items").stream(start), 1)
    assert [(op, values[2]) for op, _, values in rows(captures)] == [("c", "1.0000"), ("u", "2.0000")]
    assert [layout.table for layout in captures[0].layouts] == ["items"]


def test_a_rollback_in_the_log_leaves_no_rows(items: Shop) -> None:
    start = items.now("items")
    with items.link() as link, link.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("create temporary table t (id int)")  # makes the server write the rollback down
        cursor.execute("insert into items values (3, 'x', 1)")
        cursor.execute("rollback")
        cursor.execute("insert into items values (4, 'x', 1)")
    ((op, _, values),) = rows(take(items.source("items").stream(start), 1))
    assert (op, values[0]) == ("c", "4")


def test_xa_in_one_phase_is_a_transaction_and_prepared_on_our_tables_stops_the_stream(items: Shop) -> None:
    items.run("create table other (id int primary key)")
    start = items.now("items")

    def xa(name: str, statement: str, *ending: str) -> None:
        items.run(f"xa start '{name}'", statement, f"xa end '{name}'", *ending)

    xa("a", "insert into items values (3, 'x', 1)", "xa commit 'a' one phase")
    xa("b", "insert into other values (1)", "xa prepare 'b'", "xa commit 'b'")
    items.run("insert into items values (4, 'x', 1)")
    xa("c", "insert into items values (5, 'x', 1)", "xa prepare 'c'", "xa rollback 'c'")
    stream = items.source("items").stream(start)
    assert [values[0] for _, _, values in rows(take(stream, 2))] == ["3", "4"]
    with pytest.raises(SourceNotReadyError, match="XA transaction"):
        take(stream, 1)


@pytest.fixture
def domains(items: Shop) -> Iterator[tuple[int, int]]:
    """Two more GTID domains, which this server knows nothing of afterwards."""
    yield 7, 8
    for source in items.sources:
        source.close()
    items.run("flush binary logs")
    deadline = time.monotonic() + 20
    while (
        len(logs := items.run("show binary logs")) > 1
    ):  # a file that a reader holds stays, until the server sees it gone
        assert time.monotonic() < deadline
        items.run(f"purge binary logs to '{logs[-1][0]}'")
        time.sleep(0.1)
    items.run("flush binary logs delete_domain_id = (7, 8)")
    assert gtids(items.now("items")) == {items.run("select @@gtid_binlog_pos")[0][0]}


def test_several_domains_are_each_gone_on_with(items: Shop, domains: tuple[int, int]) -> None:
    start = items.now("items")
    numbers = itertools.count(3)
    with items.link() as link, link.cursor() as cursor:
        for domain in (0, domains[0], 0, domains[1], domains[0], 0, domains[0]):
            cursor.execute(f"set session gtid_domain_id = {domain}")
            cursor.execute(f"insert into items values ({next(numbers)}, 'x', {domain})")
    captures = take(items.source("items").stream(start), 7)
    written = [values[0] for _, _, values in rows(captures)]
    assert written == ["3", "4", "5", "6", "7", "8", "9"]
    assert {gtid.split("-")[0] for gtid in gtids(captures[-1].position)} == {"0", *map(str, domains)}
    for index, capture in enumerate(captures[:-1]):
        following = take(items.source("items").stream(capture.position), len(captures) - index - 1)
        assert [values[0] for _, _, values in rows(following)] == written[index + 1 :]


def test_it_reads_over_rotations_and_goes_on_from_each_file(items: Shop) -> None:
    start = items.now("items")
    for number in range(3, 7):
        items.run(f"insert into items values ({number}, 'x', 1)", "flush binary logs", "flush tables")
    captures = take(items.source("items").stream(start), 4)
    assert [values[0] for _, _, values in rows(captures)] == ["3", "4", "5", "6"]
    files = [json.loads(capture.position)["file"] for capture in captures]
    assert files == sorted(set(files))
    assert rows(take(items.source("items").stream(captures[1].position), 1)) == rows(captures[2:3])


def test_tables_of_one_name_in_two_databases_are_two(items: Shop) -> None:
    other = f"{items.database}_b"
    items.run(f"create database {other}")
    try:
        start = items.now("items")
        items.run(f"create table {other}.items like items", f"insert into {other}.items values (1, 'otra', 9)")
        items.run(f"truncate {other}.items", "insert into items values (3, 'x', 1)")
        ((_, _, values),) = rows(said(items.source("items").stream(start), 1))
        assert values[0] == "3"
    finally:
        items.run(f"drop database {other}")


def test_closing_ends_a_busy_stream_within_two_seconds(items: Shop) -> None:
    items.run("create table other (id int primary key auto_increment, t varchar(200))")
    source = items.source("items")
    stream = source.stream(items.now("items"))
    next(stream)
    done = threading.Event()

    def write() -> None:
        with items.link() as link, link.cursor() as cursor:
            while not done.is_set():
                cursor.execute("insert into other (t) values (repeat('x', 200))")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        threading.Timer(0.2, source.close).start()
        begun = time.monotonic()
        assert all(not capture.rows for capture in stream)
        assert time.monotonic() - begun < 2.2
    finally:
        done.set()
        writer.join()


def test_a_server_that_ends_the_line_is_said(items: Shop) -> None:
    mine = items.account("select on {database}.*", "replication slave on *.*")
    stream = mine.source("items").stream(items.now("items"))
    next(stream)
    ((reader, *_),) = [row for row in items.run("show processlist") if row[1] == mine.user and row[4] == "Binlog Dump"]
    items.run(f"kill {reader}")
    with pytest.raises(DependencyDownError):
        list(stream)
