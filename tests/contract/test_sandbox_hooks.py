"""The simulated receivers of webhooks and PagerDuty's Events API, seen by plain HTTP."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.conftest import Sandbox

PAYLOAD = {"summary": "The queue is stuck", "source": "failsoft", "severity": "critical"}
TRIGGER = {
    "routing_key": "k" * 32, "event_action": "trigger", "dedup_key": "one", "payload": PAYLOAD,
}  # fmt: skip


@pytest.fixture
def hooks(sandbox: Sandbox, no_tls: ssl.SSLContext) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=f"{sandbox.url}/hooks", verify=no_tls, trust_env=False, timeout=5
    ) as client:
        yield client


def alerts(sandbox: Sandbox) -> list[dict[str, Any]]:
    raised: list[dict[str, Any]] = sandbox.state()["hooks"]["alerts"]
    return raised


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = sandbox.state()["hooks"]["posts"]
    return taken


def test_an_event_is_accepted_in_pagerdutys_words(hooks: httpx2.Client, sandbox: Sandbox) -> None:
    answer = hooks.post("/v2/enqueue", json=TRIGGER)
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "success", "message": "Event processed", "dedup_key": "one",
    }  # fmt: skip
    (raised,) = alerts(sandbox)
    assert (raised["dedup_key"], raised["payload"]) == ("one", PAYLOAD)


def test_a_second_event_under_one_key_makes_no_second_alert(
    hooks: httpx2.Client, sandbox: Sandbox
) -> None:
    for _ in range(2):
        hooks.post("/v2/enqueue", json=TRIGGER)
    hooks.post("/v2/enqueue", json={**TRIGGER, "event_action": "resolve", "payload": None})
    (raised,) = alerts(sandbox)
    assert (raised["events"], raised["status"]) == (3, "resolve")


def test_an_event_without_a_key_gets_one(hooks: httpx2.Client, sandbox: Sandbox) -> None:
    keys = {
        hooks.post("/v2/enqueue", json={**TRIGGER, "dedup_key": None}).json()["dedup_key"]
        for _ in range(2)
    }
    assert keys == {raised["dedup_key"] for raised in alerts(sandbox)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"routing_key": ""}, "routing_key", id="no routing key"),
        pytest.param({"routing_key": "bad-token"}, "routing_key", id="a bad routing key"),
        pytest.param({"event_action": "shout"}, "event_action", id="an unknown action"),
        pytest.param({"payload": None}, "payload", id="no payload"),
        pytest.param({"payload": {**PAYLOAD, "summary": ""}}, "payload.summary", id="no summary"),
        pytest.param({"payload": {**PAYLOAD, "severity": "bad"}}, "severity", id="a severity"),
    ],
)
def test_a_wrong_event_is_refused_with_its_field(
    hooks: httpx2.Client, sandbox: Sandbox, change: dict[str, Any], problem: str
) -> None:
    answer = hooks.post("/v2/enqueue", json={**TRIGGER, **change})
    assert answer.status_code == 400
    assert answer.json()["status"] == "invalid event"
    assert problem in answer.json()["errors"][0]
    assert alerts(sandbox) == []


def test_what_is_no_json_is_no_event(hooks: httpx2.Client) -> None:
    assert hooks.post("/v2/enqueue", content=b"{").status_code == 400


def test_a_post_is_kept_with_its_bytes_and_headers(hooks: httpx2.Client, sandbox: Sandbox) -> None:
    headers = {"Idempotency-Key": "k1", "X-Failsoft-Signature": "t=1,v1=ab"}
    answer = hooks.post("/webhook/desk", content='{"a": "ö"}', headers=headers)
    assert answer.json() == {"id": "hook-1"}
    (taken,) = posts(sandbox)
    assert (taken["name"], taken["key"], taken["body"]) == ("desk", "k1", '{"a": "ö"}')
    assert taken["headers"]["x-failsoft-signature"] == "t=1,v1=ab"


def test_a_key_that_is_known_gets_the_first_answer_and_no_second_post(
    hooks: httpx2.Client, sandbox: Sandbox
) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = hooks.post("/webhook/desk", json={"a": 1}, headers=headers).json()
    assert hooks.post("/webhook/desk", json={"a": 2}, headers=headers).json() == first
    assert hooks.post("/webhook/other", json={"a": 3}, headers=headers).json() != first
    assert [(one["body"], one["deliveries"]) for one in posts(sandbox)] == [
        ('{"a":1}', 2), ('{"a":3}', 1),
    ]  # fmt: skip


def test_posts_without_a_key_are_each_taken(hooks: httpx2.Client, sandbox: Sandbox) -> None:
    for _ in range(2):
        hooks.post("/webhook/desk", json={})
    assert len(posts(sandbox)) == 2


@pytest.mark.parametrize(
    ("kind", "taken"), [("drop_before", 0), ("drop_after", 1), ("truncate", 1)]
)
def test_faults_hit_receivers_as_they_hit_the_others(
    hooks: httpx2.Client, sandbox: Sandbox, kind: str, taken: int
) -> None:
    sandbox.faults({"match": "POST /hooks/webhook/desk", "kind": kind})
    with pytest.raises(httpx2.RemoteProtocolError):
        hooks.post("/webhook/desk", json={})
    assert len(posts(sandbox)) == taken


def test_a_status_fault_speaks_a_receivers_words(hooks: httpx2.Client, sandbox: Sandbox) -> None:
    fault = {"kind": "status", "status": 429, "headers": {"Retry-After": "2"}}
    sandbox.faults({"match": "POST /hooks/v2/enqueue", **fault})
    answer = hooks.post("/v2/enqueue", json=TRIGGER)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json()["message"] == "status 429"
    assert alerts(sandbox) == []
