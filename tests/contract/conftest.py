"""Plain HTTP against the sandbox."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest


@pytest.fixture
def jira_http(sandbox: Any, no_tls: ssl.SSLContext) -> Iterator[httpx2.Client]:
    """A client of Jira's version 3 without any retry."""
    with httpx2.Client(
        base_url=f"{sandbox.url}/jira/rest/api/3", auth=("bot@example.com", "secret"), timeout=5,
        verify=no_tls, trust_env=False,
    ) as client:  # fmt: skip
        yield client
