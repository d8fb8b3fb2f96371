"""A model is named, priced and sorted without the SDK of its provider."""

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, SecretStr
from typing_extensions import override

from failsoft.connectors.models import ChatModel, UnansweredError, estimate_tokens, price_of
from failsoft.errors import (
    ConfigurationError,
    FailsoftError,
    MissingExtraError,
    MissingSettingError,
    RateLimitedError,
    RefusedError,
    ToolTimeoutError,
)
from failsoft.http import NotSentError
from failsoft.settings import Settings

KEY = SecretStr("canary-key")


class Stand(BaseChatModel):
    """Stands in for LangChain's class of a provider that is not installed here."""

    model_config = ConfigDict(extra="allow")

    raises: ClassVar[BaseException | None] = None
    message: ClassVar[AIMessage] = AIMessage("fine")
    given: ClassVar[dict[str, object]] = {}

    def model_post_init(self, context: object, /) -> None:
        Stand.given = dict(self.model_extra or {})
        super().model_post_init(context)

    @property
    def _llm_type(self) -> str:
        return "stand"

    @property
    def _async_client(self) -> SimpleNamespace:
        return SimpleNamespace(with_options=lambda **_: None)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        raise NotImplementedError

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        if isinstance(self.raises, asyncio.TimeoutError):
            await asyncio.sleep(60)
        if self.raises is not None:
            raise self.raises
        return ChatResult(generations=[ChatGeneration(message=self.message)])


class StatusError(Exception):
    """Shaped like the status errors of the SDKs."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__("no: canary-key was sent")
        self.status_code = status
        self.response = ModuleType("response")
        self.response.headers = {  # type: ignore[attr-defined]  # a bag of attributes
            name.replace("_", "-"): value for name, value in headers.items()
        }


class APITimeoutError(Exception):
    """Named as the SDKs name theirs."""


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> type[Stand]:
    for package, name in (
        ("langchain_anthropic", "ChatAnthropic"),
        ("langchain_ollama", "ChatOllama"),
    ):
        module = ModuleType(package)
        setattr(module, name, Stand)
        monkeypatch.setitem(sys.modules, package, module)
    monkeypatch.setattr(Stand, "raises", None)
    return Stand


def settings(**given: object) -> Settings:
    return Settings.model_validate({"model_api_key": KEY, **given})


async def failure(
    stand: type[Stand], error: BaseException, name: str = "anthropic:m"
) -> FailsoftError:
    stand.raises = error
    with pytest.raises(FailsoftError) as raised:
        await ChatModel(name, settings()).ask([("user", "x")], within=0.2)
    assert "canary" not in f"{raised.value!r}{raised.value}"
    return raised.value


@pytest.mark.parametrize("name", ["", "gpt", "openai:", "openai: ", ":m", "nobody:m", "OpenAI:m"])
def test_a_malformed_name_or_unknown_provider_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="provider:model"):
        ChatModel(name, settings())


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    with pytest.raises(MissingExtraError, match=r"failsoft\[anthropic\]"):
        ChatModel("anthropic:m", settings())


def test_a_missing_key_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingSettingError, match="FAILSOFT_MODEL_API_KEY"):
        ChatModel("openai:m", Settings())


def test_a_key_goes_to_no_other_provider(
    stand: type[Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "theirs")
    given = settings(model="openai:m", model_base_url="http://127.0.0.1:9/v1")
    ChatModel("anthropic:m", given)
    assert stand.given["api_key"] == SecretStr("theirs")
    assert stand.given["base_url"] == "https://api.anthropic.com"


def test_the_sdk_neither_repeats_nor_waits_for_ever(stand: type[Stand]) -> None:
    ChatModel("anthropic:m", settings())
    assert (stand.given["max_retries"], stand.given["timeout"]) == (0, 60.0)


async def test_tokens_that_nobody_counted_are_an_estimate(stand: type[Stand]) -> None:
    answer = await ChatModel("anthropic:m", settings()).ask([("user", "x" * 9)], within=1)
    assert (answer.text, answer.input_tokens, answer.output_tokens) == ("fine", 3, 2)
    assert answer.estimated
    assert answer.model == "anthropic:m"
    assert stand.raises is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StatusError(400), RefusedError),
        (StatusError(401), RefusedError),
        (StatusError(404), RefusedError),
        (StatusError(302), RefusedError),
        (StatusError(408), UnansweredError),
        (StatusError(500), UnansweredError),
        (StatusError(529), UnansweredError),
        (StatusError(200), UnansweredError),
        (APITimeoutError(), ToolTimeoutError),
        (TimeoutError(), ToolTimeoutError),
        (ValueError("no JSON"), UnansweredError),
        (KeyError("choices"), UnansweredError),
        (ConnectionError("reset"), UnansweredError),
    ],
)
async def test_failures_are_sorted_by_status_and_family(
    stand: type[Stand], error: BaseException, kind: type[FailsoftError]
) -> None:
    assert type(await failure(stand, error)) is kind


async def test_429_carries_what_the_provider_asked_for(stand: type[Stand]) -> None:
    found = await failure(stand, StatusError(429, retry_after="7"))
    assert isinstance(found, RateLimitedError)
    assert found.retry_after == 7


async def test_a_spent_quota_is_no_rate_limit(stand: type[Stand]) -> None:
    error = StatusError(429)
    error.code = "insufficient_quota"  # type: ignore[attr-defined]  # as openai's errors have it
    assert type(await failure(stand, error)) is RefusedError


async def test_an_ollama_that_is_away_was_not_asked(stand: type[Stand]) -> None:
    assert type(await failure(stand, ConnectionError(), "ollama:m")) is NotSentError


async def test_the_trouble_of_the_caller_is_not_taken_for_ours(stand: type[Stand]) -> None:
    """A second model is asked while the first one's connect error is handled."""
    import httpx2

    try:
        raise httpx2.ConnectError("the first model")  # noqa: TRY301 - its handler is the point
    except httpx2.ConnectError:
        found = await failure(stand, StatusError(500))
    assert type(found) is UnansweredError


def test_the_override_wins_over_the_price_list() -> None:
    assert price_of("openai:gpt-4o-mini", 1_000_000, 1_000_000, "1.5/2") == 3_500_000


def test_a_known_model_has_a_price_above_nothing() -> None:
    cheap, dear = (price_of("openai:gpt-4o-mini", tokens, 10) for tokens in (10, 1_000_000))
    assert cheap is not None
    assert dear is not None
    assert 0 < cheap < dear


def test_a_price_is_rounded_up() -> None:
    assert price_of("x:y", 1, 0, "0.1/0") == 1


def test_an_unknown_model_has_no_price() -> None:
    assert price_of("openai:no-such-model-at-all", 1, 1) is None
    assert price_of("nobody:m", 1, 1) is None


def test_a_model_on_our_own_machine_costs_nothing() -> None:
    assert price_of("ollama:llama3", 1000, 1000) == 0


@pytest.mark.parametrize("override", ["", "1", "1/2/3", "a/b", "-1/2", "nan/1", "inf/1"])
def test_an_override_is_two_prices(override: str) -> None:
    with pytest.raises(ConfigurationError, match="FAILSOFT_MODEL_PRICE"):
        price_of("x:y", 1, 1, override)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abc", 1), ("é" * 3, 2), ("\ud800", 1)]
)
def test_an_estimate_counts_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
