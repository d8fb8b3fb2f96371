"""Salesforce over real HTTP: the unique index keeps a second record out, whatever was lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from failsoft.connectors.clients import Clients
from failsoft.connectors.contract import Absent, Done, Failed, Found, NotSent, Outcome, Unknown
from failsoft.connectors.salesforce import Salesforce
from failsoft.connectors.salesforce_login import JwtBearer
from failsoft.connectors.salesforce_routes import CaseRoute
from failsoft.errors import (
    ConfigurationError,
    MissingSettingError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox

DATA = "/salesforce/services/data/v66.0"
CREATE = f"POST {DATA}/sobjects/Case"
FIND = f"GET {DATA}/sobjects/Case/Failsoft_Txn__c/*"
NUMBER = f"GET {DATA}/sobjects/Case/500SB0000000001AAA"
CHANGE = f"PATCH {DATA}/sobjects/Case/*"
QUERY = f"GET {DATA}/query"
LOGIN = "POST /salesforce/services/oauth2/token"
TXN = "abcdefghij234567klmnopqrst"
CASE_ID = "500SB0000000001AAA"
SECRET = "canary-secret"  # noqa: S105  # a canary


def settings(sandbox: Sandbox, **changed: str | None) -> Settings:
    basic = {
        "profile": "sandbox",
        "salesforce_instance_url": f"{sandbox.url}/salesforce",
        "salesforce_client_id": "app",
        "salesforce_client_secret": SECRET,
    }
    given = {name: value for name, value in {**basic, **changed}.items() if value is not None}
    return Settings.model_validate(given)


@pytest.fixture
async def salesforce(sandbox: Sandbox) -> AsyncIterator[Salesforce]:
    client = Salesforce.from_settings(settings(sandbox))
    yield client
    await client.close()


def wanted(**fields: object) -> JSONObject:
    basic = {
        "subject": "It is broken", "description": "a\n\nb", "queue": "Billing", "priority": "High",
        "supplied_email": "ann@example.com", "supplied_name": "Ann",
    }  # fmt: skip
    made: JSONObject = {**basic, **fields}  # type: ignore[dict-item]  # tests give JSON values
    return made


async def send(
    client: Salesforce, request: JSONObject | None = None, txn: str = TXN, within: float = 2.0
) -> Outcome:
    return await Salesforce.create_case.send(client, request or wanted(), txn, within=within)


async def find(client: Salesforce) -> Found | Absent:
    return await Salesforce.create_case.find(client, wanted(), TXN, {})


def cases(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.state()["salesforce"]["cases"]
    return found


def calls(sandbox: Sandbox, route: str) -> int:
    made = [f"{entry['method']} {entry['path']}" for entry in sandbox.state()["requests"]]
    return made.count(route)


def refusing(route: str, status: int, code: str, *, fields: list[str] | None = None) -> JSONObject:
    body = [{"message": "no", "errorCode": code, "fields": fields or []}]
    return {"match": route, "kind": "status", "status": status, "body": body, "times": 1}  # type: ignore[dict-item]  # JSON


async def test_a_case_is_opened_in_its_queue_and_no_assignment_rule_takes_it_away(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    url = f"{sandbox.url}/salesforce/lightning/r/Case/{CASE_ID}/view"
    assert await send(salesforce) == Done(
        external_id=CASE_ID, response={"id": CASE_ID, "number": "00001001", "url": url}
    )
    (case,) = cases(sandbox)
    assert (case["queue"], case["Priority"], case["Origin"]) == ("Billing", "High", "Email")
    assert (case["Subject"], case["Description"]) == ("It is broken", "a\n\nb")
    assert (case["SuppliedEmail"], case["SuppliedName"]) == ("ann@example.com", "Ann")
    assert case["Failsoft_Txn__c"] == TXN


async def test_a_second_send_is_the_first_case_and_leaves_what_a_person_changed(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    first = await send(salesforce)
    route: JSONObject = {"case_id": CASE_ID, "queue": "Sales", "priority": "Low"}
    await Salesforce.route_case.send(salesforce, route, "x", within=2.0)
    assert await send(salesforce, wanted(subject="other")) == first
    (case,) = cases(sandbox)
    assert (case["queue"], case["Priority"], case["Subject"]) == ("Sales", "Low", "It is broken")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after"},
        {"kind": "malformed"},
        {"kind": "truncate"},
        {"kind": "hold", "seconds": 3},
        {"kind": "status_after", "status": 502},
        {"kind": "status_after", "status": 503},
        {"kind": "slow_body", "seconds": 4},
    ],
)
async def test_an_answer_lost_after_the_commit_is_unknown_found_and_never_made_twice(
    sandbox: Sandbox, salesforce: Salesforce, fault: JSONObject
) -> None:
    sandbox.faults({"match": CREATE, "times": 1, **fault})
    assert type(await send(salesforce, within=0.7)) is Unknown
    found = await find(salesforce)
    assert isinstance(found, Found)
    assert (found.external_id, found.response["number"]) == (CASE_ID, "00001001")
    again = await send(salesforce)
    assert again == Done(external_id=CASE_ID, response=found.response)
    assert len(cases(sandbox)) == 1


@pytest.mark.parametrize("fault", [{"kind": "drop_before"}, {"kind": "status", "status": 503}])
async def test_a_request_lost_before_the_commit_is_unknown_and_surely_absent(
    sandbox: Sandbox, salesforce: Salesforce, fault: JSONObject
) -> None:
    sandbox.faults({"match": CREATE, **fault})
    assert type(await send(salesforce)) is Unknown
    assert await find(salesforce) == Absent(certain=True)


async def test_a_late_commit_after_our_second_send_makes_no_second_case(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults({"match": CREATE, "kind": "late_commit", "seconds": 0.4, "times": 1})
    assert type(await send(salesforce)) is Unknown
    assert await find(salesforce) == Absent(certain=True)
    second = await send(salesforce)
    assert isinstance(second, Done)
    await asyncio.sleep(0.6)
    assert [case["Id"] for case in cases(sandbox)] == [second.external_id]


async def test_a_late_commit_before_our_second_send_is_taken_as_ours(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults({"match": CREATE, "kind": "late_commit", "seconds": 0.2, "times": 1})
    assert type(await send(salesforce)) is Unknown
    sandbox.wait_executed(CREATE)
    assert type(await send(salesforce)) is Done
    assert len(cases(sandbox)) == 1


LOCKED = ("UNABLE_TO_LOCK_ROW", "EXCEEDED_MAX_CONCURRENT_REQUESTS", "TXN_SECURITY_METERING_ERROR")


@pytest.mark.parametrize("code", LOCKED)
async def test_what_salesforce_rolled_back_may_be_sent_again_soon(
    sandbox: Sandbox, salesforce: Salesforce, code: str
) -> None:
    sandbox.faults(refusing(CREATE, 400, code))
    outcome = await send(salesforce)
    assert isinstance(outcome, NotSent)
    assert (outcome.rate_limited, outcome.retry_after) == (False, 1.0)
    assert code in outcome.reason
    assert type(await send(salesforce)) is Done


async def test_the_spent_limit_of_the_organisation_keeps_everybody_away(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults(refusing(CREATE, 403, "REQUEST_LIMIT_EXCEEDED"))
    outcome = await send(salesforce)
    assert isinstance(outcome, NotSent)
    assert outcome.rate_limited
    assert outcome.retry_after == settings(sandbox).timing.retry_cap


async def test_the_spent_limit_does_not_turn_a_search_into_a_refusal(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults(refusing(FIND, 403, "REQUEST_LIMIT_EXCEEDED"))
    with pytest.raises(RateLimitedError) as limited:
        await find(salesforce)
    assert limited.value.retry_after == settings(sandbox).timing.retry_cap


async def test_429_waits_as_long_as_it_asks(sandbox: Sandbox, salesforce: Salesforce) -> None:
    sandbox.faults(
        {"match": CREATE, "kind": "status", "status": 429, "headers": {"Retry-After": "7"}}
    )
    outcome = await send(salesforce)
    assert isinstance(outcome, NotSent)
    assert (outcome.rate_limited, outcome.retry_after) == (True, 7.0)


REFUSALS = (
    "DUPLICATES_DETECTED", "REQUIRED_FIELD_MISSING", "INVALID_FIELD", "INVALID_CROSS_REFERENCE_KEY",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION", "INSUFFICIENT_ACCESS_OR_READONLY",
)  # fmt: skip


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_is_final_and_names_the_code_and_the_fields(
    sandbox: Sandbox, salesforce: Salesforce, code: str
) -> None:
    sandbox.faults(refusing(CREATE, 400, code, fields=["Priority", "Colour__c"]))
    outcome = await send(salesforce)
    assert isinstance(outcome, Failed)
    assert f"{code} (Priority, Colour__c)" in outcome.reason
    assert await find(salesforce) == Absent(certain=True)


async def test_a_duplicate_of_another_unique_field_is_no_success(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults(refusing(CREATE, 400, "DUPLICATE_VALUE", fields=["Invoice__c"]))
    outcome = await send(salesforce)
    assert isinstance(outcome, Failed)
    assert "DUPLICATE_VALUE (Invoice__c)" in outcome.reason


async def test_a_duplicate_of_ours_that_we_may_not_see_is_no_refusal(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    said = "duplicate value found: Failsoft_Txn__c duplicates value on record with id: 500x"
    body = [{"message": said, "errorCode": "DUPLICATE_VALUE", "fields": []}]
    sandbox.faults({"match": CREATE, "kind": "status", "status": 400, "body": body})
    assert isinstance(await send(salesforce), Unknown)


async def test_a_duplicate_that_cannot_be_read_now_is_unknown(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    await send(salesforce)
    sandbox.faults({"match": FIND, "kind": "status", "status": 500})
    assert type(await send(salesforce)) is Unknown


async def test_a_case_whose_number_cannot_be_read_is_done_all_the_same(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults({"match": NUMBER, "kind": "drop_before"})
    outcome = await send(salesforce)
    assert isinstance(outcome, Done)
    assert (outcome.external_id, outcome.response["number"]) == (CASE_ID, "")


async def test_an_expired_token_is_renewed_once_and_the_call_repeated(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    await salesforce.queue_id("Billing")
    sandbox.faults({"match": CREATE, "kind": "status", "status": 401, "times": 1})
    assert type(await send(salesforce)) is Done
    assert (calls(sandbox, LOGIN), calls(sandbox, CREATE), len(cases(sandbox))) == (2, 2, 1)


async def test_an_expired_token_is_renewed_for_a_search_too(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    await send(salesforce)
    sandbox.faults({"match": FIND, "kind": "status", "status": 401, "times": 1})
    assert type(await find(salesforce)) is Found
    assert calls(sandbox, LOGIN) == 2


async def test_a_new_token_that_is_refused_too_means_that_nothing_was_sent(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults({"match": CREATE, "kind": "status", "status": 401})
    outcome = await send(salesforce)
    assert isinstance(outcome, NotSent)
    assert "INVALID_SESSION_ID" in outcome.reason
    assert (calls(sandbox, LOGIN), calls(sandbox, CREATE)) == (2, 2)


async def test_many_writes_at_once_share_one_login(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    outcomes = await asyncio.gather(*(send(salesforce, txn=f"txn{n}") for n in range(8)))
    assert {type(outcome) for outcome in outcomes} == {Done}
    assert (calls(sandbox, LOGIN), len(cases(sandbox))) == (1, 8)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after"},
        {"kind": "status", "status": 500},
        {"kind": "malformed"},
        {"kind": "hold", "seconds": 3},
        {"kind": "status", "status": 400, "body": {"error": "invalid_client"}},
    ],
)
async def test_a_login_that_fails_means_that_nothing_was_sent(
    sandbox: Sandbox, salesforce: Salesforce, fault: JSONObject
) -> None:
    sandbox.faults({"match": LOGIN, **fault})
    outcome = await send(salesforce, within=0.5)
    assert isinstance(outcome, NotSent)
    assert (calls(sandbox, CREATE), cases(sandbox)) == (0, [])
    assert SECRET not in str(outcome)


async def test_a_login_that_takes_too_long_leaves_no_time_to_send(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    mail: JSONObject = {"case_id": CASE_ID, "text": "x", "message_id": "<1@example.com>"}
    sandbox.faults({"match": LOGIN, "kind": "hold", "seconds": 1.5})
    outcome = await Salesforce.add_email.send(salesforce, mail, TXN, within=0.3)
    assert isinstance(outcome, NotSent)
    assert sandbox.state()["salesforce"]["emails"] == []


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()  # fmt: skip


async def test_the_jwt_flow_logs_in_with_what_its_key_signed(
    sandbox: Sandbox, key: rsa.RSAPrivateKey
) -> None:
    client = Salesforce.from_settings(
        settings(
            sandbox, salesforce_client_secret=None, salesforce_username="bot@example.com",
            salesforce_private_key=pem(key), salesforce_audience="https://test.salesforce.com",
        )
    )  # fmt: skip
    assert type(await send(client)) is Done
    await client.close()
    assert len(cases(sandbox)) == 1


def test_the_jwt_is_signed_by_the_key_and_short_lived(key: rsa.RSAPrivateKey) -> None:
    grant = JwtBearer(
        client_id="app", username="bot@example.com", private_key=SecretStr(pem(key)),
        audience="https://login.salesforce.com",
    )  # fmt: skip
    now = time.time()
    form = grant.form(now)
    claims = jwt.decode(
        str(form["assertion"]), key.public_key(), ["RS256"], audience=grant.audience
    )
    assert (claims["iss"], claims["sub"], claims["exp"]) == ("app", grant.username, int(now) + 180)


async def test_a_jwt_for_the_wrong_audience_is_refused_with_a_hint(
    sandbox: Sandbox, key: rsa.RSAPrivateKey
) -> None:
    client = Salesforce.from_settings(
        settings(
            sandbox, salesforce_username="bot@example.com", salesforce_private_key=pem(key),
            salesforce_audience="https://elsewhere.example",
        )
    )  # fmt: skip
    outcome = await send(client)
    await client.close()
    assert isinstance(outcome, NotSent)
    assert "audience is invalid" in outcome.reason
    assert "run-as user" in outcome.reason


async def test_a_key_that_is_no_key_is_refused_without_showing_it(sandbox: Sandbox) -> None:
    client = Salesforce.from_settings(
        settings(
            sandbox, salesforce_username="bot@example.com", salesforce_private_key="canary-key"
        )
    )
    outcome = await send(client)
    await client.close()
    assert isinstance(outcome, NotSent)
    assert "FAILSOFT_SALESFORCE_PRIVATE_KEY" in outcome.reason
    assert "canary-key" not in outcome.reason


async def test_an_unknown_queue_is_a_refusal_before_anything_is_written(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    outcome = await send(salesforce, wanted(queue="Nobody"))
    assert outcome == Failed(reason="Salesforce has no queue 'Nobody'")
    assert calls(sandbox, CREATE) == 0


async def test_a_queue_is_looked_up_once(sandbox: Sandbox, salesforce: Salesforce) -> None:
    for number in range(3):
        await send(salesforce, txn=f"txn{number}")
    assert calls(sandbox, QUERY) == 1


async def test_a_queue_that_cannot_be_looked_up_now_means_that_nothing_was_sent(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults({"match": QUERY, "kind": "drop_after", "times": 1})
    assert type(await send(salesforce)) is NotSent
    sandbox.faults(refusing(QUERY, 403, "REQUEST_LIMIT_EXCEEDED"))
    outcome = await send(salesforce)
    assert isinstance(outcome, NotSent)
    assert outcome.rate_limited
    sandbox.faults({"match": QUERY, "kind": "hold", "seconds": 1})
    assert type(await send(salesforce, within=0.3)) is NotSent
    assert cases(sandbox) == []


@pytest.mark.parametrize("row", [{}, {"Id": 7}, {"Id": ""}, {"Id": "x' OR Id != '"}])
async def test_a_queue_without_a_readable_id_means_that_nothing_was_sent(
    sandbox: Sandbox, salesforce: Salesforce, row: JSONObject
) -> None:
    body = {"records": [row], "done": True}
    sandbox.faults({"match": QUERY, "kind": "status", "status": 200, "body": body})
    assert type(await send(salesforce)) is NotSent
    assert calls(sandbox, CREATE) == 0


@pytest.mark.parametrize("body", [[], {}, {"id": None}, {"id": 7}, {"id": "../x"}, "yes"])
async def test_a_201_without_a_readable_id_is_unknown(
    sandbox: Sandbox, salesforce: Salesforce, body: object
) -> None:
    fault = {"match": CREATE, "kind": "status", "status": 201, "body": body}
    sandbox.faults(fault)
    assert type(await send(salesforce)) is Unknown


@pytest.mark.parametrize("queue", ["", "It's", "a b", "x' OR Name != '", 7, None, "9lives"])
async def test_what_is_no_name_of_a_queue_never_reaches_a_query(
    sandbox: Sandbox, salesforce: Salesforce, queue: object
) -> None:
    assert type(await send(salesforce, wanted(queue=queue))) is Failed
    assert calls(sandbox, QUERY) == 0


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("ann@example.com", "Ann"), ("ann@example.com", "Ann")),
        (("ann@localhost", "Ann"), (None, "Ann")),
        (("ann@localhost", ""), (None, "ann@localhost")),
        (("a" * 80 + "@example.com", ""), (None, "a" * 80)),
        (("ann@ex\xe4mple.com", ""), (None, "ann@ex\xe4mple.com")),
        (("", ""), (None, None)),
    ],
)
async def test_an_odd_address_does_not_cost_the_case(
    sandbox: Sandbox, salesforce: Salesforce, given: tuple[str, str], shown: tuple[str, str]
) -> None:
    request = wanted(supplied_email=given[0], supplied_name=given[1])
    assert type(await send(salesforce, request)) is Done
    (case,) = cases(sandbox)
    assert (case.get("SuppliedEmail"), case.get("SuppliedName")) == shown


async def test_what_is_too_long_is_cut_to_what_salesforce_takes(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    long = wanted(subject="s" * 900, description="d" * 90_000, supplied_name="n" * 900)
    assert type(await send(salesforce, long)) is Done
    (case,) = cases(sandbox)
    lengths = [len(case[name]) for name in ("Subject", "Description", "SuppliedName")]
    assert lengths == [255, 32_000, 80]


async def test_what_is_too_long_is_cut_between_two_characters_never_within_one(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    fire = "\N{FIRE}"
    assert type(await send(salesforce, wanted(subject=f"a{fire * 255}"))) is Done
    assert type(await send(salesforce, wanted(subject=fire * 255), "other")) is Done
    assert [case["Subject"] for case in cases(sandbox)] == [f"a{fire * 127}", fire * 127]


MAIL: JSONObject = {
    "case_id": CASE_ID, "subject": "Re: x", "text": "more", "from_address": "ann@example.com",
    "from_name": "Ann", "to_address": "support@example.com", "message_id": "<1@example.com>",
    "incoming": True,
}  # fmt: skip


async def test_a_mail_joins_its_case_once(sandbox: Sandbox, salesforce: Salesforce) -> None:
    await send(salesforce)
    add, route = Salesforce.add_email, f"POST {DATA}/sobjects/EmailMessage"
    sandbox.faults({"match": route, "kind": "drop_after", "times": 1})
    assert type(await add.send(salesforce, MAIL, "mail1", within=2.0)) is Unknown
    found = await add.find(salesforce, MAIL, "mail1", {})
    again = await add.send(salesforce, MAIL, "mail1", within=2.0)
    (email,) = sandbox.state()["salesforce"]["emails"]
    assert isinstance(found, Found)
    assert isinstance(again, Done)
    assert found.external_id == again.external_id == email["Id"]
    assert (email["ParentId"], email["MessageIdentifier"]) == (CASE_ID, "<1@example.com>")
    assert (email["Incoming"], email["Status"], email["TextBody"]) == (True, "0", "more")


@pytest.mark.parametrize("case_id", ["", "500", "../Account/001", "500SB0000000009AAA"])
async def test_a_mail_of_no_case_is_refused(
    sandbox: Sandbox, salesforce: Salesforce, case_id: str
) -> None:
    request: JSONObject = {**MAIL, "case_id": case_id}
    outcome = await Salesforce.add_email.send(salesforce, request, "mail1", within=2.0)
    assert type(outcome) is Failed
    assert sandbox.state()["salesforce"]["emails"] == []


async def test_routing_twice_is_routing_once(sandbox: Sandbox, salesforce: Salesforce) -> None:
    await send(salesforce)
    route: JSONObject = {"case_id": CASE_ID, "queue": "Returns", "priority": "Low"}
    sandbox.faults({"match": CHANGE, "kind": "drop_after", "times": 1})
    assert type(await Salesforce.route_case.send(salesforce, route, "x", within=2.0)) is Unknown
    assert await Salesforce.route_case.find(salesforce, route, "x", {}) == Absent(certain=True)
    assert type(await Salesforce.route_case.send(salesforce, route, "x", within=2.0)) is Done
    (case,) = cases(sandbox)
    assert (case["queue"], case["Priority"], case["Failsoft_Txn__c"]) == ("Returns", "Low", TXN)


async def test_routing_a_case_that_is_gone_is_refused(salesforce: Salesforce) -> None:
    route: JSONObject = {"case_id": "500SB0000000009AAA", "queue": "Returns", "priority": "Low"}
    outcome = await Salesforce.route_case.send(salesforce, route, "x", within=2.0)
    assert isinstance(outcome, Failed)
    assert "NOT_FOUND" in outcome.reason


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop_after"}, TransientError),
        ({"kind": "status", "status": 500}, TransientError),
        ({"kind": "malformed"}, TransientError),
        ({"kind": "status", "status": 200, "body": {}}, TransientError),
        ({"kind": "status", "status": 403, "body": []}, RefusedError),
        ({"kind": "status", "status": 302}, RefusedError),
    ],
)
async def test_a_search_that_fails_proves_nothing(
    sandbox: Sandbox, salesforce: Salesforce, fault: JSONObject, error: type[Exception]
) -> None:
    await send(salesforce)
    sandbox.faults({"match": FIND, **fault})
    with pytest.raises(error):
        await find(salesforce)


async def test_the_usage_of_the_limit_is_noted(salesforce: Salesforce) -> None:
    await send(salesforce)
    assert salesforce.session.usage.startswith("api-usage=")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"salesforce_instance_url": None}, "FAILSOFT_SALESFORCE_INSTANCE_URL"),
        ({"salesforce_client_id": None}, "FAILSOFT_SALESFORCE_CLIENT_ID"),
        ({"salesforce_client_secret": None}, "FAILSOFT_SALESFORCE_CLIENT_SECRET"),
        ({"salesforce_private_key": "x"}, "FAILSOFT_SALESFORCE_USERNAME"),
    ],
)
def test_what_is_not_set_is_named(
    sandbox: Sandbox, changed: dict[str, str | None], named: str
) -> None:
    with pytest.raises(MissingSettingError, match=named):
        Salesforce.from_settings(settings(sandbox, **changed))


async def test_no_secret_is_in_what_is_shown(sandbox: Sandbox, salesforce: Salesforce) -> None:
    sandbox.faults({"match": LOGIN, "kind": "status", "status": 400, "body": {"error": "invalid"}})
    with pytest.raises(PermanentError) as refused:
        await salesforce.queue_id("Billing")
    shown = repr(salesforce) + repr(salesforce.session.login) + str(refused.value)
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (CaseRoute(queue="Billing", priority="High"), "queue Billing, priority High"),
        (CaseRoute(queue="Nobody", priority="High"), "no queue 'Nobody'"),
        (CaseRoute(queue="Billing", priority="Urgent"), "only High, Medium, Low"),
    ],
)
async def test_a_route_is_checked_against_the_organisation(
    sandbox: Sandbox, route: CaseRoute, said: str
) -> None:
    clients = Clients(settings(sandbox))
    try:
        answer = await route.check(clients)
    except ConfigurationError as error:
        answer = str(error)
    finally:
        await clients.close()
    assert said in answer
