"""What `failsoft doctor salesforce` says: each wrong thing in the organisation, and its cure."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from failsoft.agents.load import load_graph
from failsoft.cli.check import Check, Health
from failsoft.cli.doctor import command
from failsoft.cli.doctor_outside import look_at
from failsoft.connectors.clients import Clients
from failsoft.errors import ConfigurationError
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox

DATA = "/salesforce/services/data/v66.0"
CASE = f"GET {DATA}/sobjects/Case/describe"
EMAIL = f"GET {DATA}/sobjects/EmailMessage/describe"
QUERY = f"GET {DATA}/query"
LOGIN = "POST /salesforce/services/oauth2/token"
FIELD = "salesforce Case.Failsoft_Txn__c"
GOOD = {
    "name": "Failsoft_Txn__c", "externalId": True, "unique": True, "createable": True,
    "length": 40,
}  # fmt: skip


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everything points at the sandbox; a test bends what it is about."""
    assert settings.profile == "sandbox"
    return monkeypatch


async def looked() -> dict[str, Check]:
    checks = await look_at(["salesforce"], {"salesforce"}, load_settings())
    return {check.name: check for check in checks}


def answers(route: str, body: object) -> dict[str, Any]:
    return {"match": route, "kind": "status", "status": 200, "body": body}


@pytest.mark.usefixtures("environment")
async def test_an_organisation_that_is_set_up_is_well_and_nothing_is_written(
    sandbox: Sandbox,
) -> None:
    checks = await looked()
    assert {name: check.health for name, check in checks.items()} == dict.fromkeys(
        [
            "salesforce login", "salesforce Case.Failsoft_Txn__c",
            "salesforce EmailMessage.Failsoft_Txn__c", "salesforce Email-to-Case",
        ],
        Health.OK,
    )  # fmt: skip
    assert "/15000" in checks["salesforce login"].detail
    state = sandbox.state()["salesforce"]
    assert (state["cases"], state["emails"]) == ([], [])


async def test_a_missing_field_is_named_with_how_to_make_it(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("FAILSOFT_SALESFORCE_TXN_FIELD", "Other__c")
    checks = await looked()
    for kind in ("Case", "EmailMessage"):
        check = checks[f"salesforce {kind}.Other__c"]
        assert check.health is Health.WRONG
        for word in ("sf project deploy start", f"Object Manager > {kind}", "Text, length 40",
                     "External ID", "Unique", "run-as user"):  # fmt: skip
            assert word in check.detail


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"unique": False}, "Unique"),
        ({"externalId": False}, "External ID"),
        ({"createable": False}, "editable for the run-as user"),
        ({"length": 20}, "at least 26 characters long"),
        ({"length": None}, "at least 26 characters long"),
    ],
)
async def test_a_field_that_is_not_as_it_must_be_is_named_with_what_it_lacks(
    sandbox: Sandbox, change: dict[str, Any], word: str
) -> None:
    sandbox.faults(answers(CASE, {"fields": [{**GOOD, **change}]}))
    check = (await looked())[FIELD]
    assert check.health is Health.WRONG
    assert word in check.detail


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("body", [{}, {"fields": 7}, {"fields": [7, {"name": 7}]}])
async def test_a_description_of_another_form_is_a_missing_field(
    sandbox: Sandbox, body: object
) -> None:
    sandbox.faults(answers(CASE, body))
    assert (await looked())[FIELD].health is Health.WRONG


@pytest.mark.usefixtures("environment")
async def test_an_object_that_the_run_as_user_may_not_see_is_named(sandbox: Sandbox) -> None:
    sandbox.faults({"match": EMAIL, "kind": "status", "status": 404})
    check = (await looked())["salesforce EmailMessage.Failsoft_Txn__c"]
    assert check.health is Health.WRONG
    assert "give the run-as user access to EmailMessage" in check.detail


@pytest.mark.usefixtures("environment")
async def test_incoming_mail_that_is_not_ours_warns_of_email_to_case(sandbox: Sandbox) -> None:
    def store(**fields: object) -> None:
        headers = {"Authorization": "Bearer sandbox"}
        sandbox.http.post(f"{DATA}/sobjects/EmailMessage", json=fields, headers=headers)

    store(Incoming=True, Failsoft_Txn__c="ours")
    store(Incoming=False)
    assert (await looked())["salesforce Email-to-Case"].detail == "no incoming mail but our own"
    store(Incoming=True)
    check = (await looked())["salesforce Email-to-Case"]
    assert check.health is Health.OK  # it may be for another address: nobody can see that
    assert sandbox.state()["salesforce"]["emails"][-1]["CreatedDate"] in check.detail
    assert "email-to-case" in check.detail


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("status", [400, 403, 500])
async def test_incoming_mail_that_cannot_be_seen_is_said_to_be_unseen(
    sandbox: Sandbox, status: int
) -> None:
    sandbox.faults({"match": QUERY, "kind": "status", "status": status})
    assert "cannot be seen" in (await looked())["salesforce Email-to-Case"].detail


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            {"kind": "status", "status": 400, "body": {"error": "invalid_client_id"}},
            ["invalid_client_id", "consumer key and secret", "run-as user"],
        ),
        ({"kind": "drop_before"}, ["127.0.0.1"]),
        ({"kind": "malformed"}, ["Salesforce login"]),
        ({"kind": "status", "status": 200, "body": {}}, ["without a token"]),
    ],
)
async def test_a_login_that_fails_is_told_with_what_to_look_at(
    sandbox: Sandbox, fault: dict[str, Any], words: list[str]
) -> None:
    sandbox.faults({"match": LOGIN, **fault})
    (check,) = (await looked()).values()
    assert check.health is Health.WRONG
    assert all(word in check.detail for word in words)
    assert "sandbox-salesforce-secret" not in check.detail


async def test_a_setting_that_is_missing_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("FAILSOFT_SALESFORCE_CLIENT_ID")
    (check,) = (await looked()).values()
    assert check.health is Health.WRONG
    assert "FAILSOFT_SALESFORCE_CLIENT_ID" in check.detail


@pytest.mark.parametrize("agent", ["email-salesforce", "email-to-case"])
async def test_each_route_of_an_agent_is_looked_up(settings: Settings, agent: str) -> None:
    clients = Clients(settings)
    said = {name: await check(clients) for name, check in load_graph(agent).checks.items()}
    await clients.close()
    assert len(said) == 6
    assert "queue Unclassified, priority Medium" in said.values()


async def test_a_route_to_an_unknown_queue_is_named(settings: Settings, sandbox: Sandbox) -> None:
    sandbox.faults({**answers(QUERY, {"records": []}), "nth": [1]})
    clients, checks = Clients(settings), load_graph("email-salesforce").checks
    try:
        with pytest.raises(ConfigurationError, match=r"no queue 'Billing'.*routes\.yaml"):
            await next(iter(checks.values()))(clients)
    finally:
        await clients.close()


async def test_the_command_shows_it_and_its_exit_code_tells(
    environment: pytest.MonkeyPatch,
) -> None:
    runner = CliRunner()
    well = await asyncio.to_thread(runner.invoke, command, ["salesforce"])
    assert (well.exit_code, "Case.Failsoft_Txn__c" in well.output) == (0, True)
    environment.setenv("FAILSOFT_SALESFORCE_TXN_FIELD", "Other__c")
    ill = await asyncio.to_thread(runner.invoke, command, ["salesforce", "--json"])
    assert ill.exit_code == 3
    said = json.loads(ill.stdout)
    wrong = [check["name"] for check in said["checks"] if check["health"] == "wrong"]
    assert wrong == ["salesforce Case.Other__c", "salesforce EmailMessage.Other__c"]
