"""How many requests a token and an address may make: a token bucket each, bounded in memory, told in `RateLimit` headers.

Headers as draft-ietf-httpapi-ratelimit-headers-10 has them: `RateLimit-Policy` says quota (q) and window (w) of every policy,
`RateLimit` what is left (r) and in how many seconds all of it is back (t).
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fluxion.clock import Clock
from fluxion.http.problem import TooManyRequestsError

MOST_KEYS = 10_000
# What one subscriber has of IPv6: an address more costs nothing.
_SUBSCRIBER = 64


@dataclass(frozen=True)
class Policy:
    """`quota` requests at once, given back evenly over `window_s` seconds."""

    name: str
    quota: int
    window_s: int

    def header(self) -> str:
        """As a member of `RateLimit-Policy`."""
        return f'"{self.name}";q={self.quota};w={self.window_s}'


@dataclass(frozen=True)
class Standing:
    """Where a key stands after a request. wait_s: how long until the next is allowed; 0: this one was."""

    policy: Policy
    left: int
    whole_in_s: float
    wait_s: float

    def header(self) -> str:
        """As a member of `RateLimit`."""
        return f'"{self.policy.name}";r={self.left};t={math.ceil(self.whole_in_s)}'


class Limit:
    """The buckets of one policy. Not for threads: the event loop alone asks.

    Of a key only the moment is kept at which its bucket is full again (GCRA). Over `most` keys the one that asked longest
    ago is forgotten, which gives it a full bucket.
    """

    def __init__(self, policy: Policy, clock: Clock, most: int = MOST_KEYS) -> None:
        self.policy = policy
        self._clock = clock
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str) -> Standing:
        """Take one request out of a key's bucket; one that is refused takes nothing."""
        now, each = self._clock.monotonic(), self.policy.window_s / self.policy.quota
        before = max(self._full_at.get(key, now), now)
        after = before + each
        # A billionth more, or rounding would refuse the last of the quota.
        over = after - now - self.policy.window_s - 1e-9
        if over <= 0:
            self._full_at[key] = before = after
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        left = int((self.policy.window_s - (before - now)) / each + 1e-6)
        return Standing(self.policy, left, before - now, max(over, 0.0))


def headers(standings: Sequence[Standing]) -> dict[str, str]:
    """Return the headers of an answer that counted against these."""
    if not standings:
        return {}
    return {
        "RateLimit-Policy": ", ".join(one.policy.header() for one in standings),
        "RateLimit": ", ".join(one.header() for one in standings),
    }


def demand(standing: Standing) -> None:
    """TooManyRequestsError where the request is one too many."""
    if standing.wait_s > 0:
        policy = standing.policy
        seconds = math.ceil(standing.wait_s)
        raise TooManyRequestsError(
            f"more than {policy.quota} requests in {policy.window_s} s for one {policy.name}",
            f"wait {seconds} s and spread the requests",
            {"Retry-After": str(seconds)},
        )


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(peer: str, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """Return who asks: the peer, or where that is a proxy of ours the last in `X-Forwarded-For` that is none.

    forwarded: the header's values, in their order. What stands left of it the client may have written itself.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and is_within(peer, trusted):
        nearer = hops.pop()
        if not _is_address(nearer):
            break
        peer = nearer
    return peer


def key_of(address: str) -> str:
    """Return what is counted of an address: all of IPv4, the first 64 bits of IPv6."""
    if not _is_address(address):
        return address
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(found) >> _SUBSCRIBER << _SUBSCRIBER, _SUBSCRIBER)))
        found = found.ipv4_mapped
    return str(found)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address is in one of the networks."""
    return _is_address(address) and any(ipaddress.ip_address(address) in network for network in networks)
