"""Cases that Email-to-Case opened in a queue: each is taken once, routed, and never opened anew."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from failsoft.agents.load import load_graph
from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.runs import RunState
from failsoft.checkpoints.store import Store
from failsoft.connectors.salesforce import Salesforce
from failsoft.errors import (
    ConfigurationError,
    HeldError,
    MissingSettingError,
    RateLimitedError,
    TransientError,
    UnavailableError,
)
from failsoft.intake import salesforce_cases
from failsoft.intake.admission import Reception
from failsoft.intake.doors import open_door
from failsoft.intake.salesforce_cases import Calls, CasesDoor, Reading
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox
from tests.integration.bench import BenchOf

DATA = "/salesforce/services/data/v66.0"
QUERY = f"GET {DATA}/query"
QUEUE = "Unclassified"
SPEC = f"salesforce-cases:{QUEUE}"
INVOICE = "The invoice for March is wrong: we were charged twice, please refund the payment."
CASE = "500SB0000000001AAA"
RULES_OFF = {"Authorization": "Bearer sandbox", "Sforce-Auto-Assign": "FALSE"}


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent="a", lane="a@1")


def queue_id(sandbox: Sandbox, name: str) -> str:
    asked = f"SELECT Id FROM Group WHERE DeveloperName = '{name}'"
    answer = sandbox.http.get(f"{DATA}/query", params={"q": asked}, headers=RULES_OFF)
    return str(answer.json()["records"][0]["Id"])


def opened(sandbox: Sandbox, subject: str, queue: str = QUEUE, **fields: str) -> str:
    """Open a case as Email-to-Case does."""
    case = {"Subject": subject, "OwnerId": queue_id(sandbox, queue), "Origin": "Email", **fields}
    answer = sandbox.http.post(f"{DATA}/sobjects/Case", json=case, headers=RULES_OFF)
    return str(answer.raise_for_status().json()["id"])


async def read_once(settings: Settings, reception: Reception) -> None:
    """Look once, as a process that was started anew does."""
    salesforce, door = Salesforce.from_settings(settings), CasesDoor(QUEUE, settings)
    calls = Calls(salesforce, settings, reception.runs.database)
    try:
        await Reading(door, calls, reception, reception.cursor(door.name), asyncio.Event()).read()
    finally:
        await salesforce.close()


async def keys(store: Store) -> list[str]:
    rows = sorted(await store.runs.list(limit=1000), key=lambda row: row["run_no"])
    return [row["event_key"] for row in rows]


def of(*case_ids: str) -> list[str]:
    return [f"salesforce:{case_id}" for case_id in case_ids]


async def test_new_cases_of_the_queue_are_taken_the_oldest_first_and_old_ones_stay(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    opened(sandbox, "from before")
    await read_once(settings, reception)
    new = [opened(sandbox, f"number {number}") for number in range(3)]
    opened(sandbox, "elsewhere", queue="Sales")
    await read_once(settings, reception)
    assert await keys(store) == of(*new)
    newest = sandbox.state()["salesforce"]["cases"][3]["CreatedDate"]
    last = (await reception.cursor(SPEC).read())["last"]
    assert datetime.fromisoformat(str(last)) == datetime.fromisoformat(newest)


async def test_closed_cases_and_those_that_failsoft_opened_never_come_in(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    opened(sandbox, "closed", Status="Closed")
    opened(sandbox, "ours", Failsoft_Txn__c="abcdefghij234567klmnopqrst")
    await read_once(settings, reception)
    assert await keys(store) == []


async def test_the_event_holds_the_text_and_who_wrote(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    case_id = opened(
        sandbox, "Help", Description=INVOICE, SuppliedEmail="ann@customer.example",
        SuppliedName="Ann",
    )  # fmt: skip
    await read_once(settings, reception)
    (row,) = await store.runs.list()
    event = (await store.runs.get(row["run_id"]))["event"]
    assert (event["source"], event["text"]) == ("salesforce", f"Help\n\n{INVOICE}")
    facts = {name: fact for name, fact in event["facts"].items() if name != "recent"}
    assert facts == {
        "case_id": case_id, "number": "00001001", "subject": "Help",
        "from": "ann@customer.example", "from_name": "Ann",
    }  # fmt: skip


async def test_a_case_without_a_word_is_listed(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    case_id = opened(sandbox, "")
    await read_once(settings, reception)
    assert await keys(store) == []
    assert [(one.event_key, one.reason) for one in await listed(store.runs.database, "a")] == [
        (f"salesforce:{case_id}", "the case says nothing")
    ]


async def test_what_is_shown_again_is_the_same_run(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    case_id = opened(sandbox, "once")
    for _ in range(3):
        await read_once(settings, reception)
    assert await keys(store) == of(case_id)


async def test_killed_between_the_commit_and_the_cursor_it_reads_again_and_knows_it(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    place = await reception.cursor(SPEC).read()
    new = [opened(sandbox, f"number {number}") for number in range(2)]
    await read_once(settings, reception)
    await reception.cursor(SPEC).store(place)
    await read_once(settings, reception)
    assert await keys(store) == of(*new)


async def test_a_case_that_is_shown_later_than_a_newer_one_is_not_missed(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    late = opened(sandbox, "late", queue="Sales")  # not yet seen in the queue
    newer = opened(sandbox, "newer")
    await read_once(settings, reception)
    sandbox.http.patch(
        f"{DATA}/sobjects/Case/{late}", json={"OwnerId": queue_id(sandbox, QUEUE)},
        headers=RULES_OFF,
    ).raise_for_status()  # fmt: skip
    await read_once(settings, reception)
    assert await keys(store) == of(newer, late)


async def test_more_cases_than_a_page_holds_are_all_read(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(salesforce_cases, "PAGE", 2)
    await read_once(settings, reception)
    new = [opened(sandbox, f"number {number}") for number in range(7)]
    await read_once(settings, reception)
    assert await keys(store) == of(*new)


async def test_an_answer_that_is_not_whole_is_asked_on(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    new = [opened(sandbox, f"number {number}") for number in range(3)]
    first = sandbox.state()["salesforce"]["cases"][0]
    body = {"records": [{name: first[name] for name in ("Id", "CreatedDate")}], "done": False}
    whose, listing = 1, 2  # the queue is looked up before its cases are
    asked = sum(one["path"] == f"{DATA}/query" for one in sandbox.state()["requests"])
    sandbox.faults({
        "match": QUERY, "kind": "status", "status": 200, "body": body, "nth": [asked + listing],
    })  # fmt: skip
    await read_once(settings, reception)
    assert await keys(store) == of(*new)
    now = sum(one["path"] == f"{DATA}/query" for one in sandbox.state()["requests"])
    assert now == asked + whose + listing


@pytest.mark.parametrize(
    "fault",
    [
        {"match": QUERY, "kind": "drop_after"},
        {"match": QUERY, "kind": "malformed"},
        {"match": QUERY, "kind": "status", "status": 200, "body": {"records": [{"Id": "5"}]}},
        {"match": f"GET {DATA}/sobjects/Case/*", "kind": "status", "status": 503},
    ],
)
async def test_trouble_in_the_middle_loses_nothing(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    await read_once(settings, reception)
    new = [opened(sandbox, f"number {number}") for number in range(3)]
    sandbox.faults({**fault, "nth": [2]} if "Case" in fault["match"] else {**fault, "p": 1.0})
    with pytest.raises(TransientError):
        await read_once(settings, reception)
    sandbox.faults()
    await read_once(settings, reception)
    assert await keys(store) == of(*new)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"Id": 7},
        {"Id": "x' OR Id != '"},
        {"Id": CASE},
        {"Id": CASE, "CreatedDate": "2026-11-25T23:00:00"},
        {"Id": CASE, "CreatedDate": "0001-01-01T00:00:00.000+0000"},
    ],
)
async def test_a_row_that_cannot_be_read_is_trouble_that_passes(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox, row: dict[str, Any]
) -> None:
    where_it_begins, what_is_new = 2, 7  # of the queries
    sandbox.faults({
        "match": QUERY, "kind": "status", "status": 200, "body": {"records": [row]},
        "nth": [where_it_begins, what_is_new],
    })  # fmt: skip
    with pytest.raises(TransientError):
        await read_once(settings, reception)
    await read_once(settings, reception)
    with pytest.raises(TransientError):
        await read_once(settings, reception)
    sandbox.faults()
    case_id = opened(sandbox, "new")
    await read_once(settings, reception)
    assert await keys(store) == of(case_id)


async def test_a_case_of_the_future_hides_none_that_follows(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    row = {"Id": CASE, "CreatedDate": "2999-12-31T00:00:00.000+0000"}
    fault = {"match": QUERY, "kind": "status", "status": 200, "body": {"records": [row]}}
    sandbox.faults({**fault, "nth": [2, 5]})
    await read_once(settings, reception)
    await read_once(settings, reception)
    case_id = opened(sandbox, "new")
    await read_once(settings, reception)
    assert await keys(store) == of(case_id)


async def test_the_spent_limit_keeps_everybody_away(
    settings: Settings, reception: Reception, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await read_once(settings, reception)
    monkeypatch.setenv("FAILSOFT_TIMING__RETRY_CAP", "60")
    sandbox.faults({"match": QUERY, "kind": "status", "status": 403})
    with pytest.raises(RateLimitedError):
        await read_once(load_settings(), reception)
    sandbox.faults()
    with pytest.raises(HeldError):
        await read_once(settings, reception)


async def test_an_open_door_looks_again_and_again_until_it_is_told_to_stop(
    settings: Settings, reception: Reception, store: Store, sandbox: Sandbox
) -> None:
    await read_once(settings, reception)
    stopping = asyncio.Event()
    task = asyncio.create_task(CasesDoor(QUEUE, settings, pause=0.02).run(reception, stopping))
    try:
        for number in (1, 2):
            opened(sandbox, f"number {number}")
            async with asyncio.timeout(10):
                while len(await keys(store)) < number:  # noqa: ASYNC110  # it tells nobody
                    await asyncio.sleep(0.02)
    finally:
        stopping.set()
        await asyncio.wait_for(task, 10)
    read = [one["path"] for one in sandbox.state()["requests"] if one["method"] == "GET"]
    assert sum("/sobjects/Case/" in path for path in read) == 2  # a known case is not read again


async def test_without_the_database_the_door_says_so(
    settings: Settings, reception: Reception
) -> None:
    await reception.runs.database.close()
    with pytest.raises(UnavailableError):
        await CasesDoor(QUEUE, settings).run(reception, asyncio.Event())


async def test_a_queue_that_is_not_there_is_named(settings: Settings, reception: Reception) -> None:
    with pytest.raises(ConfigurationError, match=r"Nobody.*doctor"):
        await CasesDoor("Nobody", settings).run(reception, asyncio.Event())


def test_the_door_is_opened_by_its_spec(settings: Settings) -> None:
    assert open_door(SPEC, settings).name == SPEC


@pytest.mark.parametrize("queue", ["", "a b", "x'y", "9", "a:b"])
def test_what_is_no_name_of_a_queue_is_refused(settings: Settings, queue: str) -> None:
    with pytest.raises(ConfigurationError, match="DeveloperName"):
        open_door(f"salesforce-cases:{queue}", settings)


def test_without_an_organisation_the_setting_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.salesforce_instance_url
    monkeypatch.delenv("FAILSOFT_SALESFORCE_INSTANCE_URL")
    with pytest.raises(MissingSettingError, match="FAILSOFT_SALESFORCE_INSTANCE_URL"):
        open_door(SPEC, load_settings())


async def test_a_case_is_routed_and_none_is_opened(
    bench_of: BenchOf, settings: Settings, sandbox: Sandbox
) -> None:
    async with bench_of(load_graph("email-to-case")) as bench:
        reception = Reception.of(bench.graph, bench.parts.store.runs)
        await read_once(settings, reception)
        case_id = opened(sandbox, "Help", Description=INVOICE)
        await read_once(settings, reception)
        sandbox.faults({"match": f"PATCH {DATA}/*", "kind": "drop_after", "times": 1})
        (row,) = await bench.parts.store.runs.list()
        rest = await bench.drive_on(row["run_id"])
        assert (rest.state, rest.outcome) == (RunState.DONE, "done")
        await read_once(settings, reception)
        assert len(await bench.parts.store.runs.list()) == 1
    state = sandbox.state()
    (case,) = state["salesforce"]["cases"]
    assert (case["Id"], case["queue"], case["Priority"]) == (case_id, "Billing", "High")
    assert (state["salesforce"]["emails"], state["mail"]) == ([], [])
