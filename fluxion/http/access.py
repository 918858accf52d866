"""Whom a token stands for, by `pos_integration.api_tokens`; kept for a short while, so a revoked token dies within seconds."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from fluxion.clock import Clock
from fluxion.http.database import Database, Link
from fluxion.http.problem import UnauthorizedError
from fluxion.http.tokens import Caller, digest, same

KEEP_S = 10.0
MOST_KEPT = 10_000

_FIND = """
select id::text, name, tenant_id::text, scopes, pos_system_id::text, store_id::text, token_hash, revoked_at is not null,
  extract(epoch from expires_at - now())::float8
from pos_integration.api_tokens where token_hash = %s
"""
_USED = """
update pos_integration.api_tokens set last_used_at = now()
where id = %s and (last_used_at is null or last_used_at < now() - interval '1 minute')
"""


@dataclass(frozen=True)
class _Found:
    caller: Caller | None
    why: str
    until: float


class Access:
    """Asks PostgreSQL at most once in `keep_s` for a token, known or not."""

    def __init__(self, database: Database, clock: Clock, keep_s: float = KEEP_S, most: int = MOST_KEPT) -> None:
        self._database = database
        self._clock = clock
        self._keep_s = keep_s
        self._most = most
        self._kept: OrderedDict[bytes, _Found] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Found]] = {}

    async def caller(self, token: str) -> Caller:
        """Return whom a token stands for. UnauthorizedError; DependencyDownError where PostgreSQL cannot be asked."""
        hashed = digest(token)
        found = self._kept.get(hashed)
        if found is None or self._clock.monotonic() >= found.until:
            # A till that sends ten requests at once asks once.
            asking = self._asking.get(hashed) or self._ask(hashed)
            found = await asyncio.shield(asking)
        if found.caller is None:
            raise UnauthorizedError(found.why, "ask for a new token", {"WWW-Authenticate": _INVALID})
        return found.caller

    def _ask(self, hashed: bytes) -> asyncio.Task[_Found]:
        asking = self._asking[hashed] = asyncio.create_task(self._look_up(hashed))
        asking.add_done_callback(lambda _: self._asking.pop(hashed, None))
        return asking

    async def _look_up(self, hashed: bytes) -> _Found:
        row = await self._database.run(lambda link: _find(link, hashed))
        found = self._kept[hashed] = self._judged(row, hashed)
        self._kept.move_to_end(hashed)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found

    def _judged(self, row: tuple[Any, ...] | None, hashed: bytes) -> _Found:
        until = self._clock.monotonic() + self._keep_s
        if row is None:
            return _Found(None, "there is no such token", until)
        (id_, name, tenant, scopes, system, store, stored, revoked, left_s) = row
        if not same(bytes(stored), hashed):
            return _Found(None, "there is no such token", until)
        if revoked:
            return _Found(None, "the token was revoked", until)
        if left_s is not None and left_s <= 0:
            return _Found(None, "the token has expired", until)
        caller = Caller(id_, name, tenant, frozenset(scopes), system, store)
        return _Found(caller, "", until if left_s is None else min(until, self._clock.monotonic() + left_s))


_INVALID = 'Bearer realm="fluxion", error="invalid_token"'


def _find(link: Link, hashed: bytes) -> tuple[Any, ...] | None:
    row = link.execute(_FIND, [hashed]).fetchone()
    if row is not None:
        link.execute(_USED, [row[0]])
    return row
