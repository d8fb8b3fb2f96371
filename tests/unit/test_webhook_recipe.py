"""The recipe that receivers copy from the documentation accepts what we sign, and nothing else."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from failsoft.connectors.signature import sign

PAGE = Path(__file__).parents[2] / "docs" / "connectors" / "webhook.md"
SECRET = "a-secret-that-both-keep"  # noqa: S105  # no real one
BODY = '{"text": "schön"}'.encode()

Check = Callable[[str, str, bytes], bool]


@pytest.fixture
def recipe() -> Check:
    (code,) = re.findall(r"```python\n(import hashlib.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Check] = {}
    exec(code, found)  # noqa: S102  # our own page
    return found["is_from_failsoft"]


def signed(at: float = 0) -> str:
    return sign(SecretStr(SECRET), BODY, now=time.time() + at)


def test_what_we_sign_is_accepted(recipe: Check) -> None:
    assert recipe(SECRET, signed(), BODY)
    assert recipe(SECRET, signed(at=-200), BODY)


def test_what_was_changed_is_refused(recipe: Check) -> None:
    assert not recipe(SECRET, signed(), BODY + b" ")
    assert not recipe("another-secret-of-ours", signed(), BODY)


@pytest.mark.parametrize("at", [-400, 400], ids=["stale", "from the future"])
def test_an_old_or_a_future_signature_is_refused(recipe: Check, at: float) -> None:
    assert not recipe(SECRET, signed(at), BODY)


@pytest.mark.parametrize(
    "header", ["", "t=", "v1=ab", "t=1,v1=", "t=-1,v1=ab", "t=²,v1=ab", "t,v1", "v1=ä,t=1", "=,="]
)
def test_what_is_no_signature_is_refused_without_an_error(recipe: Check, header: str) -> None:
    assert not recipe(SECRET, header, BODY)
    now = f"t={int(time.time())}"
    assert not recipe(SECRET, header.replace("t=1", now), BODY)
