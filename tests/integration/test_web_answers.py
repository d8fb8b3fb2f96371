"""People's answers by HTTP: signed, one for each review, and about the review they name."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.reviews import ReviewState
from failsoft.connectors.signature import HEADER, sign
from failsoft.settings import Settings
from tests.conftest import Sandbox
from tests.integration.bench import Bench, BenchOf
from tests.integration.served import ANSWERS, Served, serving, with_secrets


@dataclass
class Asked:
    """A review that waits, and the doors."""

    bench: Bench
    doors: Served
    review_id: str

    async def post(self, *, secret: str = ANSWERS, age: float = 0.0, **given: Any) -> Any:
        body = json.dumps({"review_id": self.review_id, "by": "ann", **given}).encode()
        return await self.post_raw(body, sign(SecretStr(secret), body, now=time.time() - age))

    async def post_raw(self, body: bytes, signature: str) -> Any:
        path, headers = f"/reviews/{self.review_id}", {HEADER.encode(): signature.encode("latin-1")}
        return await self.doors.http.post(path, content=body, headers=headers)

    async def answers(self) -> int:
        review = await self.doors.store.reviews.get(self.review_id)
        events = await self.doors.store.audit.events(review.run_id)
        return [event.kind for event in events].count("human.answered")


@pytest.fixture
async def asked(
    bench_of: BenchOf,
    settings: Settings,
    database: Database,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Asked]:
    """An event that neither model nor rules can sort."""
    del settings  # it has set the environment
    sandbox.faults({"match": "POST /v1/chat/completions", "kind": "status", "status": 400})
    async with (
        serving(with_secrets(monkeypatch), database) as doors,
        bench_of(load_graph("slack-jira")) as bench,
    ):
        run_id = await bench.admit("Xyzzy plugh.")
        await bench.drive_on(run_id)
        yield Asked(bench, doors, (await bench.review(run_id)).review_id)


async def test_a_signed_answer_counts_and_the_second_is_told_whose_did(asked: Asked) -> None:
    first = await asked.post(choice="respond", value="question")
    assert (first.status_code, first.json()["state"]) == (200, "answered")
    assert first.json()["answer"] == {"choice": "respond", "value": "question"}
    assert first.json()["answered_by"] == "http:ann"
    second = await asked.post(choice="respond", value="bug", by="bob")
    assert second.status_code == 409
    assert "http:ann" in second.json()["error"]
    assert await asked.answers() == 1


async def test_of_many_answers_at_once_one_counts(asked: Asked) -> None:
    posts = [asked.post(choice="ignore", by=f"person {number}") for number in range(6)]
    statuses = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    assert await asked.answers() == 1


@pytest.mark.parametrize("spoilt", [{"secret": "another"}, {"age": 400.0}, {"age": -400.0}])
async def test_an_answer_that_is_not_signed_so_and_now_is_refused(
    asked: Asked, spoilt: dict[str, Any]
) -> None:
    assert (await asked.post(choice="ignore", **spoilt)).status_code == 401
    assert await asked.answers() == 0


@pytest.mark.parametrize("signature", ["", "t=1", "v1=ab", "t=²,v1=ab", "t=1,v1=" + "0" * 64])
async def test_what_is_no_signature_is_refused(asked: Asked, signature: str) -> None:
    body = json.dumps({"review_id": asked.review_id, "by": "ann", "choice": "ignore"}).encode()
    answer = await asked.post_raw(body, signature)
    assert answer.status_code == 401
    assert await asked.answers() == 0


async def test_the_bytes_are_signed_and_not_what_they_mean(asked: Asked) -> None:
    given = {"review_id": asked.review_id, "by": "ann", "choice": "ignore"}
    signature = sign(SecretStr(ANSWERS), json.dumps(given).encode(), now=time.time())
    answer = await asked.post_raw(json.dumps(given, indent=1).encode(), signature)
    assert answer.status_code == 401
    assert await asked.answers() == 0


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"choice": "respond", "value": "no-such-label"}, 422),
        ({"choice": "undo"}, 422),
        ({"choice": "ignore", "more": 1}, 400),
        ({"choice": "ignore", "by": ""}, 400),
        ({"choice": "ignore", "by": "x" * 201}, 400),
        ({"choice": ["ignore"]}, 400),
        ({}, 400),
        ({"choice": "ignore", "review_id": "aaaaaaaaaaaa"}, 400),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused(
    asked: Asked, given: dict[str, Any], status: int
) -> None:
    answer = await asked.post(**given)
    assert answer.status_code == status
    assert answer.json()["error"]
    review = await asked.doors.store.reviews.get(asked.review_id)
    assert review.state is ReviewState.OPEN


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 5000, b"\xff", b'{"by": NaN}'])
async def test_a_body_that_is_no_answer_is_refused(asked: Asked, body: bytes) -> None:
    answer = await asked.post_raw(body, sign(SecretStr(ANSWERS), body, now=time.time()))
    assert answer.status_code == 400


async def test_a_body_that_is_too_large_is_refused(asked: Asked) -> None:
    assert (await asked.post(choice="ignore", value="x" * 300_000)).status_code == 413


async def test_a_review_that_is_not_there_cannot_be_answered(asked: Asked) -> None:
    asked.review_id = "aaaaaaaaaaaa"
    assert (await asked.post(choice="ignore")).status_code == 404


async def test_a_name_cannot_forge_a_line_of_the_audit(asked: Asked) -> None:
    answer = await asked.post(choice="ignore", by="ann\x00\n2026 human.answered bob")
    assert answer.status_code == 200
    review = await asked.doors.store.reviews.get(asked.review_id)
    assert review.answered_by is not None
    assert "\x00" not in review.answered_by
