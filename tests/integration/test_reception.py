"""What one reception does with whatever a door brings: replies, twins, cursors, busy senders.

The abuse tests play a sender who may write any header and any text, and who knows our source.
"""

from typing import Any
from uuid import UUID

import pytest

from failsoft.checkpoints.database import Database
from failsoft.checkpoints.effects import transaction_id
from failsoft.checkpoints.ignored import latest, listed
from failsoft.checkpoints.runs import JOINED, Admission, RunState
from failsoft.checkpoints.store import Store
from failsoft.connectors.slack import Slack
from failsoft.errors import InvalidEventError
from failsoft.events import MAX_KEY, MAX_REFS, Event, Ignored, run_id_of
from failsoft.graphs.resilient_graph import END, START, ResilientGraph
from failsoft.intake.admission import Reception
from failsoft.nodes.policy import Replies
from failsoft.nodes.state import RunState as State
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf

AGENT, LANE = "a", "a@1"


def mail(name: str, *refs: str, **more: Any) -> Event:
    """Make a mail with that Message-ID, which answers those."""
    answered = [ref if ref.startswith("txn:") else f"mail:inbox:<{ref}>" for ref in refs]
    facts = {"subject": name}
    return Event(
        **{"key": f"mail:inbox:<{name}>", "source": "mail", "text": name, "facts": facts,
           "refs": answered, "digest": f"digest of {name}", **more}
    )  # fmt: skip


@pytest.fixture
def listing(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE, replies=Replies.LIST)


@pytest.fixture
def running(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE, replies=Replies.RUN)


async def admitted(reception: Reception, event: Event, **options: Any) -> Admission:
    taken = await reception.admit(event, **options)
    assert isinstance(taken, Admission)
    return taken


async def stored(reception: Reception, run_id: UUID) -> dict[str, Any]:
    event: dict[str, Any] = (await reception.runs.get(run_id))["event"]
    return event


async def wrote(store: Store, run_id: UUID) -> str:
    """Let a run claim a write; return its transaction id."""
    worker = await store.workers.register("w", 60.0)
    claim = await store.runs.claim_one(worker, run_id)
    assert claim is not None
    effect = await store.effects.claim(
        claim.lease, node="thank", operation="mail.send", request={}, mark={}, within=9, settle=9
    )
    await store.runs.settle(claim.lease, RunState.QUEUED)
    return effect.transaction_id


async def test_a_reply_is_listed_under_the_run_that_it_answers(
    listing: Reception, database: Database
) -> None:
    root = await admitted(listing, mail("one"))
    taken = await listing.admit(mail("two", "elsewhere", "one"))
    assert taken == Ignored(key="mail:inbox:<two>", reason=JOINED)
    assert [(each.event_key, each.run_id) for each in await listed(database, AGENT)] == [
        ("mail:inbox:<two>", root.run_id)
    ]


async def test_a_reply_to_a_reply_finds_the_same_run(
    listing: Reception, running: Reception, database: Database
) -> None:
    root = await admitted(listing, mail("one"))
    await listing.admit(mail("two", "one"))
    await listing.admit(mail("three", "two"))
    assert {each.run_id for each in await listed(database, AGENT)} == {root.run_id}
    third = await admitted(running, mail("four", "three"))
    fourth = await admitted(running, mail("five", "four"))
    for taken in (third, fourth):
        assert (await stored(running, taken.run_id))["joins"] == str(root.run_id)


async def test_a_reply_may_be_a_run_of_its_own_that_knows_what_it_joins(running: Reception) -> None:
    root = await admitted(running, mail("one"))
    reply = await admitted(running, mail("two", "one"))
    assert reply.run_id != root.run_id
    assert (await stored(running, reply.run_id))["joins"] == str(root.run_id)
    assert (await stored(running, root.run_id))["joins"] is None


async def test_an_answer_to_our_own_write_joins_the_run_that_wrote(
    running: Reception, store: Store
) -> None:
    root = await admitted(running, mail("one"))
    ours = await wrote(store, root.run_id)
    reply = await admitted(running, mail("two", f"txn:{ours}"))
    assert (await stored(running, reply.run_id))["joins"] == str(root.run_id)


async def test_an_answer_to_another_agents_write_joins_nothing(
    running: Reception, store: Store
) -> None:
    root = await admitted(running, mail("one"))
    ours = await wrote(store, root.run_id)
    other = Reception(runs=store.runs, agent="b", lane="b@1", replies=Replies.RUN)
    reply = await admitted(other, mail("two", f"txn:{ours}", "one"))
    assert (await stored(other, reply.run_id))["joins"] is None


async def test_the_likeliest_of_several_answered_mails_counts(running: Reception) -> None:
    await admitted(running, mail("one"))
    second = await admitted(running, mail("two"))
    reply = await admitted(running, mail("three", "unknown", "two", "one"))
    assert (await stored(running, reply.run_id))["joins"] == str(second.run_id)


async def test_a_redelivered_reply_changes_nothing(
    listing: Reception, running: Reception, database: Database
) -> None:
    for reception in (listing, running):
        await admitted(reception, mail("one"))
        for _ in range(3):
            await reception.admit(mail("two", "one"))
    assert len(await listed(database, AGENT)) == 1
    assert len(await running.runs.list()) == 2


async def test_a_mail_that_had_a_run_before_its_thread_was_known_keeps_it(
    listing: Reception, database: Database
) -> None:
    early = await admitted(listing, mail("two", "one"))
    await admitted(listing, mail("one"))
    again = await admitted(listing, mail("two", "one"))
    assert (again.run_id, again.new) == (early.run_id, False)
    assert await listed(database, AGENT) == []


async def test_two_mails_under_one_key_are_two_runs(running: Reception) -> None:
    one, other = mail("one", digest="d1"), mail("one", digest="d2", text="another")
    first, second = await admitted(running, one), await admitted(running, other)
    assert second.new
    twin = await stored(running, second.run_id)
    assert twin["facts"]["twin_of"] == one.key
    assert twin["text"] == "another"
    for event, run_id in ((one, first.run_id), (other, second.run_id)):
        assert await admitted(running, event) == Admission(run_id=run_id, new=False)


@pytest.mark.parametrize("digest", [None, "d1"])
async def test_the_same_mail_is_no_twin_of_itself(digest: str | None, running: Reception) -> None:
    await admitted(running, mail("one", digest="d1"))
    assert not (await admitted(running, mail("one", digest=digest))).new


async def test_a_key_of_the_greatest_length_has_twins_too(running: Reception) -> None:
    key = "k" * MAX_KEY
    runs = {
        (await admitted(running, mail("x", key=key, digest=digest * 64))).run_id for digest in "abc"
    }
    assert len(runs) == 3


async def test_what_cannot_be_read_is_listed_once_with_its_bytes(
    listing: Reception, database: Database
) -> None:
    rejected = Ignored(key="mail:inbox:sha256:1", reason="too deep", raw=b"\x00\xff")
    for _ in range(2):
        assert await listing.admit(rejected) == rejected
    (row,) = await latest(database, rejected=True)
    assert (row["reason"], row["kept"]) == ("too deep", 2)


async def test_a_cursor_is_kept_for_each_agent_and_door(store: Store, running: Reception) -> None:
    other = Reception(runs=store.runs, agent="b", lane="b@1")
    assert await running.cursor("imap").read() == {}
    await running.cursor("imap").store({"uid": 7})
    await running.cursor("imap").store({"uid": 9})
    assert await running.cursor("imap").read() == {"uid": 9}
    assert await running.cursor("imap:other").read() == {}
    assert await other.cursor("imap").read() == {}


async def test_how_much_a_sender_wrote_within_the_hour_stands_in_the_event(
    running: Reception, database: Database
) -> None:
    counts = []
    for number in range(3):
        taken = await admitted(running, mail(f"m{number}", sender="ann@x"))
        counts.append((await stored(running, taken.run_id))["facts"]["recent"])
    other = await admitted(running, mail("m9", sender="bob@x"))
    assert (counts, (await stored(running, other.run_id))["facts"]["recent"]) == ([0, 1, 2], 0)
    await database.all("UPDATE runs SET created_at = now() - interval '61 minutes'")
    later = await admitted(running, mail("m10", sender="ann@x"))
    assert (await stored(running, later.run_id))["facts"]["recent"] == 0


# What a sender may try.


async def test_no_event_says_of_itself_what_it_joins_or_how_often_it_came(
    running: Reception,
) -> None:
    victim = await admitted(running, mail("one"))
    forged = mail("two", joins=str(victim.run_id), facts={"recent": -100})
    taken = await stored(running, (await admitted(running, forged)).run_id)
    assert (taken["joins"], taken["facts"]) == (None, {})


async def test_a_made_up_id_or_token_joins_nothing(running: Reception, store: Store) -> None:
    victim = await admitted(running, mail("one"))
    await wrote(store, victim.run_id)
    tokens = [f"txn:{letter * 26}" for letter in "abc"]
    taken = await admitted(
        running, mail("two", "guess", "ONE", "one ", "%", "_ne", "txn:", *tokens)
    )
    assert (await stored(running, taken.run_id))["joins"] is None


async def test_whoever_knows_a_message_id_can_add_to_its_case_and_do_nothing_else(
    running: Reception,
) -> None:
    """A thread is no proof of who writes. What a joined mail may do is up to the agent."""
    victim = await admitted(running, mail("one", sender="ann@x"))
    before = await running.runs.get(victim.run_id)
    forged = await admitted(running, mail("two", "one", sender="eve@y"))
    assert (await stored(running, forged.run_id))["joins"] == str(victim.run_id)
    assert await running.runs.get(victim.run_id) == before


async def test_a_mail_listed_under_a_strangers_id_does_not_draw_the_strangers_answers(
    listing: Reception, running: Reception
) -> None:
    await admitted(listing, mail("mallorys thread"))
    await listing.admit(mail("anns mail", "mallorys thread", digest="forged"))
    ann = await admitted(running, mail("anns mail"))
    answer = await admitted(running, mail("answer", "anns mail"))
    assert (await stored(running, answer.run_id))["joins"] == str(ann.run_id)


async def test_a_stolen_message_id_takes_no_run_away(running: Reception) -> None:
    thief = await admitted(running, mail("one", digest="forged", text="spam"))
    victim = await admitted(running, mail("one"))
    assert victim.new
    assert victim.run_id != thief.run_id


async def test_a_rejection_or_a_machines_mail_under_a_strangers_id_keeps_nobody_out(
    listing: Reception,
) -> None:
    await listing.admit(Ignored(key="mail:inbox:<one>", reason="automatic", raw=b"x"))
    assert (await admitted(listing, mail("one"))).new


async def test_a_thousand_references_cost_no_more_than_the_first_few(running: Reception) -> None:
    await admitted(running, mail("one"))
    flood = [f"made-up-{number}" for number in range(1000)]
    near = await admitted(running, mail("two", "one", *flood))
    far = await admitted(running, mail("three", *flood, "one"))
    assert (await stored(running, near.run_id))["joins"] is not None
    kept = await stored(running, far.run_id)
    assert (kept["joins"], len(kept["refs"])) == (None, MAX_REFS)


@pytest.mark.parametrize("name", ["source", "text", "thread", "sender", "digest"])
async def test_no_character_keeps_a_mail_from_being_taken(name: str, running: Reception) -> None:
    nasty = {name: "\x00\ud800\x1b[31m'; --" + "x" * 600}
    refs = ["\x00\ud800" * 600]
    taken = await admitted(running, mail("one", **nasty, facts={"\x00": "\ud800"}, refs=refs))
    assert taken.new


@pytest.mark.parametrize("joins", ["", "x", "not-a-uuid", "{00000000-0000-0000-0000-000000000000}"])
def test_what_is_no_run_is_refused_as_one_to_join(joins: str) -> None:
    with pytest.raises(InvalidEventError, match="`joins`"):
        mail("one", joins=joins)


async def test_a_mail_that_answers_itself_or_its_own_write_joins_nothing_and_comes_to_an_end(
    bench_of: BenchOf, sandbox: Sandbox
) -> None:
    """Our transaction ids follow from agent and key: whoever chose the key can work them out."""

    def hello(_: State) -> dict[str, str]:
        return {"channel": "C0TRIAGE", "text": "hello"}

    graph = ResilientGraph(AGENT, replies=Replies.RUN)
    graph.add_thread("find", of="thank")
    graph.add_write("thank", Slack.post, request=hello)
    graph.add_path(START, "find", "thank", END)
    async with bench_of(graph) as bench:
        reception = Reception.of(graph, bench.parts.store.runs)
        own = transaction_id(run_id_of(AGENT, "mail:inbox:<one>"), "thank", "", 1)
        event = mail("one", "one", f"txn:{own}", thread="mail:inbox:<one>")
        first = await admitted(reception, event)
        assert (await stored(reception, first.run_id))["joins"] is None
        assert (await bench.drive_on(first.run_id)).state is RunState.DONE
        assert not (await admitted(reception, event)).new
        twin = await admitted(reception, mail("one", f"txn:{own}", digest="other"))
        rest = await bench.drive_on(twin.run_id)
        assert rest.value["tool"]["find"]["result"]["id"]
        assert len(sandbox.state()["slack"]["messages"]) == 2
