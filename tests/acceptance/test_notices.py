"""People are told though workers are killed, and a deadline passes though none is there."""

from typing import TYPE_CHECKING, Any

import pytest

from failsoft.agents.load import load_graph

if TYPE_CHECKING:
    from tests.acceptance.conftest import Station

CHAT = "POST /slack/api/chat.postMessage"
AGENT = '''
"""An agent that asks whether to go on."""

from failsoft.graphs.resilient_graph import END, START, ResilientGraph

graph = ResilientGraph("careful")
graph.add_human("desk", via=["slack:CDESK"], deadline=3600.0, escalate=["pagerduty:critical"])
graph.add_path(START, "desk", END)
'''


@pytest.fixture
async def careful(station: "Station", monkeypatch: pytest.MonkeyPatch) -> "Station":
    (station.folder / "careful.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(station.folder))
    station.agents = ["careful:graph"]
    return station


async def ask(station: "Station") -> int:
    """Start a worker and have it asked; return the worker."""
    worker = station.fork_worker()
    await station.admit("may I?", lane=load_graph("careful:graph").lane)
    return worker


async def notices(station: "Station") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await station.world())["slack"]["messages"]
    return found


async def alerts(station: "Station") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await station.world())["hooks"]["alerts"]
    return found


async def nothing_under_way(station: "Station") -> bool:
    return await station.store.outbox.pending() == 0


async def test_a_deadline_that_passes_while_no_worker_is_there_escalates_once(
    careful: "Station",
) -> None:
    worker = await ask(careful)
    assert await careful.executed(CHAT, 1)
    await careful.kill(worker)
    await careful.query("UPDATE reviews SET escalate_at = now() RETURNING 1")
    assert await alerts(careful) == []

    careful.fork_worker()
    careful.fork_worker()

    async def alerted() -> bool:
        return bool(await alerts(careful)) and await nothing_under_way(careful)

    await careful.until(alerted, "the next desk is told")
    (alert,) = await alerts(careful)
    (notice,) = await notices(careful)
    assert (alert["status"], alert["payload"]["severity"]) == ("trigger", "critical")
    assert "the next desk was told too" in str(notice["blocks"])


async def test_a_worker_killed_after_it_told_somebody_tells_nobody_twice(
    careful: "Station",
) -> None:
    await careful.reset({"match": CHAT, "kind": "hold", "seconds": 60, "nth": [1]})
    worker = await ask(careful)
    assert await careful.executed(CHAT, 1)
    await careful.kill(worker)
    (review,) = await careful.store.reviews.list()
    await careful.store.reviews.answer(review.review_id, choice="accept", by="ann")

    careful.fork_worker()

    async def shown() -> bool:
        return "accepted by ann" in str(await notices(careful))

    await careful.until(shown, "the answer is shown")
    (notice,) = await notices(careful)
    assert "actions" not in [block["type"] for block in notice["blocks"]]
    assert (await careful.states())["done"] == 1
    await careful.chains_verify()
