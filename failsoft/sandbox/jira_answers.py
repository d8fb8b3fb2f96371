"""How Jira answers: its refusals, and who may ask."""

from collections.abc import Iterable
from http import HTTPStatus

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import Answer, Call, Credential, Handler
from failsoft.sandbox.issue_fields import DocumentError
from failsoft.sandbox.jql import JqlError

NO_ISSUE = "Issue does not exist or you do not have permission to see it."
UNREADABLE = "Invalid request payload. Refer to the REST API documentation and try again."


class JiraError(Exception):
    """Jira refuses with `status`, general sentences and sentences by field."""

    def __init__(self, status: int, *messages: str, **errors: str) -> None:
        super().__init__(status, *messages)
        self.status = status
        self.messages = messages
        self.errors = errors


def refusal(
    status: int, messages: Iterable[str] = (), errors: JSONObject | None = None
) -> JSONObject:
    """Return the body of a refusal; without words, the status' own phrase."""
    words: list[JSON] = [*messages]
    if not words and not errors:
        words = [HTTPStatus(status).phrase]
    return {"errorMessages": words, "errors": errors or {}}


def guarded(handler: Handler) -> Handler:
    """Let only known senders in, and put refusals into Jira's words."""

    def handle(call: Call) -> Answer:
        if call.credential is not Credential.GOOD:
            return _stranger()
        try:
            return handler(call)
        except JiraError as error:
            body = refusal(error.status, error.messages, dict(error.errors))
            return Answer(status=error.status, body=body)
        except JqlError as error:
            return Answer(status=400, body=refusal(400, [str(error)]))
        except DocumentError:
            return Answer(status=400, body=refusal(400, ["INVALID_INPUT"]))
        except InvalidDataError:
            return Answer(status=400, body=refusal(400, [UNREADABLE]))

    return handle


def nothing_here(_call: Call) -> Answer:
    """Answer for a path that Jira does not have."""
    return Answer(status=404, body={"message": "null for uri", "status-code": 404})


def page_of(call: Call, name: str, items: list[JSONObject], default: int = 50) -> JSONObject:
    """Cut the page that `startAt` and `maxResults` ask for."""
    try:
        start = int(call.query.get("startAt", 0))
        size = int(call.query.get("maxResults", default))
    except ValueError:
        raise JiraError(400, "startAt and maxResults must be numbers.") from None
    shown: list[JSON] = [*items[start : start + size]]
    page: JSONObject = {"startAt": start, "maxResults": size, "total": len(items), name: shown}
    return page | ({"isLast": start + size >= len(items)} if name == "values" else {})


def _stranger() -> Answer:
    return Answer(
        status=401,
        body={
            "message": "Client must be authenticated to access this resource.",
            "status-code": 401,
        },
        headers={
            "WWW-Authenticate": 'Basic realm="Sandbox"',
            "X-Seraph-LoginReason": "AUTHENTICATED_FAILED",
        },
    )
