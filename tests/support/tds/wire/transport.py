"""Packets over a socket (MS-TDS 2.2.3.1), in the clear or through TLS."""

import asyncio
import contextlib
import ssl
import struct

PRELOGIN, RESPONSE = 0x12, 0x04
HEADER = struct.Struct(">BBHHBB")
END_OF_MESSAGE, RESET_CONNECTION = 0x01, 0x18
FIRST_PACKET_SIZE = 4096


class Transport:
    """Messages of one client; `reset` says that it asked for a fresh session with its last one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spid: int) -> None:
        self.reader = reader
        self.writer = writer
        self.spid = spid
        self.packet_size = FIRST_PACKET_SIZE
        self.reset = False
        self.tls: tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO] | None = None

    async def read_message(self) -> tuple[int, bytes]:
        """Return a message's type and data; raises IncompleteReadError when the client is gone."""
        data = b""
        while True:
            kind, status, length, _, _, _ = HEADER.unpack(await self._read_exactly(HEADER.size))
            data += await self._read_exactly(length - HEADER.size)
            self.reset = self.reset or bool(status & RESET_CONNECTION)
            if status & END_OF_MESSAGE:
                return kind, data

    async def send(self, data: bytes, kind: int = RESPONSE) -> None:
        """Send a message, cut into packets."""
        room = self.packet_size - HEADER.size
        out = bytearray()
        for number, at in enumerate(range(0, max(len(data), 1), room), 1):
            piece = data[at : at + room]
            last = at + room >= len(data)
            out += HEADER.pack(kind, last, len(piece) + HEADER.size, self.spid, number & 0xFF, 0) + piece
        await self._write(bytes(out))

    async def handshake(self, context: ssl.SSLContext) -> None:
        """Begin TLS; its records travel inside PRELOGIN packets until the handshake is done."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        channel = context.wrap_bio(incoming, outgoing, server_side=True)
        finished = False
        while not finished:
            with contextlib.suppress(ssl.SSLWantReadError):
                channel.do_handshake()
                finished = True
            if data := outgoing.read():
                await self.send(data, PRELOGIN)
            if not finished:
                incoming.write((await self.read_message())[1])
        self.tls = (channel, incoming, outgoing)

    async def _read_exactly(self, count: int) -> bytes:
        if self.tls is None:
            return await self.reader.readexactly(count)
        channel, incoming, _ = self.tls
        out = b""
        while len(out) < count:
            try:
                piece = channel.read(count - len(out))
            except ssl.SSLWantReadError:
                incoming.write(await self._arrived(out, count))
                continue
            if not piece:  # the client said that it closes
                raise asyncio.IncompleteReadError(out, count)
            out += piece
        return out

    async def _arrived(self, so_far: bytes, wanted: int) -> bytes:
        data = await self.reader.read(65_536)
        if not data:
            raise asyncio.IncompleteReadError(so_far, wanted)
        return data

    async def _write(self, data: bytes) -> None:
        if self.tls is not None:
            channel, _, outgoing = self.tls
            channel.write(data)
            data = outgoing.read()
        self.writer.write(data)
        await self.writer.drain()
