"""One client, from PRELOGIN to the closed socket. Statements run in a thread, so that a slow one stops nobody."""

import asyncio
import logging
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.support.tds.errors import SqlError, StatementCancelledError, not_emulated
from tests.support.tds.wire import login, tokens
from tests.support.tds.wire.decode import Reader
from tests.support.tds.wire.rpc import Calls
from tests.support.tds.wire.session import Session
from tests.support.tds.wire.transport import PRELOGIN, Transport

log = logging.getLogger(__name__)

BATCH, RPC, ATTENTION, TRANSACTION, LOGIN = 0x01, 0x03, 0x06, 0x0E, 0x10
BEGIN, COMMIT, ROLLBACK = 5, 7, 8  # requests to the transaction manager (2.2.6.9)
ISOLATION = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}

Message = tuple[int, bytes]


class OpenSession(Protocol):
    """Logs a client in: raises SqlError 18456 or 4060 where it may not enter."""

    def __call__(self, who: login.Login, spid: int) -> Session:
        """Return the session of a client."""
        ...


@dataclass(frozen=True)
class Welcome:
    """What every connection of a server shares."""

    open_session: OpenSession
    version: tuple[int, int, int]
    tls: ssl.SSLContext | None


class Connection:
    """One client's dialogue."""

    def __init__(self, transport: Transport, welcome: Welcome) -> None:
        self.transport = transport
        self.welcome = welcome
        self.session: Session | None = None
        self.work: dict[int, Callable[[bytes], bytes]] = {}
        self.login_only_tls = False
        self.waiting: Message | None = None  # a message that came while a statement ran

    async def run(self) -> None:
        """Serve the client until it leaves, then end its session."""
        spid = self.transport.spid
        try:
            while await self._serve(*(await self._next_message())):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            log.info("spid %d: the client went away", spid)
        except Exception:
            log.exception("spid %d: the connection failed", spid)
        finally:
            if self.session is not None:
                await asyncio.to_thread(self.session.close)
            self.transport.writer.close()

    async def _next_message(self) -> Message:
        message, self.waiting = self.waiting, None
        return message or await self.transport.read_message()

    async def _serve(self, kind: int, data: bytes) -> bool:
        """Answer one message; False ends the connection."""
        if kind == PRELOGIN:
            await self._prelogin(data)
        elif kind == LOGIN:
            return await self._login(data)
        elif self.session is not None and kind in self.work:
            await self._request(self.session, self.work[kind], data)
        elif kind == ATTENTION:
            await self._acknowledge_attention()
        else:
            log.warning("message type %#x is not emulated, or came before the login", kind)
            return False
        return True

    async def _prelogin(self, data: bytes) -> None:
        context = self.welcome.tls
        answer = login.encryption(data, can_encrypt=context is not None)
        self.login_only_tls = answer == login.OFF
        await self.transport.send(login.prelogin_answer(self.welcome.version, answer))
        if context is not None and answer != login.NOT_SUPPORTED:
            await self.transport.handshake(context)

    async def _login(self, data: bytes) -> bool:
        if self.login_only_tls:
            self.transport.tls = None
        asked = login.parse(data)
        try:
            session = await asyncio.to_thread(self.welcome.open_session, asked, self.transport.spid)
        except SqlError as failure:
            await self.transport.send(tokens.failed(failure))
            return False
        self.session = session
        self.work = {BATCH: self._batch(session), RPC: Calls(session).answer, TRANSACTION: self._transaction(session)}
        await self.transport.send(login.login_answer(asked, self.welcome.version, session.database))
        self.transport.packet_size = asked.packet_size
        return True

    async def _request(self, session: Session, work: Callable[[bytes], bytes], data: bytes) -> None:
        """Run one request in a thread, and listen for ATTENTION meanwhile."""
        prefix = b""
        if self.transport.reset:
            self.transport.reset = False
            await asyncio.to_thread(session.reset)
            prefix = tokens.env_change(tokens.ENV_RESET, b"\0", b"\0")
        running = asyncio.ensure_future(asyncio.to_thread(work, data))
        listening = asyncio.ensure_future(self.transport.read_message())
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done() and not running.done():
            await asyncio.to_thread(session.cancel)
        try:
            answer = prefix + await running
        except StatementCancelledError:
            answer = b""
        except BaseException:
            listening.cancel()
            raise
        await self._finish(answer, listening)

    async def _finish(self, answer: bytes, listening: "asyncio.Future[Message]") -> None:
        """Send the answer. What was heard meanwhile is an ATTENTION, the next request, or that the client left."""
        heard = listening.done() and listening.exception() is None
        if heard and listening.result()[0] == ATTENTION:
            await self._acknowledge_attention()
            return
        if answer:
            await self.transport.send(answer)
        self.waiting = await listening

    async def _acknowledge_attention(self) -> None:
        await self.transport.send(tokens.done(tokens.DONE, tokens.ATTENTION))

    def _batch(self, session: Session) -> Callable[[bytes], bytes]:
        def answer(data: bytes) -> bytes:
            start = struct.unpack_from("<I", data)[0]
            before = session.database
            outcomes, error = session.execute(data[start:].decode("utf-16-le"), [])
            stream = tokens.results(outcomes, tokens.DONE, before)
            return tokens.close(stream) if error is None else stream + tokens.failed(error)

        return answer

    def _transaction(self, session: Session) -> Callable[[bytes], bytes]:
        """Build the answer to what a driver sends for "autocommit off" and for its commit and rollback."""
        descriptor = b"\x08" + struct.pack("<Q", 0x100000000 + self.transport.spid)

        def begin(isolation: int) -> bytes:
            session.begin(ISOLATION.get(isolation))
            return tokens.env_change(tokens.ENV_BEGIN, descriptor, b"\0")

        def end(kind: int, reader: Reader) -> bytes:
            reader.b_varchar()
            (session.commit if kind == COMMIT else session.rollback)()
            change = tokens.ENV_COMMIT if kind == COMMIT else tokens.ENV_ROLLBACK
            out = tokens.env_change(change, b"\0", descriptor)
            begins_again = reader.more() and reader.number("B") & 1
            return out + begin(reader.number("B")) if begins_again else out

        def answer(data: bytes) -> bytes:
            reader = Reader(data, struct.unpack_from("<I", data)[0])
            kind = reader.number("H")
            try:
                if kind not in {BEGIN, COMMIT, ROLLBACK}:
                    raise not_emulated(f"transaction manager request {kind}")
                out = begin(reader.number("B")) if kind == BEGIN else end(kind, reader)
            except SqlError as failure:
                return tokens.failed(failure)
            return out + tokens.done(tokens.DONE)

        return answer
