"""A model over real HTTP: one question is one request, and each failure says what it may cost."""

import json
from collections.abc import AsyncIterator

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from typing_extensions import override

from failsoft.connectors.models import ChatModel, UnansweredError
from failsoft.errors import RateLimitedError, RefusedError, ToolTimeoutError, TransientError
from failsoft.http import NotSentError
from failsoft.parsing import JSONObject
from failsoft.settings import Settings
from tests.conftest import Sandbox

CHAT = "POST /v1/chat/completions"
NAME = "openai:sandbox-keywords"
QUESTION = [("system", "Labels: billing, platform"), ("user", "The invoice is wrong")]


def settings(sandbox: Sandbox, key: str = "canary-key") -> Settings:
    return Settings.model_validate(
        {
            "profile": "sandbox",
            "model": NAME,
            "model_base_url": f"{sandbox.url}/v1",
            "model_api_key": key,
        }
    )


@pytest.fixture
async def model(sandbox: Sandbox) -> AsyncIterator[ChatModel]:
    made = ChatModel(NAME, settings(sandbox))
    yield made
    await made.close()


def asked(sandbox: Sandbox) -> int:
    return len(sandbox.state()["requests"])


async def test_an_answer_has_its_text_and_its_tokens(sandbox: Sandbox, model: ChatModel) -> None:
    answer = await model.ask(QUESTION, within=5)
    counted = sandbox.state()["model"]
    assert json.loads(answer.text)["label"] == "billing"
    assert (answer.input_tokens, answer.output_tokens) == (
        counted["tokens_in"],
        counted["tokens_out"],
    )
    assert not answer.estimated
    assert answer.model == NAME


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "drop_after"}, UnansweredError),
        ({"kind": "drop_before"}, UnansweredError),
        ({"kind": "malformed"}, UnansweredError),
        ({"kind": "truncate"}, UnansweredError),
        ({"kind": "status", "status": 500}, UnansweredError),
        ({"kind": "status", "status": 503}, UnansweredError),
        ({"kind": "status", "status": 400}, RefusedError),
        ({"kind": "status", "status": 307, "headers": {"Location": "/x"}}, RefusedError),
        ({"kind": "status", "status": 200, "body": {}}, UnansweredError),
        ({"kind": "status", "status": 200, "body": {"choices": []}}, UnansweredError),
        ({"kind": "status", "status": 200, "body": "no JSON"}, UnansweredError),
        ({"kind": "hold", "seconds": 2}, ToolTimeoutError),
        ({"kind": "slow_body", "seconds": 4}, ToolTimeoutError),
    ],
)
async def test_a_failure_is_sorted_and_never_repeated(
    sandbox: Sandbox, model: ChatModel, fault: JSONObject, kind: type[Exception]
) -> None:
    sandbox.faults({"match": CHAT, **fault})
    with pytest.raises(kind) as raised:
        await model.ask(QUESTION, within=1)
    assert type(raised.value) is kind
    assert asked(sandbox) == 1


async def test_429_carries_what_the_provider_asked_for(sandbox: Sandbox, model: ChatModel) -> None:
    sandbox.faults(
        {"match": CHAT, "kind": "status", "status": 429, "headers": {"Retry-After": "2"}}
    )
    with pytest.raises(RateLimitedError) as raised:
        await model.ask(QUESTION, within=5)
    assert raised.value.retry_after == 2
    assert asked(sandbox) == 1


async def test_a_read_time_out_ends_a_call_before_its_total(sandbox: Sandbox) -> None:
    hasty = settings(sandbox)
    hasty.__dict__["timing"] = hasty.timing.model_copy(update={"model": 0.3})
    model = ChatModel(NAME, hasty)
    sandbox.faults({"match": CHAT, "kind": "hold", "seconds": 2})
    with pytest.raises(ToolTimeoutError):
        await model.ask(QUESTION, within=60)
    await model.close()


async def test_a_model_that_is_away_was_not_asked(sandbox: Sandbox) -> None:
    away = settings(sandbox).model_copy(update={"model_base_url": "http://127.0.0.1:9/v1"})
    model = ChatModel(NAME, away)
    with pytest.raises(NotSentError):
        await model.ask(QUESTION, within=5)
    await model.close()


async def test_a_refused_key_is_named_by_its_setting_and_never_shown(sandbox: Sandbox) -> None:
    model = ChatModel(NAME, settings(sandbox, key="bad-token"))
    with pytest.raises(RefusedError, match="FAILSOFT_MODEL_API_KEY") as raised:
        await model.ask(QUESTION, within=5)
    assert "bad-" not in f"{raised.value!r} {raised.value} {model!r} {vars(model)!r}"
    await model.close()


async def test_an_unknown_model_is_refused_with_the_providers_words(sandbox: Sandbox) -> None:
    model = ChatModel("openai:nobody", settings(sandbox))
    with pytest.raises(RefusedError, match="does not exist"):
        await model.ask(QUESTION, within=5)
    await model.close()


async def test_callbacks_see_the_call(model: ChatModel) -> None:
    ended: list[object] = []

    class Listener(AsyncCallbackHandler):
        @override
        async def on_llm_end(self, response: object, **kwargs: object) -> None:
            ended.append(response)

    await model.ask(QUESTION, within=5, config={"callbacks": [Listener()]})
    assert len(ended) == 1


async def test_a_failure_may_be_tried_again_later(sandbox: Sandbox, model: ChatModel) -> None:
    sandbox.faults({"match": CHAT, "kind": "drop_after", "times": 1})
    with pytest.raises(TransientError):
        await model.ask(QUESTION, within=5)
    assert (await model.ask(QUESTION, within=5)).text
