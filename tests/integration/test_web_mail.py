"""Raw mail by HTTP: who may bring it, how much, and what whoever brings it is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.ignored import latest
from failsoft.intake.mail_limits import MAX_BYTES
from failsoft.settings import Settings
from tests.integration.served import TOKEN, Served, serving, with_secrets

KNOWN = {"Authorization": f"Bearer {TOKEN}"}
MAIL = (
    b"From: ann@customer.example\nMessage-ID: <1@customer.example>\nSubject: Help\n\nIt is down.\n"
)


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    del settings  # it has set the environment
    return with_secrets(monkeypatch)


@pytest.fixture
async def doors(own_settings: Settings, database: Database) -> AsyncIterator[Served]:
    async with serving(own_settings, database) as served:
        yield served


async def test_a_mail_is_one_run_however_often_it_is_posted(doors: Served) -> None:
    first = await doors.http.post("/mail", content=MAIL, headers=KNOWN)
    again = await doors.http.post("/agents/slack-jira/mail", content=MAIL, headers=KNOWN)
    assert (first.status_code, first.json()["new"]) == (202, True)
    assert (again.status_code, again.json()) == (
        202, {"run_id": first.json()["run_id"], "new": False},
    )  # fmt: skip
    assert await doors.states() == {"queued": 1}


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"]
)
async def test_a_mail_without_the_token_is_refused(doors: Served, shown: str) -> None:
    headers = {b"Authorization": shown.encode("latin-1")}
    answer = await doors.http.post("/mail", content=MAIL, headers=headers)
    assert answer.status_code == 401
    assert TOKEN not in answer.text
    assert await doors.states() == {}


async def test_a_mail_that_is_announced_as_too_large_is_refused_before_it_is_read(
    doors: Served,
) -> None:
    announced = KNOWN | {"Host": "x", "Content-Length": str(MAX_BYTES + 1)}
    lines = [f"{name}: {value}" for name, value in announced.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(doors.url.rpartition(":")[2]))
    writer.write(("POST /mail HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_a_mail_without_a_length_is_read_no_further_than_the_limit(doors: Served) -> None:
    piece, sent = b"x" * 65536, 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 2 * MAX_BYTES:
            sent += len(piece)
            yield piece

    answer = await doors.http.post("/mail", content=endless(), headers=KNOWN)
    assert answer.status_code == 413
    assert await doors.states() == {}


async def test_a_mail_that_breaks_off_leaves_nothing_behind(
    doors: Served, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(doors.url.rpartition(":")[2]))
    head = f"POST /mail HTTP/1.1\r\nHost: x\r\nAuthorization: {KNOWN['Authorization']}\r\n"
    writer.write(f"{head}Content-Length: {len(MAIL)}\r\n\r\n".encode() + MAIL[:40])
    await writer.drain()
    await asyncio.sleep(0.2)  # so that the server is in the middle of it
    writer.close()
    await writer.wait_closed()
    whole = await doors.http.post("/mail", content=MAIL, headers=KNOWN)
    assert whole.json()["new"] is True
    assert [record for record in caplog.records if record.exc_info] == []


async def test_what_starts_nothing_says_why(doors: Served) -> None:
    raw = b"Auto-Submitted: auto-replied\n" + MAIL
    answer = await doors.http.post("/mail", content=raw, headers=KNOWN)
    assert (answer.status_code, answer.json()["ignored"]) == (200, "an automatic mail")


async def test_a_mail_that_cannot_be_read_is_taken_and_listed(
    doors: Served, database: Database
) -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth)
        for depth in range(2000)
    )
    answer = await doors.http.post("/mail", content=nested, headers=KNOWN)
    assert answer.status_code == 200
    (listed,) = await latest(database, agent="slack-jira")
    assert listed["reason"] == answer.json()["ignored"]


async def test_several_agents_each_have_an_address_and_none_has_the_short_one(
    own_settings: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "second_agent.py").write_text(
        "from failsoft.graphs.resilient_graph import END, START, ResilientGraph\n"
        "graph = ResilientGraph('second')\n"
        "graph.add_human('desk', via=['log:desk'], deadline=3600.0)\n"
        "graph.add_path(START, 'desk', END)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    agents = ["slack-jira", "second_agent:graph"]
    async with serving(own_settings, database, agents) as served:
        short = await served.http.post("/mail", content=MAIL, headers=KNOWN)
        assert short.status_code == 404
        for name in ("slack-jira", "second"):
            answer = await served.http.post(f"/agents/{name}/mail", content=MAIL, headers=KNOWN)
            assert answer.json()["new"] is True
        assert (await served.http.post("/agents/none/mail", headers=KNOWN)).status_code == 404
        assert {row["agent"] for row in await served.store.runs.list()} == {"slack-jira", "second"}
