"""How a token looks, how many requests it may make, and who an address is."""

import hashlib
import ipaddress

import pytest

from fluxion.errors import ConfigurationError
from fluxion.http import limits
from fluxion.http.limits import Limit, Policy, client_address, key_of
from fluxion.http.problem import NotFoundError, TooManyRequestsError, UnauthorizedError
from fluxion.http.server import networks
from fluxion.http.tokens import PATTERN, Caller, censored, digest, new_token
from tests.support.clocks import HandClock


def test_a_token_is_random_has_a_prefix_and_only_its_hash_is_kept() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert len(token) == 53
        assert PATTERN.fullmatch(token)
        assert digest(token) == hashlib.sha256(token.encode()).digest()


def test_a_token_with_any_letter_wrong_or_missing_is_refused_without_asking_anybody() -> None:
    token = new_token()
    for place in range(4, len(token)):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(UnauthorizedError):
            digest(token[:place] + other + token[place + 1 :])
    for wrong in ("", token[:-1], token + "A", token.upper(), "flx_", "flx_" + "0" * 49, token + "\n"):
        with pytest.raises(UnauthorizedError):
            digest(wrong)


def test_a_text_is_censored_of_whole_and_cut_off_tokens() -> None:
    token = new_token()
    assert censored(f"a {token} b {token[:20]}") == "a flx_*** b flx_***"


def test_a_caller_reaches_the_systems_of_its_tenant_or_its_own_alone() -> None:
    anywhere = Caller("1", "x", "tenant", frozenset())
    bound = Caller("1", "x", "tenant", frozenset(), "system")
    anywhere.demand_system("tenant", "system")
    anywhere.demand_system("tenant", "other")
    bound.demand_system("tenant", "system")
    for caller, tenant, system in (
        (anywhere, "another", "system"),
        (bound, "tenant", "other"),
        (bound, "another", "system"),
    ):
        with pytest.raises(NotFoundError):
            caller.demand_system(tenant, system)


def test_a_quota_is_had_at_once_and_comes_back_evenly() -> None:
    clock = HandClock()
    limit = Limit(Policy("token", 10, 60), clock)
    assert [limit.take("a").left for _ in range(10)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    refused = limit.take("a")
    assert refused.left == 0
    assert refused.wait_s == pytest.approx(6)
    assert limit.take("b").wait_s == 0
    clock.sleep(5.9)
    assert limit.take("a").wait_s == pytest.approx(0.1)
    clock.sleep(0.1)
    assert limit.take("a").wait_s == 0
    assert limit.take("a").wait_s == pytest.approx(6)
    clock.sleep(3600)
    assert limit.take("a").left == 9


def test_refused_requests_do_not_put_the_next_one_off() -> None:
    clock = HandClock()
    limit = Limit(Policy("token", 1, 10), clock)
    limit.take("a")
    for _ in range(50):
        limit.take("a")
    clock.sleep(10)
    assert limit.take("a").wait_s == 0


def test_the_memory_of_a_limit_is_bounded_and_forgets_who_asked_longest_ago() -> None:
    clock = HandClock()
    limit = Limit(Policy("address", 1, 60), clock, most=100)
    limit.take("first")
    for number in range(1000):
        limit.take(str(number))
        assert limit.take("first").wait_s > 0
    assert len(limit) == 100
    assert limit.take("0").wait_s == 0


def test_the_headers_are_those_of_the_draft() -> None:
    clock = HandClock()
    token, address = Limit(Policy("token", 600, 60), clock), Limit(Policy("address", 1200, 60), clock)
    said = limits.headers([token.take("a"), address.take("b")])
    assert said == {
        "RateLimit-Policy": '"token";q=600;w=60, "address";q=1200;w=60',
        "RateLimit": '"token";r=599;t=1, "address";r=1199;t=1',
    }
    assert limits.headers([]) == {}


def test_too_many_requests_say_how_long_to_wait() -> None:
    limit = Limit(Policy("token", 2, 61), HandClock())
    for _ in range(2):
        limits.demand(limit.take("a"))
    with pytest.raises(TooManyRequestsError, match="more than 2 requests in 61 s") as refused:
        limits.demand(limit.take("a"))
    assert refused.value.headers == {"Retry-After": "31"}


OURS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("200.1.1.1", [], "200.1.1.1"),
        ("200.1.1.1", ["190.2.2.2"], "200.1.1.1"),  # no proxy of ours: it may write what it likes
        ("10.0.0.1", ["190.2.2.2"], "190.2.2.2"),
        ("10.0.0.1", ["1.1.1.1, 190.2.2.2"], "190.2.2.2"),  # the client wrote the first
        ("10.0.0.1", ["1.1.1.1", "190.2.2.2, 10.0.0.9"], "190.2.2.2"),
        ("10.0.0.1", ["flx_secret"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
    ],
)
def test_who_asks_is_the_last_address_that_no_proxy_of_ours_has(peer: str, forwarded: list[str], who: str) -> None:
    assert client_address(peer, forwarded, OURS) == who


def test_ipv6_is_counted_by_subscriber() -> None:
    assert key_of("2001:db8:1:2:3:4:5:6") == key_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert key_of("2001:db8:1:3::1") != key_of("2001:db8:1:2::1")
    assert key_of("::ffff:190.2.2.2") == key_of("190.2.2.2") == "190.2.2.2"


def test_a_list_of_proxies_that_is_none_is_refused() -> None:
    assert networks("10.0.0.0/8, fd00::/8") == OURS
    assert networks("") == ()
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.1/8"):
        networks("10.0.0.1/8")
