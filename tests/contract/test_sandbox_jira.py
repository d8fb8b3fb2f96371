"""The simulated Jira, seen by pycontribs' client and on the wire."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.contract.conftest import Sandbox
from jira import JIRA, JIRAError

CREATE = "/issue"


def ticket(**fields: Any) -> dict[str, Any]:
    basic = {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "It is broken"}
    return {"fields": basic | fields}
def test_x(sandbox): assert isinstance(sandbox, Sandbox)
