"""A request's body: whole, in time, decompressed, and never larger in memory than its route allows."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cramjam
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from fluxion.http.problem import BadRequestError, BusyError, MediaTypeError, TooLargeError, TooSlowError

ENCODINGS = ("gzip", "zstd")
MOST_DEPTH = 32
# A body has this long, and longer as it comes: what drips slower than this holds no connection for ever.
GRACE_S = 20.0
SLOWEST_BYTES_S = 4096

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
# Possessive, and closed by the text's end as well: a quote that is never closed must not be tried again and again.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


class Room:
    """The memory that all bodies in work may take together. Not for threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Room for one request, given back at the block's end."""
        mine = Share(self)
        try:
            yield mine
        finally:
            self.taken -= mine.taken


@dataclass
class Share:
    """What one request has taken of the room."""

    room: Room
    taken: int = 0

    def take(self, size: int) -> None:
        """BusyError where there is no room left for `size` bytes more."""
        if self.room.taken + size > self.room.most:
            raise BusyError("too many large bodies are in work", "send it again a little later")
        self.room.taken += size
        self.taken += size


async def read_body(request: web.BaseRequest, most: int, grace_s: float, share: Share) -> bytes:
    """Return the body after decompression, at most `most` bytes; as it comes it may not be larger either.

    Raises BusyError, TooLargeError, TooSlowError, MediaTypeError (a compression that we lack) or BadRequestError (not compressed as
    it says). gzip is unpacked as it comes, so a bomb is refused when it has filled `most` bytes, not before it was read.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower().removeprefix("x-")
    if encoding not in {*ENCODINGS, "identity"}:
        mend = "send it as it is, or with " + " or ".join(ENCODINGS)
        raise MediaTypeError(
            "the body is compressed in a way that we do not take", mend, {"Accept-Encoding": ", ".join(ENCODINGS)}
        )
    if (request.content_length or 0) > most:
        raise _too_large(most)
    chunks = _chunks(request, most, grace_s, share)
    if encoding == "gzip":
        return await _gunzip(chunks, most, share)
    packed = b"".join([chunk async for chunk in chunks])
    if encoding == "identity":
        return packed
    share.take(most)
    return await asyncio.to_thread(_unzstd, packed, most)


async def _chunks(request: web.BaseRequest, most: int, grace_s: float, share: Share) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    began, received = loop.time(), 0
    while True:
        try:
            async with asyncio.timeout_at(began + grace_s + received / SLOWEST_BYTES_S):
                chunk = await request.content.readany()
        except TimeoutError:
            raise TooSlowError("the body did not come in time", "send it again, in smaller pieces") from None
        except (HttpProcessingError, web.RequestPayloadError):
            raise BadRequestError("the body's chunks are not as HTTP has them", "mend the sender") from None
        if not chunk:
            return
        received += len(chunk)
        if received > most:
            raise _too_large(most)
        share.take(len(chunk))
        yield chunk


async def _gunzip(chunks: AsyncIterator[bytes], most: int, share: Share) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    whole = bytearray()
    async for chunk in chunks:
        try:
            piece = unpacker.decompress(chunk, most - len(whole) + 1)
        except zlib.error:
            raise _not_as_said("gzip") from None
        share.take(len(piece))
        whole += piece
        if len(whole) > most:
            raise _too_large(most)
        if unpacker.unused_data:
            raise _not_as_said("gzip")
    if not unpacker.eof:
        raise _not_as_said("gzip")
    return bytes(whole)


def _unzstd(packed: bytes, most: int) -> bytes:
    room = bytearray(most)
    try:
        # A frame may claim a window of 128 MiB; no more of it is touched than what is written into the room.
        size = cramjam.zstd.decompress_into(packed, room)
    except cramjam.DecompressionError as fault:
        if "whole buffer" in str(fault):
            raise _too_large(most) from None
        raise _not_as_said("zstd") from None
    return bytes(memoryview(room)[:size])


def demand_shallow(text: bytes, most: int = MOST_DEPTH) -> None:
    """BadRequestError where JSON is nested deeper than `most`; in a time that grows with its length alone.

    Not a parser: what is no JSON is left to one, as long as it could not bring the parser to its knees either.
    """
    brackets = _STRING.sub(b"", text).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(most):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")  # takes the innermost level away, everywhere
    if b"[]" in brackets or brackets.count(b"[") > most:
        raise BadRequestError(f"the JSON is nested deeper than {most} levels", "flatten it")


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {most} bytes", "send it in parts")


def _not_as_said(encoding: str) -> BadRequestError:
    return BadRequestError(f"the body is not {encoding}, or is cut short", "mend Content-Encoding, or the sender")
