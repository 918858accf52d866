"""API tokens: how one looks, what is kept of it (its SHA-256), and whom it stands for.

`flx_` + 43 characters of 32 random bytes (base62) + 6 of the CRC-32 of all before (base62). The prefix lets a scanner of
repositories find a token that leaked; the checksum lets us refuse a mistyped or invented one without asking PostgreSQL.
A random secret of 256 bits needs no slow hash: argon2 is for what people think up.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum

from fluxion.http.problem import NotFoundError, UnauthorizedError

PREFIX = "flx_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET, _CHECK = 43, 6
# For whoever must find a token in a text: a scanner, a log's censor. Cut-off ones too.
PATTERN = re.compile(r"flx_[0-9A-Za-z]{8,}")
_WHOLE = re.compile(rf"flx_[0-9A-Za-z]{{{_SECRET + _CHECK}}}")


class Scope(StrEnum):
    """What a token allows. A token has one or several; none contains another."""

    WEBHOOK = "webhook"  # a sender of webhooks hands in events
    AGENT = "agent"  # a store's agent ships change sets, fetches commands, reports
    READ = "read"  # a partner reads what Fluxion has


SCOPES = {
    Scope.WEBHOOK: "hand in webhooks",
    Scope.AGENT: "ship a store's change sets, fetch its commands, report how it is",
    Scope.READ: "read products, stock and sales",
}


@dataclass(frozen=True)
class Caller:
    """Whom a token stands for: a tenant, and where it is bound to one, a system or a store (then its system as well)."""

    token_id: str
    name: str
    tenant_id: str
    scopes: frozenset[str]
    system_id: str | None = None
    store_id: str | None = None

    def demand_system(self, tenant_id: str, system_id: str) -> None:
        """NotFoundError where the system is another's: whether it exists is nobody else's business."""
        if tenant_id != self.tenant_id or self.system_id not in {None, system_id}:
            raise NotFoundError("this token reaches no such system", "use the token of that system")


def new_token() -> str:
    """Make a token. It is shown once; only `digest` of it is stored."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(32)), _SECRET)
    return body + _checksum(body)


def digest(token: str) -> bytes:
    """Return what is stored of a token. UnauthorizedError where it cannot be one of ours."""
    if not _WHOLE.fullmatch(token) or not same(_checksum(token[:-_CHECK]).encode(), token[-_CHECK:].encode()):
        raise UnauthorizedError("the token is not a Fluxion token, or a letter of it is missing", "copy it whole")
    return hashlib.sha256(token.encode()).digest()


def same(mine: bytes, theirs: bytes) -> bool:
    """Compare secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(mine, theirs)


def censored(text: str) -> str:
    """Return a text with its tokens made unreadable."""
    return PATTERN.sub(PREFIX + "***", text)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits = _DIGITS[rest] + digits
    return digits
