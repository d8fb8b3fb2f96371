"""Webhooks, PagerDuty and Apprise over real HTTP: signed, named by a key, and without a secret."""

import json
import logging
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from failsoft.connectors.apprise import Apprise
from failsoft.connectors.contract import Absent, Done, Failed, NotSent, Outcome, Unknown
from failsoft.connectors.pagerduty import PagerDuty
from failsoft.connectors.signature import HEADER, verify
from failsoft.connectors.webhook import Webhook
from failsoft.errors import ConfigurationError, MissingSettingError, TransientError
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox

POST = "POST /hooks/webhook/desk"
ENQUEUE = "POST /hooks/v2/enqueue"
TXN = "abcdefghij234567klmnopqrst"
SECRET = SecretStr("sandbox-webhook-secret")
# One of Apprise's plugins imports a module that Python will lose.
ODD_IMPORT = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
ALERT: JSONObject = {"summary": "The queue is stuck", "severity": "critical"}


@pytest.fixture
async def webhook(settings: Settings) -> AsyncIterator[Webhook]:
    client = Webhook.from_settings(settings)
    yield client
    await client.close()


@pytest.fixture
async def pagerduty(settings: Settings) -> AsyncIterator[PagerDuty]:
    client = PagerDuty.from_settings(settings)
    yield client
    await client.close()


async def post(webhook: Webhook, within: float = 2.0, **body: object) -> Outcome:
    request: JSONObject = {"name": "desk", "body": {**body}}  # type: ignore[dict-item]
    return await Webhook.post.send(webhook, request, TXN, within=within)


async def alert(client: PagerDuty, request: JSONObject = ALERT, within: float = 2.0) -> Outcome:
    return await PagerDuty.trigger.send(client, request, TXN, within=within)


async def test_a_post_carries_its_key_and_a_signature_over_its_very_bytes(
    sandbox: Sandbox, webhook: Webhook
) -> None:
    outcome = await post(webhook, note="schön")
    assert outcome == Done(external_id=TXN, response={"webhook": "desk", "status": 200})
    (taken,) = sandbox.state()["hooks"]["posts"]
    assert json.loads(taken["body"]) == {"note": "schön", "transaction_id": TXN}
    assert taken["key"] == TXN
    assert taken["headers"]["content-type"] == "application/json"
    signature, raw = taken["headers"][HEADER.lower()], taken["body"].encode()
    assert verify(signature, raw, [SECRET], now=time.time())
    assert not verify(signature, raw + b" ", [SECRET], now=time.time())


async def test_a_secret_from_a_file_signs_without_the_end_of_its_line(sandbox: Sandbox) -> None:
    hooks = {"desk": {"url": f"{sandbox.url}/hooks/webhook/desk", "secret": "from-a-file\n"}}
    client = Webhook.from_settings(Settings.model_validate({"webhooks": hooks}))
    await client.send("desk", {}, TXN, within=2)
    await client.close()
    (taken,) = sandbox.state()["hooks"]["posts"]
    signature, raw = taken["headers"][HEADER.lower()], taken["body"].encode()
    assert verify(signature, raw, [SecretStr("from-a-file")], now=time.time())


@pytest.mark.parametrize("fault", ["drop_after", "truncate", "late_commit"])
async def test_a_post_whose_answer_is_lost_is_sent_again_and_taken_once(
    sandbox: Sandbox, webhook: Webhook, fault: str
) -> None:
    sandbox.faults({"match": POST, "kind": fault, "times": 1, "seconds": 0.1})
    assert type(await post(webhook)) is Unknown
    assert await Webhook.post.find(webhook, {}, TXN, {}) == Absent(certain=True)
    assert type(await post(webhook)) is Done
    assert sandbox.wait_executed(POST, 2)
    (taken,) = sandbox.state()["hooks"]["posts"]
    assert taken["deliveries"] == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(204, Done), (302, Unknown), (400, Failed), (409, Unknown), (410, Failed),
                         (429, NotSent), (503, Unknown)],
)  # fmt: skip
async def test_what_a_receiver_answers_is_sorted_by_its_status(
    sandbox: Sandbox, webhook: Webhook, status: int, kind: type[Outcome]
) -> None:
    sandbox.faults({"match": POST, "kind": "status", "status": status})
    assert type(await post(webhook)) is kind


async def test_a_name_that_is_not_in_the_settings_is_no_destination(
    sandbox: Sandbox, webhook: Webhook
) -> None:
    request: JSONObject = {"name": "http://127.0.0.1/x", "body": {}}
    assert type(await Webhook.post.send(webhook, request, TXN, within=1)) is Failed
    assert type(await Webhook.post.send(webhook, {"name": "desk"}, TXN, within=1)) is Failed
    assert sandbox.state()["hooks"]["posts"] == []


async def test_the_path_of_a_hook_is_in_no_error(sandbox: Sandbox) -> None:
    hooks = {"desk": {"url": f"{sandbox.url}/hooks/webhook/s3cret?key=k3y", "secret": "x" * 16}}
    client = Webhook.from_settings(Settings.model_validate({"webhooks": hooks}))
    sandbox.faults({"match": "POST /hooks/webhook/*", "kind": "hold", "seconds": 1})
    outcome = await client.send("desk", {}, TXN, within=0.2)
    await client.close()
    assert isinstance(outcome, Unknown)
    assert "webhook desk" in outcome.reason
    assert not {"s3cret", "k3y"} & set(outcome.reason.replace("/", " ").split())
    assert sandbox.wait_executed("POST /hooks/webhook/s3cret")


@pytest.mark.parametrize("url", ["ftp://x/y", "not an address", "https://me:pw@x/y", "http://["])
def test_a_webhook_without_an_address_is_named(url: str) -> None:
    hooks = {"desk": {"url": url, "secret": "x"}}
    with pytest.raises(ConfigurationError, match="FAILSOFT_WEBHOOKS__DESK__URL") as caught:
        Webhook.from_settings(Settings.model_validate({"webhooks": hooks}))
    assert "pw" not in str(caught.value)


def test_without_a_receiver_or_a_key_the_missing_setting_is_named() -> None:
    with pytest.raises(MissingSettingError, match="FAILSOFT_WEBHOOKS__"):
        Webhook.from_settings(Settings())
    with pytest.raises(MissingSettingError, match="FAILSOFT_PAGERDUTY_ROUTING_KEY"):
        PagerDuty.from_settings(Settings())
    with pytest.raises(MissingSettingError, match="FAILSOFT_APPRISE__"):
        Apprise.from_settings(Settings())


async def test_an_alert_is_raised_under_the_transaction_id(
    sandbox: Sandbox, pagerduty: PagerDuty
) -> None:
    outcome = await alert(pagerduty, {**ALERT, "summary": "x" * 2000, "details": {"run": "r1"}})
    assert outcome == Done(external_id=TXN, response={"dedup_key": TXN})
    (raised,) = sandbox.state()["hooks"]["alerts"]
    assert raised["dedup_key"] == TXN
    assert raised["payload"]["summary"] == "x" * 1024
    assert raised["payload"]["custom_details"] == {"run": "r1"}


@pytest.mark.parametrize("fault", ["drop_after", "malformed", "truncate", "late_commit"])
async def test_an_alert_whose_answer_is_lost_is_sent_again_and_stays_one(
    sandbox: Sandbox, pagerduty: PagerDuty, fault: str
) -> None:
    sandbox.faults({"match": ENQUEUE, "kind": fault, "times": 1, "seconds": 0.1})
    assert type(await alert(pagerduty)) is Unknown
    assert type(await alert(pagerduty)) is Done
    assert sandbox.wait_executed(ENQUEUE, 2)
    (raised,) = sandbox.state()["hooks"]["alerts"]
    assert raised["events"] == 2


async def test_an_alert_is_closed_by_the_key_that_it_was_given(
    sandbox: Sandbox, pagerduty: PagerDuty
) -> None:
    raised = await alert(pagerduty)
    assert isinstance(raised, Done)
    outcome = await PagerDuty.resolve.send(pagerduty, raised.response, "another txn", within=2)
    assert type(outcome) is Done
    (left,) = sandbox.state()["hooks"]["alerts"]
    assert (left["dedup_key"], left["status"]) == (TXN, "resolve")


@pytest.mark.parametrize("request_", [{}, {"summary": " "}, {**ALERT, "severity": "huge"}])
async def test_an_alert_that_pagerduty_cannot_take_is_not_sent(
    sandbox: Sandbox, pagerduty: PagerDuty, request_: JSONObject
) -> None:
    assert type(await alert(pagerduty, request_)) is Failed
    assert sandbox.state()["requests"] == []


async def test_a_routing_key_that_is_refused_is_named_and_not_shown(sandbox: Sandbox) -> None:
    settings = {"pagerduty_url": f"{sandbox.url}/hooks", "pagerduty_routing_key": "bad-token"}
    client = PagerDuty.from_settings(Settings.model_validate(settings))
    outcome = await alert(client)
    await client.close()
    assert isinstance(outcome, Failed)
    assert "routing_key" in outcome.reason
    assert "bad-token" not in outcome.reason + repr(client)


def apprise(sandbox: Sandbox, **urls: str) -> Apprise:
    host = sandbox.url.removeprefix("http://")
    found = {name: url.format(host=host) for name, url in urls.items()}
    return Apprise.from_settings(Settings.model_validate({"profile": "sandbox", "apprise": found}))


@ODD_IMPORT
async def test_apprise_takes_a_notice_to_the_service_of_that_name(sandbox: Sandbox) -> None:
    client = apprise(sandbox, ops="json://{host}/hooks/webhook/ops")
    await client.notify("ops", "A question", "Is this *right* & <good>?")
    (taken,) = sandbox.state()["hooks"]["posts"]
    said = json.loads(taken["body"])
    assert (said["title"], said["message"]) == ("A question", "Is this *right* & <good>?")


@ODD_IMPORT
async def test_no_error_and_no_log_line_shows_an_apprise_url(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = apprise(sandbox, ops="json://me:s3cret@{host}/hooks/s3cret", odd="bogus://s3cret/x")
    with pytest.raises(TransientError, match="ops") as refused:
        await client.notify("ops", "t", "b")
    with pytest.raises(ConfigurationError, match="FAILSOFT_APPRISE__ODD") as unreadable:
        await client.notify("odd", "t", "b")
    with pytest.raises(MissingSettingError, match="FAILSOFT_APPRISE__NOBODY"):
        await client.notify("nobody", "t", "b")
    shown = f"{refused.value} {unreadable.value} {client!r} {caplog.text}"
    assert "s3cret" not in shown
