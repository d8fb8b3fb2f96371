"""Plain HTTP against the sandbox."""

import ssl
from collections.abc import Iterator

import httpx2
import pytest

from tests.conftest import Sandbox


@pytest.fixture
def jira_http(sandbox: Sandbox, no_tls: ssl.SSLContext) -> Iterator[httpx2.Client]:
    """A client of Jira's version 3 without any retry."""
    with httpx2.Client(
        base_url=f"{sandbox.url}/jira/rest/api/3", auth=("bot@example.com", "secret"), timeout=5,
        verify=no_tls, trust_env=False,
    ) as client:  # fmt: skip
        yield client
