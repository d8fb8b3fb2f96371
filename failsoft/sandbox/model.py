"""An OpenAI-compatible chat endpoint with an honest stand-in behind it."""

import json
import re
from collections.abc import Iterator, Mapping

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import Answer, Call, Credential, Served, texts
from failsoft.sandbox.contents import spoil
from failsoft.sandbox.keywords import judge

PREFIX = "/v1"
MODELS = ("sandbox-keywords", "sandbox-keywords-b")  # the second for those who switch models
FINGERPRINT = "sandbox-stand-in"
CREATED = 1_700_000_000
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4

_LABELS = re.compile(r"^[ \t>*-]*labels:[ \t]*(.+)$", re.IGNORECASE | re.MULTILINE)


class ModelError(Exception):
    """The endpoint refuses: status, sentence, parameter and code."""

    def __init__(self, status: int, message: str, param: str | None, code: str | None) -> None:
        super().__init__(status, message, param, code)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def complete(call: Call) -> Answer:
    """POST /chat/completions."""
    try:
        _authenticate(call)
        return _complete(call)
    except ModelError as error:
        return _refused(error)


def models(call: Call) -> Answer:
    """GET /models."""
    try:
        _authenticate(call)
    except ModelError as error:
        return _refused(error)
    data: list[JSON] = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "failsoft-sandbox"}
        for name in MODELS
    ]
    return Answer(body={"object": "list", "data": data})


def nothing_here(call: Call) -> Answer:
    """Answer for a path that the endpoint does not have."""
    url = f"Invalid URL ({call.method} {call.path})"
    return _refused(ModelError(404, url, None, None))


def refusal(status: int) -> JSONObject:
    """Return the body of a status as the real service words it."""
    if status == 429:
        return _error("Rate limit reached for requests", "requests", None, "rate_limit_exceeded")
    if status >= 500:
        text = "The server had an error while processing your request. Sorry about that!"
        return _error(text, "server_error", None, None)
    return _error("The request was refused.", "invalid_request_error", None, None)


def count_tokens(text: str) -> int:
    """Return how many tokens a text costs here: one for each four characters begun."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _complete(call: Call) -> Answer:
    try:
        given = call.json()
    except InvalidDataError:
        text = "We could not parse the JSON body of your request."
        raise ModelError(400, text, None, None) from None
    name, messages = _checked(given)
    labels = _schema_labels(given) or _prompt_labels(messages)
    text = _question(messages)
    content, finish = _content(call, given, labels, text)
    tokens_in = sum(count_tokens(words) + TOKENS_PER_MESSAGE for _, words in messages)
    served = Served(tokens_in=tokens_in, tokens_out=count_tokens(content))
    call.world.served.append(served)
    return Answer(body=_completion(call, name, content, finish, served), served=served)


def _content(call: Call, given: JSONObject, labels: list[str], text: str) -> tuple[str, str]:
    """Return the model's words and why it stopped: "stop" or, cut off, "length"."""
    answer = judge(text, labels).as_json()
    content = json.dumps(answer)
    if call.content is not None:
        content = spoil(answer, call.content, labels, text)
    limit = given.get("max_completion_tokens") or given.get("max_tokens")
    if isinstance(limit, int) and count_tokens(content) > limit:
        return content[: limit * CHARACTERS_PER_TOKEN], "length"
    return content, "length" if call.content == "truncated" else "stop"


def _completion(call: Call, name: str, content: str, finish: str, served: Served) -> JSONObject:
    choice: JSONObject = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": finish,
    }
    usage: JSONObject = {
        "prompt_tokens": served.tokens_in,
        "completion_tokens": served.tokens_out,
        "total_tokens": served.tokens_in + served.tokens_out,
    }
    return {
        "id": f"chatcmpl-sandbox-{len(call.world.served)}",
        "object": "chat.completion",
        "created": int(call.world.clock.now()),
        "model": name,
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _authenticate(call: Call) -> None:
    if call.credential is Credential.MISSING:
        raise ModelError(401, "You didn't provide an API key.", None, None)
    if call.credential is Credential.BAD:
        raise ModelError(401, "Incorrect API key provided: bad-****.", None, "invalid_api_key")


def _checked(given: JSONObject) -> tuple[str, list[tuple[str, str]]]:
    """Return the model's name and the messages as (role, text)."""
    name = given.get("model")
    if not isinstance(name, str) or not name:
        raise ModelError(400, "you must provide a model parameter", None, None)
    if name not in MODELS:
        text = f"The model `{name}` does not exist or you do not have access to it."
        raise ModelError(404, text, None, "model_not_found")
    if given.get("stream"):
        text = "The sandbox does not stream."
        raise ModelError(400, text, "stream", "unsupported_value")
    raw = given.get("messages")
    if not isinstance(raw, list) or not raw:
        text = "Missing required parameter: 'messages'."
        raise ModelError(400, text, "messages", "missing_required_parameter")
    return name, [_message(item, place) for place, item in enumerate(raw)]


def _message(item: JSON, place: int) -> tuple[str, str]:
    match item:
        case {"role": str(role), "content": str(text)}:
            return role, text
        case {"role": str(role), "content": [*parts]}:
            found = [part["text"] for part in parts if isinstance(part, dict) and "text" in part]
            return role, "\n".join(texts(found))
        case {"role": str(role)}:
            return role, ""
    text = f"Invalid type for 'messages[{place}]'."
    raise ModelError(400, text, f"messages[{place}]", "invalid_type")


def _schema_labels(given: JSONObject) -> list[str]:
    """Return the enum of the property `label` in the response format, or of any other."""
    enums = dict(_enums(given.get("response_format"), ""))
    return enums.get("label") or next(iter(enums.values()), [])


def _enums(schema: JSON, name: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(schema, Mapping):
        if labels := texts(schema.get("enum")):
            yield name, labels
        for key, value in schema.items():
            yield from _enums(value, key)
    elif isinstance(schema, list):
        for value in schema:
            yield from _enums(value, name)


def _prompt_labels(messages: list[tuple[str, str]]) -> list[str]:
    """Return the labels of the line `Labels: a, b, c`; only the system may offer labels."""
    for role, text in messages:
        if role in {"system", "developer"} and (line := _LABELS.search(text)):
            return [label.strip(" `\"'.") for label in line[1].split(",")]
    text = "The sandbox's model needs labels: a JSON Schema or a system line 'Labels: a, b'."
    raise ModelError(400, text, "messages", "invalid_value")


def _question(messages: list[tuple[str, str]]) -> str:
    """Return what is to be classified: the last message of the user."""
    return next((text for role, text in reversed(messages) if role == "user"), "")


def _refused(error: ModelError) -> Answer:
    body = _error(error.message, "invalid_request_error", error.param, error.code)
    return Answer(status=error.status, body=body)


def _error(message: str, kind: str, param: str | None, code: str | None) -> JSONObject:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
