"""The simulated Salesforce, seen by simple-salesforce and on the wire."""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce, SFType
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from tests.conftest import Sandbox

TXN = "Failsoft_Txn__c"
TOKEN = "/salesforce/services/oauth2/token"  # noqa: S105  # a path
DATA = "/salesforce/services/data/v66.0"
CREATE = f"POST {DATA}/sobjects/Case/"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_ID = 18
AGENT = {"Authorization": "Bearer sandbox"}


class ToSandbox(HTTPAdapter):
    """Leads the client, which writes https:// before every address, to the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.host = urlsplit(sandbox.url).netloc

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        path = urlsplit(request.url).path.removeprefix("/salesforce")
        query = urlsplit(request.url).query
        request.url = urlunsplit(("http", self.host, f"/salesforce{path}", query, ""))
        return super().send(request, *args, **{**options, "timeout": 5, "proxies": {}})


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", ToSandbox(sandbox))
        yield session


@pytest.fixture
def salesforce(session: requests.Session) -> Salesforce:
    """A client that has logged in by client credentials."""
    return Salesforce(
        domain="acme.my", consumer_key="app", consumer_secret="secret", session=session,  # noqa: S106
        version="66.0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def table(salesforce: Salesforce, kind: str = "Case") -> SFType:
    return cast("SFType", getattr(salesforce, kind))


def rows(salesforce: Salesforce, asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cast("Any", salesforce.query_all(asked))["records"]
    return found


def fields_of(salesforce: Salesforce, kind: str) -> dict[str, dict[str, Any]]:
    described = cast("Any", table(salesforce, kind).describe())
    return {field["name"]: field for field in described["fields"]}


def queue_id(salesforce: Salesforce, name: str) -> str:
    asked = f"SELECT Id FROM Group WHERE Type = 'Queue' AND DeveloperName = '{name}'"
    (row,) = rows(salesforce, asked)
    return str(row["Id"])


def opened(salesforce: Salesforce, **fields: str) -> str:
    given = {"Subject": "It is broken", **fields}
    made = table(salesforce).create(given, headers={"Sforce-Auto-Assign": "FALSE"})
    return str(cast("Any", made)["id"])


def cases(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.state()["salesforce"]["cases"]
    return found


def code_of(refused: pytest.ExceptionInfo[Any]) -> str:
    return str(refused.value.content[0]["errorCode"])


def test_the_client_logs_in_by_client_credentials_and_learns_the_instance(
    salesforce: Salesforce, sandbox: Sandbox
) -> None:
    assert salesforce.session_id.startswith("00D")
    assert salesforce.sf_instance == f"{urlsplit(sandbox.url).netloc}/salesforce"


def test_the_client_logs_in_by_a_signed_jwt(session: requests.Session, private_key: str) -> None:
    client = Salesforce(
        username="bot@example.com", consumer_key="app", privatekey=private_key, session=session
    )
    assert client.session_id.startswith("00D")


def test_the_client_reads_why_a_login_is_refused(session: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client"):
        Salesforce(
            domain="acme.my",
            consumer_key="app",
            consumer_secret="bad-token",  # noqa: S106
            session=session,
        )


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"aud": "https://elsewhere.example"}, "audience"),
        ({"exp": 1_000_000}, "expired"),
        ({"exp": 4_000_000_000}, "expired"),
        ({"sub": ""}, "identifier"),
        ({"iss": ""}, "identifier"),
    ],
)
def test_a_jwt_with_a_wrong_claim_is_refused(
    sandbox: Sandbox, private_key: str, claims: dict[str, Any], word: str
) -> None:
    good = {"iss": "app", "sub": "bot@example.com", "aud": "https://login.salesforce.com"}
    signed = jwt.encode({**good, "exp": 1, **claims}, private_key, algorithm="RS256")
    answer = sandbox.http.post(TOKEN, data={"grant_type": BEARER, "assertion": signed})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert word in answer.json()["error_description"]


@pytest.mark.parametrize("assertion", ["", "a.b", "a.b.c", "e30.e30.x", "é.é.é", "bnVsbA.bnVsbA.x"])
def test_what_is_no_jwt_is_refused(sandbox: Sandbox, assertion: str) -> None:
    answer = sandbox.http.post(TOKEN, data={"grant_type": BEARER, "assertion": assertion})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("grant", ["password", "", "refresh_token"])
def test_no_other_flow_lets_in(sandbox: Sandbox, grant: str) -> None:
    answer = sandbox.http.post(TOKEN, data={"grant_type": grant, "client_secret": "s"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_the_client_opens_reads_and_changes_a_case(
    salesforce: Salesforce, sandbox: Sandbox
) -> None:
    case_id = opened(salesforce, OwnerId=queue_id(salesforce, "Billing"))
    assert len(case_id) == MAX_ID
    table(salesforce).update(
        case_id, {"Priority": "High", "OwnerId": queue_id(salesforce, "Sales")}
    )
    shown = cast("Any", table(salesforce).get(case_id))
    assert (shown["Subject"], shown["Priority"], shown["Status"]) == ("It is broken", "High", "New")
    (case,) = cases(sandbox)
    assert (case["Id"], case["queue"], case["ordinal"]) == (case_id, "Sales", 1)
    assert case["CaseNumber"] == shown["CaseNumber"]


def test_without_the_header_assignment_rules_take_the_owner_away(
    salesforce: Salesforce, sandbox: Sandbox
) -> None:
    billing = queue_id(salesforce, "Billing")
    table(salesforce).create({"Subject": "It is broken", "OwnerId": billing})
    assert [case["queue"] for case in cases(sandbox)] == [None]


def test_the_unique_index_refuses_a_second_case_whatever_the_letters(
    salesforce: Salesforce, sandbox: Sandbox
) -> None:
    opened(salesforce, **{TXN: "txnabc"})
    with pytest.raises(SalesforceMalformedRequest) as refused:
        opened(salesforce, **{TXN: "TXNabc"})
    assert code_of(refused) == "DUPLICATE_VALUE"
    other = opened(salesforce, **{TXN: "other"})
    with pytest.raises(SalesforceMalformedRequest) as refused:
        table(salesforce).update(other, {TXN: "txnABC"})
    assert code_of(refused) == "DUPLICATE_VALUE"
    assert [case[TXN] for case in cases(sandbox)] == ["txnabc", "other"]


def test_the_client_finds_and_upserts_a_case_by_its_external_id(
    salesforce: Salesforce, sandbox: Sandbox
) -> None:
    assert table(salesforce).upsert(f"{TXN}/txnabc", {"Subject": "first"}) == 201
    assert table(salesforce).upsert(f"{TXN}/TXNABC", {"Subject": "second"}) == 200
    found = cast("Any", table(salesforce).get_by_custom_id(TXN, "txnabc"))
    assert found["Subject"] == "second"
    assert len(cases(sandbox)) == 1
    with pytest.raises(SalesforceResourceNotFound):
        table(salesforce).get_by_custom_id(TXN, "nobody")
    with pytest.raises(SalesforceResourceNotFound):
        table(salesforce).get_by_custom_id("Other__c", "txnabc")


def test_the_client_adds_a_mail_to_a_case(salesforce: Salesforce, sandbox: Sandbox) -> None:
    case_id = opened(salesforce)
    mail = {"ParentId": case_id, "TextBody": "hello", "Incoming": True, TXN: "mail1"}
    made = cast("Any", table(salesforce, "EmailMessage").create(mail))["id"]
    (email,) = sandbox.state()["salesforce"]["emails"]
    assert (email["Id"], email["ParentId"], email["Incoming"]) == (made, case_id, True)
    with pytest.raises(SalesforceMalformedRequest) as refused:
        table(salesforce, "EmailMessage").create(mail)
    assert code_of(refused) == "DUPLICATE_VALUE"


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("Case", {"Colour__c": "red"}, "INVALID_FIELD"),
        ("Case", {"CaseNumber": "7"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("Case", {"Subject": "x" * 256}, "STRING_TOO_LONG"),
        ("Case", {"Description": "x" * 32_001}, "STRING_TOO_LONG"),
        ("Case", {TXN: "x" * 41}, "STRING_TOO_LONG"),
        ("Case", {"SuppliedEmail": "not an address"}, "INVALID_EMAIL_ADDRESS"),
        ("Case", {"Subject": 7}, "JSON_PARSER_ERROR"),
        ("Case", {"OwnerId": "00GSB0000000099AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ("EmailMessage", {"ParentId": "500SB0000000099AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ("EmailMessage", {"Incoming": "yes"}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_wrong_field_is_refused_by_its_code_and_nothing_is_made(
    salesforce: Salesforce, sandbox: Sandbox, kind: str, fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        table(salesforce, kind).create(fields, headers={"Sforce-Auto-Assign": "FALSE"})
    assert code_of(refused) == code
    state = sandbox.state()["salesforce"]
    assert (state["cases"], state["emails"]) == ([], [])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_body_that_is_no_object_is_refused(sandbox: Sandbox, body: bytes) -> None:
    answer = sandbox.http.post(f"{DATA}/sobjects/Case", content=body, headers=AGENT)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


def test_the_description_names_the_key_and_the_priorities(salesforce: Salesforce) -> None:
    for kind in ("Case", "EmailMessage"):
        fields = fields_of(salesforce, kind)
        key = fields[TXN]
        facts = (key["externalId"], key["unique"], key["updateable"], key["length"])
        assert facts == (True, True, True, 40)
        assert not fields["Subject"]["unique"]
    choices = fields_of(salesforce, "Case")["Priority"]["picklistValues"]
    values = [one["value"] for one in choices]
    assert values == ["High", "Medium", "Low"]


def test_the_client_asks_for_the_queues_by_name(salesforce: Salesforce) -> None:
    found = rows(salesforce, "SELECT Id, DeveloperName FROM Group WHERE Type = 'Queue'")
    names = [row["DeveloperName"] for row in found]
    assert names == ["Billing", "Technical", "Account", "Returns", "Sales", "Unclassified"]
    assert rows(salesforce, "SELECT Id FROM Group WHERE DeveloperName = 'Nobody'") == []


def test_the_new_cases_of_a_queue_are_found_in_their_order(salesforce: Salesforce) -> None:
    billing, sales = queue_id(salesforce, "Billing"), queue_id(salesforce, "Sales")
    first, _, closed, own, last = [
        opened(salesforce, OwnerId=owner, **more)
        for owner, more in (
            (billing, {}), (sales, {}), (billing, {"Status": "Closed"}), (billing, {TXN: "own"}),
            (billing, {}),
        )
    ]  # fmt: skip
    asked = (
        f"SELECT Id FROM Case WHERE OwnerId = '{billing}' AND IsClosed = false AND {TXN} = null"
        " AND CreatedDate >= 2020-01-01T00:00:00Z ORDER BY CreatedDate ASC, Id LIMIT 10"
    )
    assert [row["Id"] for row in rows(salesforce, asked)] == [first, last]
    assert rows(salesforce, asked.replace("2020", "2999")) == []
    assert {closed, own}.isdisjoint({first, last})


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("", "MALFORMED_QUERY"),
        ("DELETE FROM Case", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Subject = 'a' OR Subject = 'b'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Subject = 'a", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Subject = nothing", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE CreatedDate > yesterday", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case ORDER BY Id SIDEWAYS", "MALFORMED_QUERY"),
        ("SELECT Colour FROM Case", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE Colour = 'a'", "INVALID_FIELD"),
        ("SELECT Id FROM Account", "INVALID_TYPE"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(
    salesforce: Salesforce, asked: str, code: str
) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        rows(salesforce, asked)
    assert code_of(refused) == code


def test_who_is_not_logged_in_is_sent_away(sandbox: Sandbox, session: requests.Session) -> None:
    stale = Salesforce(instance_url="https://acme.my", session_id="bad-token", session=session)
    with pytest.raises(SalesforceExpiredSession) as refused:
        opened(stale)
    assert code_of(refused) == "INVALID_SESSION_ID"
    assert sandbox.http.get(f"{DATA}/query").status_code == 401
    assert cases(sandbox) == []


def test_every_answer_counts_the_calls(salesforce: Salesforce) -> None:
    opened(salesforce)
    rows(salesforce, "SELECT Id FROM Case")
    usage = cast("Any", salesforce.api_usage["api-usage"])
    assert (usage.used, usage.total) == (2, 15_000)


@pytest.mark.parametrize(
    "path", ["/sobjects/Account/001", "/sobjects/Case/500SB0000000001AAA", "/nothing", "/../x"]
)
def test_what_is_not_there_is_said_in_salesforces_words(sandbox: Sandbox, path: str) -> None:
    answer = sandbox.http.get(DATA + path, headers=AGENT)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_the_versions_are_listed_without_a_login(sandbox: Sandbox) -> None:
    listed = sandbox.http.get("/salesforce/services/data").json()
    assert "66.0" in [one["version"] for one in listed]


def test_a_drop_after_the_commit_leaves_a_case_that_the_index_then_knows(
    salesforce: Salesforce, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": CREATE, "kind": "drop_after", "times": 1})
    with pytest.raises(requests.ConnectionError):
        opened(salesforce, **{TXN: "txnabc", "Subject": "first"})
    with pytest.raises(SalesforceMalformedRequest) as refused:
        opened(salesforce, **{TXN: "txnabc", "Subject": "again"})
    assert code_of(refused) == "DUPLICATE_VALUE"
    assert [case["Subject"] for case in cases(sandbox)] == ["first"]


def test_a_late_commit_is_there_later_and_the_index_is_first_come_first_served(
    sandbox: Sandbox, salesforce: Salesforce
) -> None:
    sandbox.faults({"match": CREATE, "kind": "late_commit", "seconds": 0.2, "times": 1})
    with pytest.raises(requests.ConnectionError):
        opened(salesforce, **{TXN: "txnabc", "Subject": "late"})
    opened(salesforce, **{TXN: "txnabc", "Subject": "in time"})
    assert sandbox.wait_executed(CREATE, 1)
    assert [case["Subject"] for case in cases(sandbox)] == ["in time"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "INVALID_SESSION_ID"), (403, "REQUEST_LIMIT_EXCEEDED"), (503, "SERVER_UNAVAILABLE")],
)
def test_a_status_fault_speaks_salesforces_words(sandbox: Sandbox, status: int, code: str) -> None:
    sandbox.faults({"match": f"POST {DATA}/*", "kind": "status", "status": status})
    answer = sandbox.http.post(f"{DATA}/sobjects/Case", json={}, headers=AGENT)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert cases(sandbox) == []
