"""Standard Webhooks' own vectors, and what no sender without a secret gets past."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion.errors import ConfigurationError
from producers.gateway.signature import ClockSkewError, Delivery, SignatureError, key_of, signed, verify

# The vector of Standard Webhooks' libraries (their test "sign function works").
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
WRONG = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
KEY = key_of(SECRET)
OTHER = key_of("whsec_" + base64.b64encode(b"another key of 24 bytes!").decode())

KEYS = st.binary(min_size=24, max_size=64)
IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=40)
TIMES = st.integers(0, 10**11)


def headers(signature: str = SIGNATURE, id_: str = ID, at: str = str(AT)) -> dict[str, str]:
    return {"webhook-id": id_, "webhook-timestamp": at, "webhook-signature": signature}


def test_the_published_vector_is_signed_and_verified() -> None:
    assert signed(KEY, ID, AT, BODY) == SIGNATURE
    assert verify(headers(), BODY, [KEY], AT) == Delivery(ID, AT)
    assert key_of(SECRET.removeprefix("whsec_")) == KEY


def test_one_good_signature_among_several_is_enough() -> None:
    several = f"v1,{WRONG} v2,{WRONG} {SIGNATURE} v1a,{WRONG} v1,{WRONG}"
    assert verify(headers(several), BODY, [KEY], AT).id == ID


def test_while_a_secret_is_changed_the_old_and_the_new_are_good() -> None:
    for key in (KEY, OTHER):
        assert verify(headers(signed(key, ID, AT, BODY)), BODY, [KEY, OTHER], AT).id == ID
    with pytest.raises(SignatureError, match="fits none of the system's secrets"):
        verify(headers(signed(OTHER, ID, AT, BODY)), BODY, [KEY], AT)
    with pytest.raises(SignatureError, match="fits none"):
        verify(headers(), BODY, [], AT)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_not_there_is_named(name: str) -> None:
    for sent in ({**headers(), name: ""}, {key: value for key, value in headers().items() if key != name}):
        with pytest.raises(SignatureError, match=f"there is no {name}; send webhook-id") as fault:
            verify(sent, BODY, [KEY], AT)
        assert fault.value.code == "SIGNATURE"


@pytest.mark.parametrize(
    "signature",
    [f"v1,{WRONG}", "v1,", SIGNATURE[:8], SIGNATURE[:-1], "v1,dawfeoifkpqwoekfpqoekf", f"{SIGNATURE},v1", "v1,ñ", "v1,\ud800"],
)  # fmt: skip
def test_a_signature_that_is_another_or_cut_short_is_refused(signature: str) -> None:
    with pytest.raises(SignatureError, match="fits none"):
        verify(headers(signature), BODY, [KEY], AT)


@pytest.mark.parametrize("signature", [SIGNATURE.replace("v1", "v2"), SIGNATURE.removeprefix("v1,"), "v1"])
def test_a_signature_of_another_kind_is_none(signature: str) -> None:
    with pytest.raises(SignatureError, match="holds no v1 signature"):
        verify(headers(signature), BODY, [KEY], AT)


@pytest.mark.parametrize("skew", [-300, 0, 300])
def test_a_time_within_five_minutes_is_good(skew: int) -> None:
    assert verify(headers(), BODY, [KEY], AT - skew).sent_at == AT


@pytest.mark.parametrize(("skew", "way"), [(-301, "301 s behind our clock, 300 s"), (301, "301 s ahead of our clock")])
def test_a_time_beyond_the_window_is_refused_with_its_skew(skew: int, way: str) -> None:
    with pytest.raises(ClockSkewError, match=way) as fault:
        verify(headers(), BODY, [KEY], AT - skew)
    assert (fault.value.skew_s, fault.value.code) == (skew, "CLOCK_SKEW")
    assert verify(headers(), BODY, [KEY], AT - skew, window_s=301).id == ID


def test_who_has_no_secret_cannot_make_a_clock_look_wrong() -> None:
    with pytest.raises(SignatureError) as fault:
        verify(headers(f"v1,{WRONG}"), BODY, [KEY], AT + 10_000)
    assert not isinstance(fault.value, ClockSkewError)


@pytest.mark.parametrize(
    "at", ["now", "-1", "+1614265330", "1614265330.0", "1_614_265_330", "١٦١٤٢٦٥٣٣٠", " 1614265330", "9" * 13]
)
def test_a_time_that_is_not_whole_seconds_is_refused(at: str) -> None:
    with pytest.raises(SignatureError, match="webhook-timestamp is not a time"):
        verify(headers(signed(KEY, ID, at, BODY), at=at), BODY, [KEY], AT)


@pytest.mark.parametrize("id_", ["a b", "a.1", "ñ", "a\x00", "a" * 257])
def test_an_id_that_could_be_read_in_two_ways_is_refused(id_: str) -> None:
    with pytest.raises(SignatureError, match="webhook-id is not an id"):
        verify(headers(signed(KEY, id_, AT, BODY), id_), BODY, [KEY], AT)


@pytest.mark.parametrize(
    ("secret", "why"),
    [("whsec_!!!", "not base64"), ("whsec_ñ", "not base64"), ("", "0 bytes"), ("whsec_" + "QUJD" * 7, "21 bytes"),
     ("whsec_" + "QUJD" * 22, "66 bytes")],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as fault:
        key_of(secret)
    assert not secret or secret not in str(fault.value)
    assert fault.value.__cause__ is None


@given(KEYS, IDS, TIMES, st.binary(max_size=200))
def test_what_is_signed_is_verified(key: bytes, id_: str, at: int, body: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    assert verify(headers(signed(key, id_, at, body), id_, str(at)), body, [key_of(secret)], at) == Delivery(id_, at)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_body_of_which_any_bit_changed_is_refused(body: bytes, data: st.DataObject) -> None:
    place, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    changed = body[:place] + bytes([body[place] ^ (1 << bit)]) + body[place + 1 :]
    with pytest.raises(SignatureError):
        verify(headers(signed(KEY, ID, AT, body)), changed, [KEY], AT)


@given(IDS, TIMES, IDS, TIMES)
def test_a_signature_is_of_one_id_and_one_time(id_: str, at: int, other: str, later: int) -> None:
    sent = headers(signed(KEY, id_, at, BODY), other, str(later))
    if (id_, at) == (other, later):
        assert verify(sent, BODY, [KEY], later).id == id_
        return
    with pytest.raises(SignatureError):
        verify(sent, BODY, [KEY], later)


@given(st.dictionaries(st.sampled_from(list(headers())), st.text(max_size=60)), st.binary(max_size=40))
def test_whatever_comes_is_refused_as_a_signature_and_in_no_other_way(sent: dict[str, str], body: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(sent, body, [KEY], AT)
