"""Bodies: larger than they may be, bombs, cut short, dripping, too deep; nothing of them fills the memory."""

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import cramjam
import pytest

from fluxion.http.body import MOST_DEPTH, _unzstd, demand_shallow
from fluxion.http.problem import BadRequestError, TooLargeError
from fluxion.http.server import Serving
from tests.support.served import Served, everything, served
from tests.support.till_routes import MOST, table

TICKET = b'{"number": "1", "lines": [{"code": "A", "quantity": 2}]}'
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with served(table(), serving=Serving(headers_s=0.5, body_s=0.5, idle_s=2)) as running:
        yield running


def zstd(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data))


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("zstd", zstd), ("identity", bytes)],
)
def test_a_body_comes_as_it_is_or_compressed(api: Served, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    said = api.ask("POST", "/tickets", pack(TICKET), {"Content-Encoding": encoding})
    assert (said.status, said.json) == (200, {"number": "1", "lines": 1, "asked_by": None})
    whole = b"x" * MOST
    assert api.ask("PUT", "/raw", pack(whole), {"Content-Encoding": encoding, **BYTES}).json["lines"] == MOST
    over = api.ask("PUT", "/raw", pack(whole + b"x"), {"Content-Encoding": encoding, **BYTES})
    assert (over.status, over.json["code"]) == (413, "TOO_LARGE")


def test_another_compression_is_refused_and_told_which_there_are(api: Served) -> None:
    for encoding in ("br", "deflate", "gzip, gzip"):
        said = api.ask("POST", "/tickets", TICKET, {"Content-Encoding": encoding})
        assert (said.status, said.headers["Accept-Encoding"]) == (415, "gzip, zstd")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_not_compressed_as_it_says_is_refused(api: Served, encoding: str) -> None:
    good = gzip.compress(TICKET) if encoding == "gzip" else zstd(TICKET)
    for bad in (TICKET, good[:-3], good + b"more", b"", zlib.compress(TICKET)):
        said = api.ask("POST", "/tickets", bad, {"Content-Encoding": encoding})
        assert (said.status, said.json["code"]) == (400, "BAD_REQUEST"), bad


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_fills_the_memory(api: Served, encoding: str) -> None:
    bomb = gzip.compress(bytes(3_000_000)) if encoding == "gzip" else zstd(bytes(30_000_000))
    assert len(bomb) < MOST
    tracemalloc.start()
    try:
        said = api.ask("PUT", "/raw", bomb, {"Content-Encoding": encoding, **BYTES})
        assert (said.status, said.json["code"]) == (413, "TOO_LARGE")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_zstd_body_takes_no_more_room_than_it_may() -> None:
    packed = zstd(b"a" * 1000)
    assert _unzstd(packed, 1000) == b"a" * 1000
    with pytest.raises(TooLargeError):
        _unzstd(packed, 999)
    with pytest.raises(BadRequestError):
        _unzstd(packed[:-1], 1000)


@pytest.mark.parametrize(("encoding", "pack"), [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstd)])
def test_all_bodies_in_work_share_a_room_and_give_it_back(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    head = b"PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 4000\r\n\r\n"
    whole, said = pack(b"y" * MOST), {"Content-Encoding": encoding, **BYTES}
    with served(table(), serving=Serving(bodies=MOST + 3000)) as api:
        for _ in range(5):
            assert api.ask("PUT", "/raw", whole, said).status == 200
        with api.line() as line:
            line.sendall(head + b"x" * 3900)
            time.sleep(0.2)
            busy = api.ask("PUT", "/raw", whole, said)
            assert (busy.status, busy.json["code"], busy.headers["Retry-After"]) == (503, "BUSY", "5")
        time.sleep(0.2)
        assert api.ask("PUT", "/raw", whole, said).status == 200


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(api: Served) -> None:
    with api.line() as line:
        line.sendall(
            b"PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 99999\r\n\r\n"
        )
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_counted_as_it_comes(api: Served) -> None:
    with api.line() as line:
        line.sendall(
            b"PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(5):
            line.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_chunks_that_are_none_are_refused(api: Served) -> None:
    with api.line() as line:
        line.sendall(
            b"PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        time.sleep(0.1)
        line.sendall(b"hello\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_drips_is_refused_in_time(api: Served) -> None:
    with api.line() as line:
        line.sendall(
            b"PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\n"
        )
        began = time.monotonic()
        for _ in range(6):
            line.sendall(b"x")
            time.sleep(0.1)
        assert line.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 2


def test_a_body_may_take_long_as_long_as_it_comes(api: Served) -> None:
    with api.line() as line:
        line.sendall(
            b"PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 4000\r\n\r\n"
        )
        for _ in range(4):
            line.sendall(b"x" * 1000)
            time.sleep(0.25)
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_headers_that_drip_end_the_connection(api: Served) -> None:
    with api.line() as line:
        began = time.monotonic()
        line.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n")
        line.settimeout(0.1)
        closed = False
        while not closed and time.monotonic() - began < 5:
            try:
                closed = line.recv(100) == b""
            except TimeoutError:
                line.sendall(b"X: y\r\n")
            except ConnectionError:
                closed = True
        assert closed
        assert time.monotonic() - began < 2


def test_headers_that_drip_on_a_connection_that_was_good_end_it_too(api: Served) -> None:
    with api.line() as line:
        line.sendall(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 204 ")
        began = time.monotonic()
        line.sendall(b"GET /empty HT")
        assert everything(line) == b""
        assert time.monotonic() - began < 1.5  # sooner than an idle one


def test_a_connection_that_says_nothing_is_closed(api: Served) -> None:
    with api.line() as line:
        began = time.monotonic()
        assert everything(line) == b""
        assert time.monotonic() - began < 6


def test_a_slow_handler_is_not_taken_for_a_slow_client(api: Served) -> None:
    assert api.ask("POST", "/fail", b"{}", {"X-Fail": "slow"}).status == 200


def deep(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


def test_json_is_as_deep_as_it_may_be_and_no_deeper() -> None:
    demand_shallow(deep(MOST_DEPTH))
    demand_shallow(deep(MOST_DEPTH // 2, '{"a":[', "]}"))
    demand_shallow(json.dumps({"a": "[" * 1000, "b": '\\"[[' * 100}).encode())
    demand_shallow(b"[" + b"[]," * 10_000 + b"[]]")
    for text in (
        deep(MOST_DEPTH + 1),
        deep(MOST_DEPTH // 2 + 1, '{"a":[', "]}"),
        b"[1," * 40 + b"[]" + b"]" * 40,
        b"[" * 100_000,
        b'{"a":' * 1000,
        b'["\\\\", ' + deep(MOST_DEPTH) + b"]",
    ):
        with pytest.raises(BadRequestError, match="deeper than 32"):
            demand_shallow(text)


def test_how_deep_json_is_takes_no_longer_for_a_text_that_was_made_to_take_long() -> None:
    size = 1_000_000
    for text in (b'"' + b'\\"' * (size // 2), b'"' * size, deep(size // 2), b"[{" * (size // 2), b"[]" * (size // 2)):
        began = time.monotonic()
        with suppress(BadRequestError):
            demand_shallow(text)
        assert time.monotonic() - began < 2


def test_a_body_that_is_too_deep_is_refused_also_where_the_handler_takes_bytes(api: Served) -> None:
    for path in ("/tickets", "/raw"):
        said = api.ask("POST" if path == "/tickets" else "PUT", path, deep(40))
        assert (said.status, said.json["code"]) == (400, "BAD_REQUEST")
        assert "deeper" in said.json["detail"]
