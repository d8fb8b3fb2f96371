"""Salesforce's REST API as far as support mail needs it: login, Case, EmailMessage, SOQL.

A JWT is read but its signature is not checked: the sandbox has nobody's certificate.
"""

import base64
import binascii
from collections.abc import Callable
from functools import wraps
from urllib.parse import parse_qsl

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, parse_object
from failsoft.sandbox.call import Answer, Call, Credential, Handler, credential
from failsoft.sandbox.salesforce_fields import FIELDS, TXN, described
from failsoft.sandbox.salesforce_records import Refusal
from failsoft.sandbox.soql import read_query

PREFIX = "/salesforce"
API = "/services/data/v{version:[0-9]+[.]0}"
WRITABLE = ("Case", "EmailMessage")
LIMIT = 15_000  # calls in 24 hours
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
STANDARD = {
    400: ("UNKNOWN_EXCEPTION", "bad request"),
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    503: ("SERVER_UNAVAILABLE", "Server is temporarily unavailable"),
}


def guarded(handler: Callable[[Call], Answer]) -> Handler:
    """Let in only who is logged in, count the call, and put a refusal in Salesforce's words."""

    @wraps(handler)
    def answer(call: Call) -> Answer:
        store = call.world.salesforce
        store.calls += 1
        limit = {"Sforce-Limit-Info": f"api-usage={store.calls}/{LIMIT}"}
        if call.credential is not Credential.GOOD:
            return Answer(status=401, body=refusal(401), headers=limit)
        try:
            given = handler(call)
        except Refusal as no:
            body: JSON = [{"message": no.message, "errorCode": no.code, "fields": [*no.fields]}]
            return Answer(status=no.status, body=body, headers=limit)
        return Answer(status=given.status, body=given.body, headers=limit)

    return answer


def token(call: Call) -> Answer:
    """Log in, by client credentials or by a signed JWT."""
    form = dict(parse_qsl(call.payload.decode(errors="replace")))
    kind = form.get("grant_type")
    if kind == "client_credentials":
        shown = form.get("client_secret") or _basic(call)
        if credential(shown) is not Credential.GOOD:
            return _no_login("invalid_client", "invalid client credentials")
    elif kind == BEARER:
        if problem := _assertion_problem(form.get("assertion", ""), call.world.clock.now()):
            return _no_login("invalid_grant", problem)
    else:
        return _no_login("unsupported_grant_type", "grant type not supported")
    body: JSONObject = {
        "access_token": f"00DSANDBOX!{call.ordinal:08d}",
        "instance_url": call.origin + PREFIX,
        "id": f"{call.origin}{PREFIX}/id/00DSANDBOX/005SANDBOX",
        "token_type": "Bearer",
        "scope": "api",
        "issued_at": str(int(call.world.clock.now() * 1000)),
        "signature": "c2FuZGJveA==",
    }
    return Answer(body=body)


def versions(_call: Call) -> Answer:
    return Answer(
        body=[
            {"label": "Winter", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(59, 68)
        ]
    )


@guarded
def describe(call: Call) -> Answer:
    return Answer(body=described(_kind(call)))


@guarded
def create(call: Call) -> Answer:
    """Make a record; assignment rules take a case's owner away unless a header forbids it."""
    kind, given = _kind(call), _body(call)
    if kind == "Case" and call.headers.get("sforce-auto-assign", "").upper() != "FALSE":
        given.pop("OwnerId", None)
    made = call.world.salesforce.create(kind, given, ordinal=call.ordinal)
    return Answer(status=201, body={"id": made["Id"], "success": True, "errors": []})


@guarded
def read(call: Call) -> Answer:
    kind = _kind(call)
    return _shown(call, kind, call.world.salesforce.get(kind, call.parts["id"]))


@guarded
def change(call: Call) -> Answer:
    store, kind = call.world.salesforce, _kind(call)
    store.change(kind, store.get(kind, call.parts["id"]), _body(call))
    return Answer(status=204)


@guarded
def read_by_key(call: Call) -> Answer:
    kind = _kind(call)
    return _shown(call, kind, _by_key(call, kind))


@guarded
def upsert(call: Call) -> Answer:
    """Change the record that the index knows, or make one."""
    store, kind, body = call.world.salesforce, _kind(call), _body(call)
    try:
        row = _by_key(call, kind)
    except Refusal as no:
        if no.code != "NOT_FOUND":
            raise
        given = {**body, TXN: call.parts["value"]}
        row = store.create(kind, given, ordinal=call.ordinal)
        made: JSONObject = {"id": row["Id"], "success": True, "errors": [], "created": True}
        return Answer(status=201, body=made)
    store.change(kind, row, body)
    return Answer(body={"id": row["Id"], "success": True, "errors": [], "created": False})


@guarded
def query(call: Call) -> Answer:
    try:
        asked = read_query(call.query.get("q", ""))
    except InvalidDataError as error:
        code = "INVALID_TYPE" if "sObject type" in str(error) else "MALFORMED_QUERY"
        code = "INVALID_FIELD" if "No such column" in str(error) else code
        raise Refusal(code=code, message=str(error)) from None
    rows = asked.of(call.world.salesforce.rows[asked.kind].values())
    records: list[JSON] = [{"attributes": _attributes(asked.kind, row), **row} for row in rows]
    return Answer(body={"totalSize": len(records), "done": True, "records": records})


@guarded
def nothing_here(_call: Call) -> Answer:
    """Answer for a path that Salesforce does not have."""
    return Answer(status=404, body=refusal(404))


def refusal(status: int) -> JSON:
    """Return the body of a status that Salesforce answers."""
    code, message = STANDARD.get(status, ("UNKNOWN_EXCEPTION", f"status {status}"))
    return [{"message": message, "errorCode": code, "fields": []}]


def _kind(call: Call) -> str:
    kind = call.parts["kind"]
    if kind not in WRITABLE:
        raise Refusal(code="NOT_FOUND", message=f"There is no {kind[:40]} here", status=404)
    return kind


def _body(call: Call) -> JSONObject:
    try:
        return call.json()
    except InvalidDataError:
        raise Refusal(code="JSON_PARSER_ERROR", message="Unexpected character") from None


def _by_key(call: Call, kind: str) -> JSONObject:
    if call.parts["field"].lower() != TXN.lower():
        message = f"Provided external ID field does not exist: {call.parts['field'][:40]}"
        raise Refusal(code="NOT_FOUND", message=message, status=404)
    row = call.world.salesforce.by_txn(kind, call.parts["value"])
    if row is None:
        raise Refusal(code="NOT_FOUND", message=STANDARD[404][1], status=404)
    return row


def _shown(call: Call, kind: str, row: JSONObject) -> Answer:
    """Show a record whole, or the fields that `fields` names."""
    wanted = [name for name in call.query.get("fields", "").split(",") if name] or [*FIELDS[kind]]
    for name in wanted:
        if name not in FIELDS[kind]:
            message = f"No such column '{name[:40]}' on sobject of type {kind}"
            raise Refusal(code="INVALID_FIELD", message=message)
    return Answer(
        body={"attributes": _attributes(kind, row), **{name: row.get(name) for name in wanted}}
    )


def _attributes(kind: str, row: JSONObject) -> JSONObject:
    return {"type": kind, "url": f"/services/data/v66.0/sobjects/{kind}/{row.get('Id')}"}


def _assertion_problem(assertion: str, now: float) -> str:
    """Return what is wrong with a JWT, "" when it may pass."""
    try:
        head, claims = (parse_object(_decoded(part)) for part in assertion.split(".")[:2])
        expires = float(str(claims.get("exp")))
    except (InvalidDataError, ValueError, binascii.Error):
        return "invalid assertion"
    if head.get("alg") != "RS256" or assertion.count(".") != 2:
        return "invalid assertion"
    if not claims.get("iss") or not claims.get("sub"):
        return "client identifier invalid"
    if claims.get("aud") not in AUDIENCES:
        return "audience is invalid"
    return "" if now < expires <= now + 300 else "assertion expired"


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _basic(call: Call) -> str:
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    try:
        shown = base64.b64decode(value).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return shown.partition(":")[2]


def _no_login(error: str, description: str) -> Answer:
    return Answer(status=400, body={"error": error, "error_description": description})


_RECORD = API + "/sobjects/{kind}"
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/services/oauth2/token", token),
    ("GET", "/services/data", versions),
    ("GET", "/services/data/", versions),
    ("GET", API + "/query", query),
    ("GET", API + "/query/", query),
    ("GET", _RECORD + "/describe", describe),
    ("POST", _RECORD, create),
    ("POST", _RECORD + "/", create),
    ("GET", _RECORD + "/{id}", read),
    ("PATCH", _RECORD + "/{id}", change),
    ("GET", _RECORD + "/{field}/{value}", read_by_key),
    ("PATCH", _RECORD + "/{field}/{value}", upsert),
    ("*", "/{rest:.*}", nothing_here),
)
