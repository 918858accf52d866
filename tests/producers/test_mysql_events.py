"""The log's bytes, as a server sent them, cut, damaged and put together anew."""

import socket
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.stack import Stack
from fluxion.errors import DataValidationError, DependencyDownError, PositionLostError
from producers.source import Capture
from producers.sources.mysql.binlog import dump, events
from producers.sources.mysql.binlog.dump import Dump, split
from producers.sources.mysql.binlog.reader import LogReader
from producers.sources.mysql.binlog.statements import Tables
from producers.sources.mysql.charsets import collations_of
from producers.sources.mysql.connection import Links
from producers.sources.mysql.position import LogPosition, parse
from tests.producers.conftest import Shop, made_shop, rows, take


@dataclass
class Recording:
    """Two transactions as sent, with checksums: two rows in one, a third in the other; and what is needed to read them."""

    start: LogPosition
    packets: list[bytes]
    tables: Tables
    collations: dict[int, str]

    def reader(self) -> LogReader:
        return LogReader(self.start, self.tables, self.collations, lambda: 0)

    def read(self, packets: Sequence[bytes]) -> list[Capture]:
        reader = self.reader()
        for event in events.verified(iter(packets)):
            assert event is not None
            reader.take(event)
        return list(reader.ready)

    def index(self, kind: int) -> int:
        """Where the first event of a kind stands."""
        return [packet[events.KIND] for packet in self.packets].index(kind)


@pytest.fixture(scope="module")
def recording(stack: Stack) -> Iterator[Recording]:
    for shop in made_shop(stack.mariadb_host, stack.mariadb_port):
        shop.run("create table items (id int primary key, name varchar(300))")
        start = parse(shop.now("items"))
        shop.run("insert into items values (1, 'uno'), (2, null)", "insert into items values (3, 'tres')")
        links = Links(shop.config("items"))
        dump = Dump(links, start.gtid)
        packets = []
        for packet in dump.packets():
            if packet is not None and packet[events.KIND] == events.HEARTBEAT:
                break
            if packet is not None:
                packets.append(packet)
        with links.open() as link, link.cursor() as cursor:
            collations = collations_of(cursor)
        dump.drop()
        yield Recording(start, packets, Tables(shop.database, frozenset({"items"}), folded=False), collations)


ROWS = [("c", "items", ("1", "uno")), ("c", "items", ("2", None)), ("c", "items", ("3", "tres"))]


def signed(event: bytes) -> bytes:
    return event + zlib.crc32(event).to_bytes(4, "little")


def made(kind: int, body: bytes = b"", *, flags: int = 0, end: int = 0) -> bytes:
    """An event with its checksum."""
    return signed(struct.pack("<IBIIIH", 0, kind, 1, 23 + len(body), end, flags) + body)


def test_what_was_recorded_is_read(recording: Recording) -> None:
    first, second = recording.read(recording.packets)
    assert rows([first, second]) == ROWS
    assert parse(second.position).file == parse(first.position).file != ""
    assert parse(second.position).offset > parse(first.position).offset


def test_a_flipped_bit_is_seen_in_any_event(recording: Recording) -> None:
    for index, packet in enumerate(recording.packets):
        for at in {events.HEADER - 1, len(packet) // 2, len(packet) - 1}:
            damaged = bytearray(packet)
            damaged[at] ^= 0x10
            with pytest.raises(DataValidationError, match="checksum"):
                recording.read([*recording.packets[:index], bytes(damaged)])


def test_a_row_that_is_cut_short_or_too_long_is_said(recording: Recording) -> None:
    at = recording.index(events.WRITE_ROWS)
    whole = recording.packets[at][:-4]
    for changed in (whole[:-1], whole[:-3], whole + b"\0"):
        with pytest.raises(DataValidationError, match="a row of items"):
            recording.read([*recording.packets[:at], signed(changed)])


def test_text_that_is_none_is_said_and_the_table_named(recording: Recording) -> None:
    at = recording.index(events.WRITE_ROWS)
    changed = recording.packets[at][:-4].replace(b"uno", b"u\xffo")
    with pytest.raises(DataValidationError, match="a row of items"):
        recording.read([*recording.packets[:at], signed(changed)])


def test_events_of_an_unknown_kind_are_left_out_only_where_they_say_so(recording: Recording) -> None:
    ignorable = [made(222, b"x", flags=0x80), made(28), made(14), made(161)]
    assert (
        rows(recording.read([*recording.packets[:-1], *ignorable[:1], *ignorable[2:], recording.packets[-1]])) == ROWS
    )
    for kind in (222, 30, 28, 164 + 5):
        with pytest.raises(DataValidationError, match="not known"):
            recording.read([*recording.packets, made(kind)])


def test_an_incident_in_the_log_is_a_lost_position(recording: Recording) -> None:
    with pytest.raises(PositionLostError, match="lost events"):
        recording.read([*recording.packets, made(events.INCIDENT, struct.pack("<H", 1))])


def test_a_transaction_without_an_end_was_never_committed(recording: Recording) -> None:
    commit = recording.index(events.XID)
    captures = recording.read([*recording.packets[:commit], *recording.packets[commit + 1 :]])
    assert rows(captures) == ROWS[2:]


def test_rows_outside_of_a_transaction_or_of_no_table_are_nonsense(recording: Recording) -> None:
    begin, table_map = recording.index(events.GTID), recording.index(events.TABLE_MAP)
    for left_out in (begin, table_map):
        with pytest.raises((ValueError, KeyError)):
            recording.read([*recording.packets[:left_out], *recording.packets[left_out + 1 :]])


def test_offsets_that_ran_over_four_gibibytes_are_not_taken_for_places(recording: Recording) -> None:
    commits = [at for at, packet in enumerate(recording.packets) if packet[events.KIND] == events.XID]
    changed = list(recording.packets)
    changed[commits[1]] = signed(changed[commits[1]][:13] + (77).to_bytes(4, "little") + changed[commits[1]][17:-4])
    first, second = recording.read(changed)
    assert parse(first.position).file == parse(recording.read(recording.packets)[0].position).file
    assert parse(second.position).file == ""
    assert parse(second.position).gtid != parse(first.position).gtid


def test_rows_of_no_table_end_a_statement_and_say_nothing(recording: Recording) -> None:
    commit = recording.index(events.XID)
    ended = made(events.WRITE_ROWS, b"\xff\xff\xff\0\0\0" + struct.pack("<HHB", 1, 2, 0))
    assert rows(recording.read([*recording.packets[:commit], ended, *recording.packets[commit:]])) == ROWS


def test_a_table_map_with_a_type_that_is_not_known_is_nonsense(recording: Recording) -> None:
    at = recording.index(events.TABLE_MAP)
    changed = recording.packets[at][:-4].replace(b"items\0\x02\x03\x0f", b"items\0\x02\xe0\xe0")
    with pytest.raises(ValueError, match="items: metadata of an unknown type among"):
        recording.read([*recording.packets[:at], signed(changed)])


@given(st.integers(0, 0xFFFF))
def test_a_length_reads_back_as_it_was_written(number: int) -> None:
    written = events.packed(number)
    assert events.packed_int(b"x" + written, 1) == (number, 1 + len(written))


def test_a_heartbeat_of_an_earlier_place_moves_nothing_back(recording: Recording) -> None:
    reader = recording.reader()
    for event in events.verified(iter([*recording.packets, made(events.HEARTBEAT, b"mysql-bin.000001", end=4)])):
        reader.take(event or b"")
    assert reader.quiet().position == recording.read(recording.packets)[-1].position


def test_a_heartbeat_moves_the_place_but_not_within_a_transaction(recording: Recording) -> None:
    reader, beat = recording.reader(), made(events.HEARTBEAT, b"mysql-bin.000001", end=1 << 31)
    commit = recording.index(events.XID)
    for event in events.verified(iter([*recording.packets[:commit], beat])):
        reader.take(event or b"")
    assert parse(reader.quiet().position) == recording.start
    for event in events.verified(iter([*recording.packets[commit:], beat])):
        reader.take(event or b"")
    assert parse(reader.quiet().position).offset == 1 << 31


# Packets -------------------------------------------------------------------------------------------------------------


def framed(events_: Sequence[bytes]) -> bytes:
    """Events as packets of the connection; one that is too long for a packet comes in several."""
    sent, number = b"", 1
    for event in events_:
        left = b"\0" + event
        while True:
            part, left = left[:0xFFFFFF], left[0xFFFFFF:]
            sent += len(part).to_bytes(3, "little") + bytes([number]) + part
            number = (number + 1) % 256
            if len(part) < 0xFFFFFF:
                break
    return sent


def received(sent: bytes, cuts: Sequence[int | None]) -> Iterator[bytes | None]:
    """The bytes in pieces of the sizes given (None: nothing came), then the rest."""
    for cut in cuts:
        if cut is None:
            yield None
        elif sent:
            yield sent[:cut]
            sent = sent[cut:]
    if sent:
        yield sent


@given(
    st.lists(st.binary(min_size=20, max_size=90), min_size=1, max_size=300),
    st.lists(st.integers(1, 200) | st.none(), max_size=200),
)
def test_packets_are_the_same_wherever_the_line_cuts_them(sent: list[bytes], cuts: list[int | None]) -> None:
    pieces = received(framed(sent), cuts)
    found = split(lambda: next(pieces))
    whole = [packet for packet in (next(found) for _ in range(len(sent) + cuts.count(None))) if packet is not None]
    assert whole == sent[: len(whole)]
    assert len(whole) >= len(sent) - cuts.count(None)


@pytest.mark.parametrize("size", [0xFFFFFE, 0xFFFFFF, 0xFFFFFF + 7, 2 * 0xFFFFFF - 1])
def test_an_event_in_several_packets_is_one(size: int) -> None:
    sent = [b"a" * 30, b"b" * size, b"c" * 30]
    pieces = received(framed(sent), [100, 1 << 20])
    found = split(lambda: next(pieces))
    assert [next(found) for _ in sent] == sent


def test_a_lost_packet_and_an_ended_dump_are_said() -> None:
    sent = framed([b"a" * 30, b"b" * 30, b"c" * 30])
    pieces = received(sent[:35] + sent[70:], [])
    found = split(lambda: next(pieces))
    next(found)
    with pytest.raises(DependencyDownError, match="lost a packet"):
        next(found)
    with pytest.raises(DependencyDownError, match="ended"):
        next(split(lambda: b"\5\0\0\1\xfe\0\0\0\0"))


def test_a_silent_line_is_waited_on_for_its_time_and_a_broken_one_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "PATIENCE_S", 0.05)
    monkeypatch.setattr(dump, "SILENCE_S", 0.1)
    server, ours = socket.socketpair()
    with server, ours:
        ours.settimeout(dump.PATIENCE_S)
        packets = events.verified(split(dump._receiver(ours)))
        assert next(packets) is None
        server.sendall(framed([made(events.HEARTBEAT)]))
        assert next(packets) == made(events.HEARTBEAT)[:-4]
        assert next(packets) is None, "what came ended the silence"
        with pytest.raises(DependencyDownError, match="sends nothing"):
            next(packets)
        server.close()
        with pytest.raises(DependencyDownError, match="was lost"):
            next(split(dump._receiver(ours)))


def test_what_it_goes_on_with_is_what_the_server_itself_says(shop: Shop) -> None:
    shop.run("create table items (id int primary key)")
    start = shop.now("items")
    shop.run("insert into items values (1)")
    place = parse(take(shop.source("items").stream(start), 1)[0].position)
    ((gtid,),) = shop.run(f"select binlog_gtid_pos('{place.file}', {place.offset})")
    assert set(gtid.split(",")) == set(place.gtid.split(","))
