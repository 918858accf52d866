"""Snapshots of a real MariaDB: one read view, resumed at any chunk, bounded in time, and again beside the stream."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fluxion.errors import AnotherSourceError, DependencyDownError, PositionLostError, SourceNotReadyError
from producers.source import Bound, Capture, CaptureEnd
from producers.sources.mysql import chunks, estimate, position, snapshot, stream
from schemas.records import Since
from tests.producers.conftest import Shop, rows, take

TABLES = frozenset({"items", "moves"})


@pytest.fixture
def shop_of_two(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Two tables of several chunks each, the first with a key whose columns stand in another order."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 20)
    shop.run("create table items (price int, code varchar(9) collate utf8mb4_general_ci, n int, primary key (n, code))")
    shop.run("insert into items select 0, char(97 + seq mod 5), seq div 5 from seq_1_to_70")
    shop.run("create table moves (id int primary key, price int)", "insert into moves select seq, 0 from seq_1_to_50")
    return shop


def stored(shop: Shop) -> dict[tuple[str, str | None], tuple[str | None, ...]]:
    return {
        (table, *key_of(table, row)): tuple(map(str, row))
        for table in TABLES
        for row in shop.run(f"select * from {table}")
    }


def key_of(table: str, row: Any) -> tuple[str]:
    return (f"{row[2]}{row[1]}" if table == "items" else str(row[0]),)


def seen(captures: list[Capture]) -> dict[tuple[str, str | None], tuple[str | None, ...]]:
    found: dict[tuple[str, str | None], tuple[str | None, ...]] = {}
    for op, table, values in rows(captures):
        found.pop((table, *key_of(table, values)), None)
        if op != "d":
            found[(table, *key_of(table, values))] = values
    return found


# A first run ---------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_behind_any_chunk_with_its_first_start_and_repeats_no_end(shop_of_two: Shop) -> None:
    source = shop_of_two.source(*TABLES)
    whole = list(source.snapshot(None, TABLES, {}))
    assert len(whole) == 7
    assert [end.table for capture in whole for end in capture.ends] == ["items", "moves"]
    assert seen(whole) == stored(shop_of_two)
    # (a transaction meanwhile: the start is no longer where the log is now)
    shop_of_two.run("insert into moves values (1000, 1)")
    for done in (1, 4, 5, 7):
        rest = list(source.snapshot(whole[done - 1].position, TABLES, {}))
        both = [*whole[:done], *rest]
        assert {capture.stream_start for capture in both} == {whole[0].stream_start}
        assert [end.table for capture in both for end in capture.ends] == ["items", "moves"]
        ids = [(table, values) for _, table, values in rows(both)]
        assert len(ids) == len(set(ids))
        assert seen(both).keys() >= seen(whole).keys()


def test_writes_between_the_chunks_of_two_runs_are_put_right_by_the_stream(shop_of_two: Shop) -> None:
    source = shop_of_two.source(*TABLES)
    first = source.snapshot(None, TABLES, {})
    read = [next(first), next(first)]
    # Behind and in front of what was read: changed, gone, come; and a key that moves from in front to behind.
    shop_of_two.run("update items set price = 1", "delete from items where n in (2, 12)")
    shop_of_two.run("insert into items values (2, 'z', 1), (2, 'z', 13)", "update items set n = n - 100 where n = 13")
    read.append(next(first))
    shop_of_two.run("update moves set price = price + 1", "delete from moves where id in (1, 2, 49)")
    first.close()  # type: ignore[attr-defined] # a generator, as the crash leaves it
    read += source.snapshot(read[-1].position, TABLES, {})
    start = read[0].stream_start
    assert start is not None
    streamed = take(source.stream(start), 6)
    assert seen([*read, *streamed]) == stored(shop_of_two)


def test_a_run_whose_start_was_purged_is_lost_before_it_goes_on(shop_of_two: Shop) -> None:
    source = shop_of_two.source(*TABLES)
    stored_chunk = next(iter(source.snapshot(None, TABLES, {}))).position
    shop_of_two.run("insert into moves values (1000, 1)", "flush binary logs", "insert into moves values (1001, 1)")
    shop_of_two.run("flush binary logs", f"purge binary logs to '{shop_of_two.run('show binary logs')[-1][0]}'")
    with pytest.raises(PositionLostError) as caught:
        next(source.snapshot(stored_chunk, TABLES, {}))
    assert "resnapshot" in caught.value.mend


def test_a_run_is_never_gone_on_with_on_another_server(shop_of_two: Shop) -> None:
    source = shop_of_two.source(*TABLES)
    said = json.loads(next(iter(source.snapshot(None, TABLES, {}))).position)
    other = json.dumps({**said, "server": "another", "start": {**said["start"], "server": "another"}})
    for begin in (source.snapshot, source.resnapshot):
        with pytest.raises(AnotherSourceError):
            next(begin(other, TABLES, {}))
        with pytest.raises(PositionLostError):
            next(begin('{"what": 1}', TABLES, {}))


def test_a_table_with_another_key_than_before_begins_anew(shop_of_two: Shop) -> None:
    source = shop_of_two.source("moves")
    read = source.snapshot(None, frozenset({"moves"}), {})
    first = next(read)
    read.close()  # type: ignore[attr-defined] # a generator
    shop_of_two.run("alter table moves drop primary key, add primary key (price, id)")
    rest = list(source.snapshot(first.position, frozenset({"moves"}), {}))
    assert len(rows(rest)) == 50


def test_a_row_that_is_wider_than_a_chunk_is_read_and_few_are_sent_in_vain(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_CHARACTERS", 1_000)
    shop.run("create table wide (id int primary key, t longtext)")
    shop.run("insert into wide select seq, repeat('x', if(seq < 10, 10, 600)) from seq_1_to_30")
    shop.run("insert into wide values (31, repeat('y', 5000)), (32, 'z')")
    captures = shop.snapshot("wide")
    assert [int(values[0] or 0) for _, _, values in rows(captures)] == list(range(1, 33))
    assert max(sum(len(row.values[1] or "") for row in capture.rows) for capture in captures) <= 6_000


@pytest.mark.parametrize(
    ("table", "said"),
    [("heap", "no primary key"), ("prefix", "no primary key"), ("missing", "there is no table missing")],
)
def test_a_table_that_cannot_be_walked_is_one_sentence(shop: Shop, table: str, said: str) -> None:
    shop.run("create table heap (id int)", "create table prefix (t text, primary key (t(5)))")
    with pytest.raises(SourceNotReadyError, match=said):
        shop.snapshot(table)


# How far back --------------------------------------------------------------------------------------------------------

SALES = """
create table sales (id int primary key, at {type}, total int);
create table details (sale int, no int, qty int, primary key (sale, no));
create table tenders (id int primary key, sale int);
insert into sales select seq, timestamp '2026-05-18 04:53:06' + interval seq day, seq from seq_1_to_200;
insert into sales values (0, null, 0);
insert into details select id, no, 1 from sales join (select 1 no union select 2) n;
insert into details values (777, 1, 1);
insert into tenders select id, id from sales
"""
NOW = "2026-08-26T04:53:06-04:00"


def bounded(link: tuple[str, ...] = ("sale",)) -> dict[str, Bound]:
    return {
        "sales": Bound("at", NOW),
        "tenders": Bound("at", NOW, "sales", link),
        "details": Bound("at", NOW, "sales", link, ("id",)),
    }


@pytest.mark.parametrize(
    ("kind", "since", "first"),
    [
        ("datetime", "2026-08-26T04:53:06", 100),
        ("datetime(3)", "2026-08-26T04:53:06", 100),
        ("date", "2026-08-26", 100),
        ("timestamp null", "2026-08-26T08:53:06Z", 101),  # an instant: 04:53 in UTC is before it
    ],
)
def test_a_bound_holds_for_headers_and_what_belongs_to_them_and_is_told_by_the_end(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: str, since: str, first: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 20)
    monkeypatch.setattr(chunks, "WINDOW_ROWS", 30)
    shop.run("set time_zone = '+00:00'", *SALES.format(type=kind).split(";"))
    source = shop.source("sales", "details", "tenders")
    captures = list(source.snapshot(None, frozenset({"sales", "details", "tenders"}), bounded()))
    found = {
        table: [values[0] for _, name, values in rows(captures) if name == table] for table in ("sales", "tenders")
    }
    wanted = ["0", *map(str, range(first, 201))]
    assert found == {"sales": wanted, "tenders": wanted}
    assert [values[:2] for _, name, values in rows(captures) if name == "details"] == [
        (sale, no) for sale in wanted for no in ("1", "2")
    ]
    assert [end for capture in captures for end in capture.ends] == [
        CaptureEnd(table, Since("at", since)) for table in ("sales", "tenders", "details")
    ]
    # Whatever chunk was stored last, also one in which nothing was in bounds; of the other kinds some.
    for capture in captures if kind == "datetime" else captures[::4]:
        rest = list(source.resnapshot(capture.position, frozenset({"sales", "details", "tenders"}), bounded()))
        done = captures[: captures.index(capture) + 1]
        assert rows([*done, *rest]) == rows(captures)
    assert abs(source.estimate(frozenset({"sales", "details"}), bounded()) - 3 * len(wanted)) < 30


def test_a_column_without_dates_bounds_nothing_and_a_missing_one_is_said(shop: Shop) -> None:
    shop.run(*SALES.format(type="varchar(30)").split(";"))
    source = shop.source("sales")
    captures = list(source.snapshot(None, frozenset({"sales"}), {"sales": Bound("at", NOW)}))
    assert len(rows(captures)) == 201
    assert captures[-1].ends == [CaptureEnd("sales")]
    assert source.estimate(frozenset({"sales"}), {"sales": Bound("at", NOW)}) > 100, "the whole table"
    with pytest.raises(SourceNotReadyError, match="no column when"):
        list(source.snapshot(None, frozenset({"sales"}), {"sales": Bound("when", NOW)}))
    shop.run("alter table sales modify at datetime")
    with pytest.raises(SourceNotReadyError, match="whose key is id"):
        list(source.snapshot(None, frozenset({"details"}), {"details": Bound("at", NOW, "sales", ("sale", "no"))}))


def test_a_count_that_takes_too_long_or_is_refused_gives_way_to_the_whole_table(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "COUNTS_S", 0.2)
    shop.run(*SALES.format(type="datetime").split(";"), "analyze table sales, details")
    source = shop.source("sales", "details")
    whole, bounds = frozenset({"sales", "details"}), bounded()
    counted = source.estimate(whole, bounds)
    assert 250 < counted < 350
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("lock tables sales write")
        assert source.estimate(whole, bounds) > 1.5 * counted
    hidden = shop.account("select on {database}.details")
    assert hidden.source("details").estimate(frozenset({"details"}), bounds) > 300, "the header is not to be seen"


def test_a_count_that_is_broken_off_is_the_source_that_is_away(shop: Shop) -> None:
    shop.run(*SALES.format(type="datetime").split(";"))
    source = shop.source("sales")
    killer = threading.Thread(target=broken_off, args=[shop])
    with shop.link() as link, link.cursor() as cursor:
        cursor.execute("lock tables sales write")
        killer.start()
        with pytest.raises(DependencyDownError):
            source.estimate(frozenset({"sales"}), bounded())
    killer.join()


def broken_off(shop: Shop) -> None:
    """End the connection that counts, once there is one."""
    for _ in range(200):
        found = shop.run(
            "select id from information_schema.processlist where info like '%%select count(*) from%%' and user = 'cdc'"
        )
        if found:
            shop.run(f"kill {found[0][0]}")
            return
        time.sleep(0.02)


def test_a_bounded_table_is_looked_through_a_window_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years of old tickets lie in front of the first one that is read."""
    monkeypatch.setattr(chunks, "WINDOW_ROWS", 500)
    shop.run("create table sales (id int primary key, at datetime)")
    shop.run("insert into sales select seq, if(seq > 4900, '2026-09-01', '2020-01-01') from seq_1_to_5000")
    captures = list(shop.source("sales").snapshot(None, frozenset({"sales"}), {"sales": Bound("at", NOW)}))
    assert len(rows(captures)) == 100
    assert len(captures) == 11
    assert [len(capture.rows) for capture in captures][:8] == [0] * 8


# Again, beside the stream --------------------------------------------------------------------------------------------


def test_every_chunk_is_read_when_it_is_asked_for(shop_of_two: Shop) -> None:
    captures = shop_of_two.source("moves").resnapshot(None, frozenset({"moves"}), {})
    first = next(captures)
    assert first.stream_start is None
    shop_of_two.run("update moves set price = 7", "alter table moves add column note varchar(9) default 'new'")
    second = next(captures)
    assert {row.values[1] for row in first.rows} == {"0"}
    assert {tuple(row.values[1:]) for row in second.rows} == {("7", "new")}


def test_a_chunk_never_shows_less_than_the_stream_has_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tells of a transaction before its rows can be seen: a view that opens in that moment is not taken."""
    shop.run("create table moves (id int primary key, price int)", "insert into moves values (1, 0)")
    source = shop.source("moves")
    stream = source.stream(shop.now("moves"))
    shop.run("update moves set price = 1")
    (told,) = take(stream, 1)
    early = iter([True, True, False])
    views: list[bool] = []
    real = position.view_position

    def view(cursor: Any, server: str) -> Any:
        place = real(cursor, server)
        is_early = next(early)
        views.append(is_early)
        return position.LogPosition(server, "", place.file, 4) if is_early and place else place

    monkeypatch.setattr("producers.sources.mysql.snapshot.view_position", view)
    (chunk,) = source.resnapshot(None, frozenset({"moves"}), {})
    assert views == [True, True, False]
    assert rows([told, chunk])[-1] == ("r", "moves", ("1", "1"))


def test_tables_that_never_show_what_the_log_has_told_are_tried_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SEEN_WITHIN_S", 0.05)
    shop.run("create table moves (id int primary key, price int)", "insert into moves values (1, 0)")
    source = shop.source("moves")
    captures = source.stream(shop.now("moves"))
    early = position.LogPosition("server", "", *file_and_offset(shop))
    shop.run("update moves set price = 1")
    take(captures, 1)
    monkeypatch.setattr(snapshot, "view_position", lambda *_: early)
    with pytest.raises(DependencyDownError, match="do not show what its log has told"):
        list(source.resnapshot(None, frozenset({"moves"}), {}))


def file_and_offset(shop: Shop) -> tuple[str, int]:
    ((file, offset, *_),) = shop.run("show master status")
    return file, int(offset)


def test_a_rotated_log_holds_no_chunk_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "QUIET_S", 0.1)
    shop.run("create table moves (id int primary key, price int)", "insert into moves values (1, 0)")
    source = shop.source("moves")
    captures = source.stream(shop.now("moves"))
    shop.run("update moves set price = 1")
    take(captures, 1)
    before = position.LogPosition("server", "", *file_and_offset(shop))
    shop.run("flush binary logs")
    newest, _ = file_and_offset(shop)
    assert any(position.parse(capture.position).file == newest for capture in captures)
    began = time.monotonic()
    assert len(list(source.resnapshot(None, frozenset({"moves"}), {}))) == 1
    # (as a server says that names the place of the last commit)
    monkeypatch.setattr(snapshot, "view_position", lambda *_: before)
    assert len(list(source.resnapshot(None, frozenset({"moves"}), {}))) == 1
    assert time.monotonic() - began < 3


def test_reading_again_under_writers_in_turns_with_the_stream_ends_equal(shop_of_two: Shop) -> None:
    """As the agent does it: what is asked for is stored before anything of the stream."""
    source = shop_of_two.source(*TABLES)
    journal: list[Capture] = list(source.snapshot(None, TABLES, {}))
    done = threading.Event()

    def write() -> None:
        number = 1000
        with shop_of_two.link() as link, link.cursor() as cursor:
            while not done.is_set():
                number += 1
                cursor.execute(f"update items set price = {number} where n = {number % 14}")
                cursor.execute(f"insert into moves values ({number}, 1)")
                cursor.execute(f"delete from moves where id = {number - 900} or id = {number - 20}")
                cursor.execute(f"update items set n = n + 100 where n = {number % 14} and code = 'b'")
                cursor.execute(f"update items set n = n - 100 where n = {number % 14 + 100}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        stream = source.stream(journal[0].stream_start or "")
        again = again_and_again(source)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            journal += [next(stream) for _ in range(15)]
            journal.append(next(again))
    finally:
        done.set()
        writer.join()
    ((last,),) = shop_of_two.run("select @@gtid_binlog_pos")
    while json.loads(journal[-1].position).get("gtid") != last:
        journal.append(next(stream))
    assert seen(journal) == stored(shop_of_two)
    assert sum(1 for capture in journal if capture.kind == "snapshot") > 20


def again_and_again(source: Any) -> Iterator[Capture]:
    while True:
        yield from source.resnapshot(None, TABLES, {})
