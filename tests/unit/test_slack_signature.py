"""Slack's signature: only these bytes, only now, only with our secret."""

import hashlib
import hmac
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from failsoft.intake.slack_signature import WINDOW, Answered, SignatureError, verify

NOW = 1_700_000_000.0
SECRET, OLD = SecretStr("new secret"), SecretStr("old secret")
BODY = b'{"type": "event_callback", "n": 1.0}'


def signed(body: bytes = BODY, *, at: float = NOW, secret: SecretStr = SECRET) -> dict[str, str]:
    base = f"v0:{int(at)}:".encode() + body
    made = hmac.new(secret.get_secret_value().encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(int(at)), "X-Slack-Signature": f"v0={made}"}


def test_the_example_of_slacks_documentation_is_taken() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    made = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"x-slack-request-timestamp": "1531420618", "x-slack-signature": made}

    shown = verify(headers, body, [SecretStr("8f742231b10e8888abcd99yyyzzz85a5")], 1531420618)

    assert shown == made


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_both_secrets_are_good_while_one_takes_the_place_of_the_other(secret: SecretStr) -> None:
    assert verify(signed(secret=secret), BODY, [SECRET, OLD], NOW)


@pytest.mark.parametrize("at", [NOW - WINDOW, NOW + WINDOW])
def test_clocks_may_differ_by_the_window(at: float) -> None:
    assert verify(signed(at=at), BODY, [SECRET], NOW)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(signed(at=NOW - WINDOW - 1), id="stale"),
        pytest.param(signed(at=NOW + WINDOW + 1), id="future"),
        pytest.param(signed(secret=OLD), id="another secret"),
        pytest.param(signed(b"{}"), id="another body"),
        pytest.param({}, id="none"),
        pytest.param({"X-Slack-Signature": signed()["X-Slack-Signature"]}, id="no time"),
        pytest.param({"X-Slack-Request-Timestamp": str(int(NOW))}, id="no signature"),
        pytest.param(signed() | {"X-Slack-Signature": "v1=" + "0" * 64}, id="another version"),
        pytest.param(signed() | {"X-Slack-Signature": "v0=" + "é" * 64}, id="no ASCII"),
        pytest.param(signed() | {"X-Slack-Request-Timestamp": f"{NOW}"}, id="no whole number"),
        pytest.param(signed() | {"X-Slack-Request-Timestamp": "\u0661\u0667"}, id="other digits"),
        pytest.param(signed() | {"X-Slack-Request-Timestamp": "9" * 5000}, id="no end"),
        pytest.param(signed() | {"X-Slack-Request-Timestamp": f" {int(NOW)}"}, id="a space"),
    ],
)
def test_what_slack_did_not_sign_now_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureError) as error:
        verify(headers, BODY, [SECRET], NOW)
    assert "secret" not in str(error.value).replace("signing secret", "")


def test_without_any_secret_nothing_is_taken() -> None:
    with pytest.raises(SignatureError):
        verify(signed(secret=SecretStr("")), BODY, [], NOW)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_same_content_in_other_bytes_is_refused(value: object) -> None:
    body = json.dumps({"value": value}).encode()
    again = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False)
    sent = again.encode("utf-8", "surrogatepass")
    assume(sent != body)
    assert verify(signed(body), body, [SECRET], NOW)

    with pytest.raises(SignatureError):
        verify(signed(body), sent, [SECRET], NOW)


@given(body=st.binary(), change=st.integers(0, 255), place=st.integers(0))
def test_one_changed_byte_is_refused(body: bytes, change: int, place: int) -> None:
    assume(body)
    spoilt = bytearray(body)
    spoilt[place % len(body)] ^= change
    assume(bytes(spoilt) != body)
    assert verify(signed(body), body, [SECRET], NOW)

    with pytest.raises(SignatureError):
        verify(signed(body), bytes(spoilt), [SECRET], NOW)


def test_a_signature_is_good_again_until_its_request_was_answered() -> None:
    answered = Answered()
    signature = verify(signed(), BODY, [SECRET], NOW)
    answered.check(signature, NOW)
    answered.check(signature, NOW)

    answered.add(signature, NOW)

    with pytest.raises(SignatureError, match="replay"):
        answered.check(signature, NOW + 1)


def test_a_signature_from_a_clock_ahead_is_remembered_for_as_long_as_it_is_good() -> None:
    answered = Answered()
    headers = signed(at=NOW + WINDOW)
    answered.add(verify(headers, BODY, [SECRET], NOW), NOW)
    late = NOW + 2 * WINDOW

    with pytest.raises(SignatureError, match="replay"):
        answered.check(verify(headers, BODY, [SECRET], late), late)


def test_what_is_remembered_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.intake.slack_signature.REMEMBERED", 3)
    answered = Answered()
    for number in range(10):
        answered.add(f"v0={number}", NOW)
    answered.check("v0=6", NOW)
    for kept in ("v0=7", "v0=8", "v0=9"):
        with pytest.raises(SignatureError):
            answered.check(kept, NOW)
    answered.check("v0=9", NOW + 2 * WINDOW + 1)
