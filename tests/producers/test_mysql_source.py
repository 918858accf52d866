import json
import threading
import time
from collections.abc import Iterator

import pytest

from fluxion.errors import AccessDeniedError, DependencyDownError, PositionLostError, SourceNotReadyError
from producers.source import Capture
from producers.sources.mysql import chunks, stream
from producers.sources.mysql.binlog import dump
from producers.sources.mysql.position import LogPosition, with_gtid
from tests.producers.conftest import Shop, rows, take

State = dict[tuple[str, str | None], tuple[str | None, ...]]


def state(captures: list[Capture]) -> State:
    """What the rows say in the end, by table and first column."""
    found: State = {}
    for op, table, values in rows(captures):
        found.pop((table, values[0]), None)
        if op != "d":
            found[table, values[0]] = values
    return found


# Snapshot ------------------------------------------------------------------------------------------------------------


def test_a_snapshot_reads_every_table_and_ends_each_also_an_empty_one(items: Shop) -> None:
    items.run("create table empty (id int primary key)")
    captures = items.snapshot("items", "empty")
    assert [(capture.kind, [end.table for end in capture.ends]) for capture in captures] == [
        ("snapshot", ["empty"]),
        ("snapshot", ["items"]),
    ]
    assert rows(captures) == [("r", "items", ("1", "uno", "1.0000")), ("r", "items", ("2", "dos", "2.0000"))]
    assert len({capture.stream_start for capture in captures}) == 1


def test_chunks_are_bounded(items: Shop) -> None:
    items.run("insert into items select seq, 'x', 1 from seq_3_to_1201")
    captures = items.snapshot("items")
    assert [len(capture.rows) for capture in captures] == [500, 500, 201]
    assert [len(capture.ends) for capture in captures] == [0, 0, 1]
    items.run("create table big (id int primary key, t longtext)")
    items.run(f"insert into big select seq, repeat('x', {chunks.CHUNK_CHARACTERS // 2}) from seq_1_to_5")
    assert [len(capture.rows) for capture in items.snapshot("big")] == [2, 2, 1]


def test_a_snapshot_under_writes_and_the_stream_behind_it_come_to_the_same_state(items: Shop) -> None:
    items.run("create table moves (id int primary key, item int)")
    items.run("insert into items select seq, 'x', 0 from seq_3_to_6000", "update items set price = 0")
    done = threading.Event()

    def writer() -> None:
        with items.link() as link, link.cursor() as cursor:
            number = 0
            while not done.is_set():
                number += 1
                cursor.execute("begin")
                cursor.execute(f"update items set price = price + 1 where id = {number % 1000 + 1}")
                cursor.execute(f"insert into moves values ({number}, {number % 1000 + 1})")
                cursor.execute(f"delete from items where id = {6001 - number} and id > 1000")
                cursor.execute("commit")

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        read = []
        for capture in items.source("items", "moves").snapshot(None, frozenset({"items", "moves"}), {}):
            read.append(capture)
            time.sleep(0.02)
    finally:
        done.set()
        thread.join()
    # Of one moment: in any committed state the prices add up to the moves, and as many items are gone.
    seen = state(read)
    moves = sum(1 for table, _ in seen if table == "moves")
    prices = [float(values[2] or 0) for (table, _), values in seen.items() if table == "items"]
    assert sum(prices) == moves
    assert len(prices) == 6000 - moves
    ((last,),) = items.run("select count(*) from moves")
    assert moves < last, "nothing was written meanwhile; the test shows nothing"
    start = read[0].stream_start
    assert start is not None
    streamed = take(items.source("items", "moves").stream(start), last - moves)
    stored: State = {("items", str(row[0])): tuple(map(str, row)) for row in items.run("select * from items")}
    stored |= {("moves", str(row[0])): tuple(map(str, row)) for row in items.run("select * from moves")}
    assert state([*read, *streamed]) == stored


def test_a_snapshot_can_be_left_and_closed_in_the_middle(items: Shop) -> None:
    items.run("insert into items select seq, 'x', 1 from seq_3_to_50000")
    source = items.source("items")
    captures = source.snapshot(None, frozenset({"items"}), {})
    next(captures)
    source.close()
    begun = time.monotonic()
    assert len(list(captures)) < 99
    assert time.monotonic() - begun < 2


# Stream --------------------------------------------------------------------------------------------------------------


def test_a_transaction_is_one_capture_in_order(items: Shop) -> None:
    start = items.now("items")
    with items.link() as link, link.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("insert into items values (3, 'tres', 3)")
        cursor.execute("update items set price = 9 where id = 1")
        cursor.execute("delete from items where id = 2")
        cursor.execute("commit")
    (capture,) = take(items.source("items").stream(start), 1)
    assert rows([capture]) == [
        ("c", "items", ("3", "tres", "3.0000")),
        ("u", "items", ("1", "uno", "9.0000")),
        ("d", "items", ("2", "dos", "2.0000")),
    ]
    assert capture.kind == "stream"
    assert all(abs((row.source_time or 0) / 1e6 - time.time()) < 60 for row in capture.rows)


def test_a_changed_key_is_a_delete_and_a_create(items: Shop) -> None:
    start = items.now("items")
    items.run("update items set id = 7 where id = 1")
    assert rows(take(items.source("items").stream(start), 1)) == [
        ("d", "items", ("1", "uno", "1.0000")),
        ("c", "items", ("7", "uno", "1.0000")),
    ]


def test_it_goes_on_behind_the_position_of_any_capture(items: Shop) -> None:
    start = items.now("items")
    items.run(*(f"insert into items values ({number}, 'x', 1)" for number in range(3, 8)))
    captures = take(items.source("items").stream(start), 5)
    for index, capture in enumerate(captures[:-1]):
        following = take(items.source("items").stream(capture.position), 1)
        assert rows(following) == rows([captures[index + 1]])


def test_columns_go_by_the_names_of_their_time(items: Shop) -> None:
    start = items.now("items")
    items.run("insert into items values (3, 'tres', 3)")
    items.run("alter table items modify price decimal(18,4) after id, add old int")
    items.run("insert into items values (4, 4, 'cuatro', null)")
    before, after = take(items.source("items").stream(start), 2)
    assert [column.name for column in before.layouts[0].columns] == ["id", "name", "price"]
    assert before.rows[0].values == ["3", "tres", "3.0000"]
    assert [column.name for column in after.layouts[0].columns] == ["id", "price", "name", "old"]
    assert after.rows[0].values == ["4", "4.0000", "cuatro", None]


def test_other_tables_and_silence_move_the_position_without_rows(items: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "QUIET_S", 0.2)
    monkeypatch.setattr(dump, "PATIENCE_S", 0.1)  # less than lies between two heartbeats
    items.run("create table other (id int primary key)")
    captures = items.source("items").stream(items.now("items"))
    items.run("insert into other values (1)", "create table third (id int primary key)")
    ((last,),) = items.run("select @@gtid_binlog_pos")
    for capture in captures:
        assert capture.rows == []
        if json.loads(capture.position)["gtid"] == last:
            break
    begun = time.monotonic()
    assert next(captures).rows == []
    assert time.monotonic() - begun < 1.5, "nothing came from the server"


def test_close_from_another_thread_ends_a_silent_stream(items: Shop) -> None:
    source = items.source("items")
    closer = threading.Timer(0.3, source.close)
    closer.start()
    begun = time.monotonic()
    assert rows(list(source.stream(items.now("items")))) == []
    assert time.monotonic() - begun < 3
    closer.join()
    source.close()


def test_a_source_that_was_closed_reads_nothing(items: Shop) -> None:
    start = items.now("items")
    source = items.source("items")
    source.close()
    assert list(source.stream(start)) == []
    assert list(source.snapshot(None, frozenset({"items"}), {})) == []


def dump_thread(shop: Shop) -> Iterator[int]:
    while True:
        yield from (row[0] for row in shop.run("show processlist") if row[1] == shop.user and row[4] == "Binlog Dump")


def test_a_lost_connection_is_said_and_never_begun_again_silently(items: Shop) -> None:
    mine = items.account("select on {database}.*", "replication slave on *.*")
    stream = mine.source("items").stream(items.now("items"))
    items.run("insert into items values (3, 'x', 1)")
    take(stream, 1)
    items.run(f"kill {next(dump_thread(mine))}")
    with pytest.raises(DependencyDownError):
        take(stream, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"server": "another"},
        {"gtid": "0-1-999999999", "file": ""},
        {"gtid": "0-77-1", "file": ""},
        {"gtid": "0-1-1"},  # the log is at our place with other GTIDs: it was begun anew
        {"offset": 5},
    ],
)
def test_a_position_that_this_log_does_not_have_is_lost(items: Shop, change: dict[str, object]) -> None:
    position = json.dumps({**json.loads(items.now("items")), **change})
    with pytest.raises(PositionLostError) as caught:
        take(items.source("items").stream(position), 1)
    assert caught.value.mend
    with pytest.raises(PositionLostError):
        take(items.source("items").stream("no position"), 1)


def test_a_purged_log_is_a_lost_position_unless_everything_was_read(items: Shop) -> None:
    early = items.now("items")
    items.run("insert into items values (3, 'x', 1)", "flush binary logs")
    items.run("insert into items values (4, 'x', 1)", "flush binary logs")
    late = items.now("items")
    newest = items.run("show binary logs")[-1][0]
    items.run("insert into items values (5, 'x', 1)", f"purge binary logs to '{newest}'")
    with pytest.raises(PositionLostError, match="no longer"):
        take(items.source("items").stream(early), 1)
    assert rows(take(items.source("items").stream(late), 1)) == [("c", "items", ("5", "x", "1.0000"))]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("binlog_format = statement", "statements instead of rows"),
        ("binlog_row_image = minimal", "incomplete rows"),
    ],
)
def test_a_session_that_logs_too_little_stops_the_stream(items: Shop, setting: str, said: str) -> None:
    start = items.now("items")
    items.run(f"set session {setting}", "update items set price = 5 where id = 1")
    with pytest.raises(SourceNotReadyError, match=said):
        take(items.source("items").stream(start), 1)


def test_rows_without_names_are_refused(items: Shop) -> None:
    start = items.now("items")
    items.run("set global binlog_row_metadata = minimal")
    try:
        items.run("insert into items values (3, 'x', 1)")
    finally:
        items.run("set global binlog_row_metadata = full")
    with pytest.raises(SourceNotReadyError, match="names"):
        take(items.source("items").stream(start), 1)


def test_an_account_without_replication_is_told_the_grant(items: Shop) -> None:
    mine = items.account("select on {database}.*")
    start = items.now("items")
    with pytest.raises(AccessDeniedError) as caught:
        take(mine.source("items").stream(start), 1)
    assert "GRANT REPLICATION SLAVE" in caught.value.mend


def test_a_place_whose_gtids_the_server_cannot_tell_is_an_error_and_not_the_beginning_of_the_log(shop: Shop) -> None:
    place = LogPosition("server", "", "no-such-file.000001", 4)
    with shop.link() as link, link.cursor() as cursor, pytest.raises(DependencyDownError, match="max_allowed_packet"):
        with_gtid(cursor, place)
