"""What an operator does with the installed command, on runs that are in the database."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen
from uuid import UUID, uuid4

import psycopg
import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import EffectState
from failsoft.checkpoints.embedded import EmbeddedPostgres
from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.migrate import migrate
from failsoft.checkpoints.parks import Park
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.cli.private_sandbox import MARK
from failsoft.events import Event, Ignored
from failsoft.parsing import JSON

BIN = Path(sys.executable).parent
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """An operator's shell, and the database behind it."""

    home: Path
    dsn: str

    def popen(
        self, *arguments: str, cwd: Path | None = None, more: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        ours = {"PATH": os.environ["PATH"], "FAILSOFT_HOME": str(self.home), "LANG": "C.UTF-8"}
        return subprocess.Popen(
            [BIN / "failsoft", *arguments],
            env={**ours, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.home,
        )

    def type(
        self,
        *arguments: str,
        code: int = 0,
        cwd: Path | None = None,
        out: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command; return what it printed, or said on stderr when it was refused."""
        with self.popen(*arguments, cwd=cwd, more=more) as process:
            printed, said = process.communicate(timeout=60)
        assert process.returncode == code, said
        assert "Traceback" not in said
        return said if code and not out else printed

    def read(self, *arguments: str) -> Any:
        return json.loads(self.type(*arguments, "--json"))

    def ask(self, work: Callable[[Store], Awaitable[Result]]) -> Result:
        """Do something in the database itself."""

        async def session() -> Result:
            async with Database(self.dsn) as database:
                return await work(Store.of(database))

        return asyncio.run(session())


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """One server for the whole module; its account may enter the home."""
    with tempfile.TemporaryDirectory(prefix="failsoft-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        (home / MARK).touch()  # all runs here only ever knew a sandbox
        server = EmbeddedPostgres(home / "pg", fsync=False)
        dsn = server.start()
        asyncio.run(migrate(dsn))
        try:
            yield Desk(home=home, dsn=dsn)
        finally:
            server.close()


@pytest.fixture
def agent() -> str:
    return f"agent-{uuid4().hex[:8]}"


async def driven(store: Store, agent: str, *, text: str = "The shop is down") -> Lease:
    """Admit an event of `agent` and claim its run."""
    lane = f"{agent}@1"
    await store.runs.admit(agent, lane, Event(key=f"key-{agent}", source="cli", text=text))
    worker = await store.workers.register("test", 60)
    (claim,) = await store.runs.claim(worker, [lane], 1)
    await store.runs.begin(claim.lease, UUID(int=7))
    return claim.lease


async def asked(store: Store, agent: str, *, labels: list[JSON] | None = None) -> str:
    """Park a run of `agent` on a question; return the review."""
    lease = await driven(store, agent, text="first line\n\x1b[31msecond line")
    review = f"review-{agent}"
    await store.reviews.open(
        lease, review_id=review, node="classify", channels=[], step_seconds=60, escalations=[],
        question={"text": "first line\n\x1b[31msecond line", "labels": labels},
        allowed=["respond", "retry", "ignore"],
    )  # fmt: skip
    await store.runs.park(lease, [Park(interrupt_id="i", kind="person", review_id=review)])
    return review


async def died(store: Store, agent: str) -> UUID:
    lease = await driven(store, agent)
    await store.runs.settle(lease, RunState.DEAD, reason="it broke")
    return lease.run_id


async def wrote(store: Store, agent: str) -> str:
    """Leave a refused write, and the question that it raises; return its transaction id."""
    lease = await driven(store, agent)
    effect = await store.effects.claim(
        lease, node="create_ticket", operation="jira.create_issue", request={"summary": "old"},
        mark={}, within=5, settle=0,
    )  # fmt: skip
    await store.effects.settle(lease, effect, EffectState.FAILED, reason="no such project")
    await store.reviews.open(
        lease, review_id=f"review-{agent}", node="create_ticket", channels=[], step_seconds=60,
        escalations=[], question={"text": "x", "request": {"summary": "old"}},
        allowed=["edit", "retry", "ignore"], transaction_id=effect.transaction_id,
    )  # fmt: skip
    await store.runs.park(
        lease, [Park(interrupt_id="i", kind="person", review_id=f"review-{agent}")]
    )
    return effect.transaction_id


def test_list_shows_only_the_runs_that_were_asked_for(desk: Desk, agent: str) -> None:
    run_id = desk.ask(lambda store: died(store, agent))
    (row,) = desk.read("runs", "list", "--agent", agent, "--state", "dead")
    assert (row["run_id"], row["reason"]) == (str(run_id), "it broke")
    assert desk.read("runs", "list", "--agent", agent, "--state", "done") == []


def test_a_run_is_found_by_the_beginning_of_its_id_and_by_its_event_key(
    desk: Desk, agent: str
) -> None:
    run_id = str(desk.ask(lambda store: died(store, agent)))
    by_prefix = desk.read("runs", "show", run_id[:8])
    by_key = desk.read("runs", "show", f"key-{agent}")
    assert by_prefix["run"]["run_id"] == by_key["run"]["run_id"] == run_id


def test_show_has_the_writes_the_reviews_the_traces_and_a_chain_that_verifies(
    desk: Desk, agent: str
) -> None:
    transaction_id = desk.ask(lambda store: wrote(store, agent))
    shown = desk.read("runs", "show", f"key-{agent}")
    assert [effect["transaction_id"] for effect in shown["effects"]] == [transaction_id]
    assert [review["review_id"] for review in shown["reviews"]] == [f"review-{agent}"]
    [attempt] = shown["attempts"]
    assert (attempt["trace_id"], attempt["epoch"]) == (str(UUID(int=7)), 1)
    assert attempt["trace"].endswith(f"{UUID(int=7)}.jsonl")
    kinds = [event["kind"] for event in shown["audit"]["events"]]
    assert kinds[:3] == ["run.admitted", "run.attempt", "effect.claimed"]
    assert shown["audit"]["verified"] is True
    text = desk.type("runs", "show", f"key-{agent}")
    assert transaction_id in text
    assert str(UUID(int=7)) in text
    assert "the chain verifies" in text


def test_show_says_when_somebody_changed_the_audit_events(desk: Desk, agent: str) -> None:
    run_id = desk.ask(lambda store: died(store, agent))
    with psycopg.connect(desk.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE audit_event SET body = replace(convert_from(body, 'UTF8'), 'run.dead',"
            " 'run.done')::bytea FROM runs r WHERE r.run_no = audit_event.run_no"
            " AND r.run_id = %s",
            (run_id,),
        )
    assert "DOES NOT VERIFY" in desk.type("runs", "show", str(run_id))


def test_a_text_from_outside_cannot_drive_the_terminal(desk: Desk, agent: str) -> None:
    review = desk.ask(lambda store: asked(store, agent))
    text = desk.type("reviews", "show", review) + desk.type("reviews", "list")
    text += desk.type("runs", "show", f"key-{agent}")
    assert "\x1b" not in text
    assert "  | first line\n  | \\x1b[31msecond line\n" in text


def test_resume_of_a_run_that_waits_for_a_person_names_the_review(desk: Desk, agent: str) -> None:
    review = desk.ask(lambda store: asked(store, agent))
    said = desk.type("runs", "resume", f"key-{agent}", code=2)
    assert f"failsoft reviews show {review}" in said


def test_resume_of_a_run_that_waits_for_a_time_says_when_it_is_due(desk: Desk, agent: str) -> None:
    async def parked(store: Store) -> None:
        lease = await driven(store, agent)
        due_at = time.time() + 3600
        await store.runs.park(lease, [Park(interrupt_id="i", kind="timer", due_at=due_at)])

    desk.ask(parked)
    facts = desk.read("runs", "resume", f"key-{agent}")
    assert facts["state"] == "parked"
    assert facts["due_at"]


def test_cancel_asks_first_and_then_cancels(desk: Desk, agent: str) -> None:
    desk.ask(lambda store: asked(store, agent))
    assert "--yes" in desk.type("runs", "cancel", f"key-{agent}", code=2)
    assert desk.read("runs", "show", f"key-{agent}")["run"]["state"] == "parked"
    assert desk.read("runs", "cancel", f"key-{agent}", "--yes")["state"] == "cancelled"


def test_a_replay_is_a_new_run_that_writes_nothing_unless_it_is_told_to(
    desk: Desk, agent: str
) -> None:
    run_id = str(desk.ask(lambda store: died(store, agent)))
    dry = desk.read("runs", "replay", run_id)
    assert (dry["replay_of"], dry["dry_run"]) == (run_id, True)
    assert "--yes" in desk.type("runs", "replay", run_id, "--write", code=2)
    wet = desk.read("runs", "replay", run_id, "--write", "--yes")
    assert (wet["replay_of"], wet["dry_run"]) == (run_id, False)
    assert len({run_id, dry["run_id"], wet["run_id"]}) == 3


def test_runs_of_an_older_version_are_named_by_the_doctor_and_moved(desk: Desk) -> None:
    async def left_behind(store: Store) -> list[UUID]:
        event = Event(key=f"old-{uuid4().hex}", source="cli", text="x")
        waits = await store.runs.admit("slack-jira", "slack-jira@old", event)
        dead = await died(store, "slack-jira")
        return [waits.run_id, dead]

    waits, dead = desk.ask(left_behind)
    try:
        report = json.loads(desk.type("doctor", "slack-jira", "--json", code=3, out=True))
        [check] = [check for check in report["checks"] if check["name"] == "waiting runs"]
        assert check["health"] == "wrong"
        assert "1 for slack-jira@old" in check["detail"]
        assert "failsoft runs move slack-jira" in check["detail"]

        replayed = desk.read("runs", "replay", str(dead))
        assert "--yes" in desk.type("runs", "move", "slack-jira", code=2)
        moved = desk.read("runs", "move", "slack-jira", "--yes")
        assert (moved["moved"], moved["lane"]) == (2, replayed["lane"])
        assert desk.read("runs", "show", str(waits))["run"]["lane"] == moved["lane"]
        assert desk.read("dead", "retry", str(dead))["lane"] == moved["lane"]
        assert desk.read("runs", "move", "slack-jira", "--yes")["moved"] == 0
    finally:
        for row in desk.read("runs", "list", "--agent", "slack-jira", "--state", "queued"):
            desk.type("runs", "cancel", row["run_id"], "--yes")


def test_a_label_that_was_not_offered_is_refused_and_the_review_stays_open(
    desk: Desk, agent: str
) -> None:
    review = desk.ask(lambda store: asked(store, agent, labels=["bug", "billing"]))
    decide = ("reviews", "decide", review, "--choice", "respond", "--value")
    assert "bug, billing" in desk.type(*decide, "urgent", code=2)
    answered = desk.read(*decide, "billing", "--by", "Ada")
    assert answered["answer"] == {"choice": "respond", "value": "billing"}
    assert "already answered by Ada" in desk.type(*decide, "bug", code=2)


def test_an_answer_makes_the_run_due(desk: Desk, agent: str) -> None:
    review = desk.ask(lambda store: asked(store, agent))
    desk.type("reviews", "decide", review, "--choice", "ignore")
    assert desk.read("runs", "show", f"key-{agent}")["run"]["due_at"]
    assert review not in desk.type("reviews", "list")
    assert review in desk.type("reviews", "list", "--all")


def test_an_edited_write_becomes_its_next_generation(desk: Desk, agent: str) -> None:
    desk.ask(lambda store: wrote(store, agent))
    shown = desk.type("reviews", "show", f"review-{agent}")
    assert '"summary": "old"' in shown
    decide = ("reviews", "decide", f"review-{agent}", "--choice", "edit", "--value")
    desk.type(*decide, '{"summary": "new"}')
    effects = desk.read("runs", "show", f"key-{agent}")["effects"]
    assert [(each["generation"], each["request"]["summary"]) for each in effects] == [
        (1, "old"),
        (2, "new"),
    ]


def test_a_dead_run_is_listed_and_goes_on_when_it_is_retried(desk: Desk, agent: str) -> None:
    run_id = str(desk.ask(lambda store: died(store, agent)))
    assert [row["run_id"] for row in desk.read("dead", "list", "--agent", agent)] == [run_id]
    assert desk.read("dead", "retry", run_id)["state"] == "queued"
    assert "is queued, not dead" in desk.type("dead", "discard", run_id, "--yes", code=2)


def test_a_discarded_run_says_who_gave_it_up(desk: Desk, agent: str) -> None:
    run_id = str(desk.ask(lambda store: died(store, agent)))
    assert "--yes" in desk.type("dead", "discard", run_id, code=2)
    discarded = desk.read("dead", "discard", run_id, "--yes", "--by", "Ada")
    assert (discarded["state"], discarded["reason"]) == ("cancelled", "discarded by Ada")


RAW = b"From: \xff\x1b[31m\r\n\r\n\x00"


async def turned_away(store: Store, agent: str) -> UUID:
    """List a rejection, a bot's message and a reply of `agent`; return the run that it joined."""
    lane = f"{agent}@1"
    root = await store.runs.admit(agent, lane, Event(key=f"key-{agent}", source="cli", text="x"))
    rejected = Ignored(key=f"raw-{agent}", reason="too many parts", raw=RAW)
    await store.runs.ignore(agent, rejected)
    await store.runs.ignore(agent, Ignored(key=f"bot-{agent}", reason="a bot wrote it"))
    reply = Event(key=f"reply-{agent}", source="cli", text="me too", thread=f"key-{agent}")
    assert await store.runs.join(agent, reply, root.run_id)
    return root.run_id


def test_what_started_nothing_is_listed_with_its_reason_and_the_run_it_joined(
    desk: Desk, agent: str
) -> None:
    root = desk.ask(lambda store: turned_away(store, agent))
    listed = desk.read("ignored", "list", "--agent", agent)
    assert {(row["event_key"], row["reason"]) for row in listed} == {
        (f"raw-{agent}", "too many parts"),
        (f"bot-{agent}", "a bot wrote it"),
        (f"reply-{agent}", "reply in the thread of a run"),
    }
    (joined,) = desk.read("ignored", "show", f"reply-{agent}")
    assert joined["run_id"] == str(root)
    (rejected,) = desk.read("ignored", "list", "--agent", agent, "--rejected")
    assert (rejected["event_key"], rejected["kept"]) == (f"raw-{agent}", len(RAW))
    assert len(desk.read("ignored", "list", "--agent", agent, "--limit", "1")) == 1
    assert "a bot wrote it" in desk.type("ignored", "list", "--agent", agent)
    assert "Nothing was ignored." in desk.type("ignored", "list", "--agent", "nobody")


def test_the_bytes_of_a_rejection_come_out_as_they_came_in(desk: Desk, agent: str) -> None:
    desk.ask(lambda store: turned_away(store, agent))
    shown = desk.type("ignored", "show", f"raw-{agent}")
    assert "too many parts" in shown
    (row,) = desk.read("ignored", "show", f"raw-{agent}", "--agent", agent)
    assert bytes.fromhex(row["raw"]) == RAW
    with desk.popen("ignored", "show", f"raw-{agent}", "--raw") as process:
        assert process.stdout is not None
        assert process.stdout.buffer.read() == RAW  # type: ignore[attr-defined]  # text over bytes
    assert "No bytes are kept" in desk.type("ignored", "show", f"bot-{agent}", "--raw", code=2)
    assert "Nothing is listed" in desk.type("ignored", "show", f"key-{agent}", code=2)
    assert "--raw or --json" in desk.type("ignored", "show", "x", "--raw", "--json", code=2)


def test_the_database_says_where_it_is_and_what_it_lacks(desk: Desk) -> None:
    status = desk.read("db", "status")
    assert (status["kind"], status["running"], status["pending"]) == ("embedded", True, [])
    assert desk.read("db", "migrate") == {"applied": []}
    with psycopg.connect(desk.read("db", "url")["url"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_database_that_somebody_uses_is_not_stopped(desk: Desk) -> None:
    assert "uses it" in desk.type("db", "stop", code=4)
    assert desk.read("db", "status")["running"] is True


def test_a_new_agent_runs_at_once_and_its_test_passes(desk: Desk, tmp_path: Path) -> None:
    desk.type("new", "my_agent", cwd=tmp_path)
    text = f"The shop is down for everyone, all servers time out {uuid4().hex}"
    run = ("run", "my_agent.graph:graph", "--text", text, "--json")
    account = json.loads(desk.type(*run, cwd=tmp_path))
    assert account["state"] == "done"
    assert account["path"] == ["classify", "find_owner", "find_owner_fallback", "create_ticket"]
    assert account["results"]["create_ticket"]["key"].startswith("OPS-")
    traces = desk.read("trace", "list")
    shown = [each for each in traces if each["run_id"] == account["run_id"]]
    assert "create_ticket" in desk.type("trace", "show", shown[0]["trace_id"])
    assert_its_test_passes(tmp_path)


def assert_its_test_passes(folder: Path) -> None:
    tested = subprocess.run(
        [BIN / "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout


def test_a_new_mail_agent_joins_a_reply_to_its_case_and_its_test_passes(
    desk: Desk, tmp_path: Path
) -> None:
    said = desk.type("new", "mail_desk", "--shape", "email-salesforce", cwd=tmp_path)
    hint = "run mail_desk.graph:graph --mail mail_desk/sample.eml"
    assert f"Try it: failsoft {hint}" in said
    with sandbox(desk, "--port", "0", "--json") as process:
        place = json.loads(process.stdout.readline() if process.stdout else "")
        more = place["environment"]
        first = json.loads(desk.type(*hint.split(), "--json", cwd=tmp_path, more=more))
        reply = tmp_path / "reply.eml"
        reply.write_text(
            "From: ada@customer.example\nTo: support@sandbox.example\nSubject: Re: more\n"
            "Message-ID: <sample-2@customer.example>\nIn-Reply-To: <sample-1@customer.example>\n\n"
            "Here is the number of the invoice.\n",
            "utf-8",
        )
        second = ("run", "mail_desk.graph:graph", "--mail", "reply.eml", "--json")
        joined = json.loads(desk.type(*second, cwd=tmp_path, more=more))
        with urlopen(f"{place['url']}/_sim/state") as answer:  # noqa: S310  # our own sandbox
            state = json.load(answer)
    assert first["path"][-3:] == ["create_case", "add_email", "acknowledge"]
    assert joined["path"][:3] == ["find_case", "join", "add_email"]
    [case] = state["salesforce"]["cases"]
    assert case["queue"] == "Billing"
    parents = [mail["ParentId"] for mail in state["salesforce"]["emails"]]
    assert parents == [case["Id"]] * 2
    assert len(state["mail"]) == 1
    assert_its_test_passes(tmp_path)


def test_the_doctor_finds_nothing_wrong_with_the_shipped_agent(desk: Desk) -> None:
    report = desk.read("doctor", "slack-jira")
    assert report["well"] is True
    checked = {check["name"] for check in report["checks"] if check["health"] == "ok"}
    wanted = {"home", "database", "slack token", "jira account", "model", "route outage"}
    assert wanted <= checked, checked


@contextmanager
def sandbox(desk: Desk, *options: str) -> Iterator["subprocess.Popen[str]"]:
    process = desk.popen("sandbox", *options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_sandbox_says_how_to_point_failsoft_at_it_and_ends_when_told(desk: Desk) -> None:
    with sandbox(desk, "--port", "0", "--json") as process:
        place = json.loads(process.stdout.readline() if process.stdout else "")
        assert place["environment"]["FAILSOFT_JIRA_BASE_URL"] == f"{place['url']}/jira"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(place["pid"], 0)


def test_a_second_sandbox_on_the_same_port_is_refused(desk: Desk) -> None:
    with sandbox(desk, "--port", "0") as process:
        first = process.stdout.readline() if process.stdout else ""
        port = first.split()[5].rstrip(";").rpartition(":")[2]
        assert "cannot be used" in desk.type("sandbox", "--port", port, code=4)
