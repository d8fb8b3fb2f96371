"""Signed bodies: HMAC-SHA256 over time and raw bytes, for what we send and what we are sent.

The header is `X-Failsoft-Signature: t=<seconds since 1970>,v1=<hex>`; signed is `<t>.<body>`.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

from pydantic import SecretStr

HEADER = "X-Failsoft-Signature"
WINDOW = 300.0  # seconds that a signature is good for, before and after: clocks differ

_FORM = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(secret: SecretStr, body: bytes, *, now: float) -> str:
    """Return the header's value; `now` is in seconds since 1970."""
    at = str(int(now))
    return f"t={at},v1={_mac(secret, at, body)}"


def verify(header: str, body: bytes, secrets: Iterable[SecretStr], *, now: float) -> bool:
    """Say whether one of `secrets` signed exactly these bytes within the window."""
    found = _FORM.fullmatch(header.strip())
    if found is None or abs(now - int(found[1])) > WINDOW:
        return False
    return any(hmac.compare_digest(_mac(one, found[1], body), found[2]) for one in secrets)


def _mac(secret: SecretStr, at: str, body: bytes) -> str:
    signed = f"{at}.".encode() + body
    return hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
