"""Standard Webhooks 1.0 (https://www.standardwebhooks.com): who sent a body, and when.

Signed is `webhook-id.webhook-timestamp.body`, byte for byte as it came, with HMAC-SHA256. `webhook-signature` holds one or more
`v1,<base64>` with blanks between them; one that fits one of the system's secrets is enough, so that a secret can be changed
while both are valid. Nothing here reads a clock.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fluxion.errors import ConfigurationError, ErrorClass, FluxionError, Retry

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
REPLAY_WINDOW_S = 300

_PREFIX, _VERSION = "whsec_", "v1"
_SHORTEST_KEY, _LONGEST_KEY = 24, 64
# A dot would let another reading of the same signed bytes pass; the id is also the key of its receipt.
_ID = re.compile(r"[!-\-/-~]{1,256}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class SignatureError(FluxionError):
    """A body is not signed as Standard Webhooks has it, or with none of the system's secrets."""

    code = "SIGNATURE"
    error_class = ErrorClass.CONNECTION
    retry = Retry.AFTER_MENDING


class ClockSkewError(SignatureError):
    """The signature is good and its time is not: a clock is wrong, or an old request came again.

    skew_s: by how much the sender's time is ahead of ours. Only who holds the secret can cause it, so it may be shown.
    """

    code = "CLOCK_SKEW"

    def __init__(self, message: str, mend: str, skew_s: int) -> None:
        super().__init__(message, mend)
        self.skew_s = skew_s


@dataclass(frozen=True)
class Delivery:
    """A body whose sender is known. id: the sender's, the same when it sends again; sent_at: Unix seconds."""

    id: str
    sent_at: int


def key_of(secret: str) -> bytes:
    """Return the key that a secret (`whsec_` and base64, the prefix may be left out) holds; raises ConfigurationError."""
    mend = f"take {_SHORTEST_KEY} to {_LONGEST_KEY} random bytes, written {_PREFIX} and base64"
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # (ValueError: not ASCII)
        # The cause would hold the secret's text.
        raise ConfigurationError("the webhook secret is not base64", mend) from None
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        message = f"the webhook secret has {len(key)} bytes"
        raise ConfigurationError(message, mend)
    return key


def signed(key: bytes, id_: str, sent_at: int | str, body: bytes) -> str:
    """Return `v1,<base64>`, what a sender puts into webhook-signature."""
    digest = hmac.new(key, f"{id_}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode('ascii')}"


def verify(
    headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now_s: float, window_s: float = REPLAY_WINDOW_S
) -> Delivery:
    """Return what the headers say of the body; raises SignatureError, ClockSkewError where only the time is wrong.

    headers: by name in small letters, or case-insensitive. keys: every valid one of the system, by `key_of`. The time is
    looked at last, so that nobody without a key can make a system look as if its clock were wrong.
    """
    id_, sent_at, signatures = (_header(headers, name) for name in (ID, TIMESTAMP, SIGNATURE))
    if not _ID.fullmatch(id_):
        raise SignatureError(f"{ID} is not an id", "send 1 to 256 letters, digits and signs, no blank and no dot")
    if not _SECONDS.fullmatch(sent_at):
        raise SignatureError(f"{TIMESTAMP} is not a time", "send whole seconds since 1970-01-01 UTC")
    _demand_fitting(signatures, [signed(key, id_, sent_at, body) for key in keys])
    skew = int(sent_at) - now_s
    if abs(skew) > window_s:
        way = "ahead of" if skew > 0 else "behind"
        message = f"{TIMESTAMP} is {abs(skew):.0f} s {way} our clock, {window_s:.0f} s is the most"
        mend = "set the sender's clock by NTP, and sign again each time that a request is sent again"
        raise ClockSkewError(message, mend, round(skew))
    return Delivery(id_, int(sent_at))


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise SignatureError(f"there is no {name}", f"send {ID}, {TIMESTAMP} and {SIGNATURE}")
    return value


def _demand_fitting(given: str, wanted: list[str]) -> None:
    """Raise SignatureError where none of the signatures is one that is wanted; in a time that tells nothing of them."""
    words = [word.encode("utf-8", "replace") for word in given.split(" ") if word.startswith(f"{_VERSION},")]
    if not words:
        raise SignatureError(
            f"{SIGNATURE} holds no {_VERSION} signature", f"write it {_VERSION},<base64 of HMAC-SHA256>"
        )
    fits = [hmac.compare_digest(word, one.encode("ascii")) for word in words for one in wanted]
    if not any(fits):
        mend = f"sign {ID}.{TIMESTAMP}.body, the body byte for byte as it is sent, with a secret of this system"
        raise SignatureError("the signature fits none of the system's secrets", mend)
