"""Chat models behind one question: what was said, what it cost, or how it failed.

The SDK of a provider is imported when its model is built, and sorted by status codes and class
families, so that none of them is needed to read this file. Every retry is ours: theirs are off.
"""

import asyncio
import importlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Protocol, runtime_checkable

from genai_prices import Usage, calc_price
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from pydantic import SecretStr

from failsoft.clock import Clock
from failsoft.errors import (
    ConfigurationError,
    FailsoftError,
    MissingExtraError,
    MissingSettingError,
    RateLimitedError,
    RefusedError,
    ToolTimeoutError,
    TransientError,
)
from failsoft.http import NotSentError, async_client, retry_after, was_not_sent
from failsoft.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
BYTES_PER_TOKEN = 3  # English has four; a reservation should rather be too large
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "ollama": None}


class UnansweredError(TransientError):
    """The model was asked and gave no readable answer: it may have been paid for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelAnswer:
    """What a model said; `estimated` when the provider did not count the tokens itself."""

    text: str
    input_tokens: int
    output_tokens: int
    estimated: bool
    model: str


class ChatModel:
    """One chat model, named `provider:model` (openai, anthropic, ollama)."""

    def __init__(self, name: str, settings: Settings, *, clock: Clock | None = None) -> None:
        """Build the model; nothing is sent.

        Raises:
            ConfigurationError: the name is malformed, or its provider unknown.
            MissingExtraError: the provider's package is not installed.
            MissingSettingError: there is no key.
        """
        self.name = name
        self.provider, self.model = _split(name)
        self._clock = clock or Clock()
        self._account = _Account.of(self.provider, settings)
        self._closing: list[_Closable] = []
        self._chat = self._build(settings)

    def __repr__(self) -> str:
        return f"ChatModel({self.name!r})"

    async def ask(
        self,
        messages: list[tuple[str, str]],
        *,
        within: float,
        config: RunnableConfig | None = None,
    ) -> ModelAnswer:
        """Ask once, with (role, content) pairs, and give up after `within` seconds.

        `config` carries LangChain's callbacks, through which tracing sees the call.

        Raises:
            TransientError: it surely was not asked (no connection, 429 as RateLimitedError).
            ToolTimeoutError: no answer in time; it may have been paid for.
            UnansweredError: a 5xx, a broken connection or an unreadable answer; likewise.
            RefusedError: it said no for good.
        """
        try:
            async with asyncio.timeout(within):
                message = await self._chat.ainvoke(list(messages), config)
        except Exception as error:  # noqa: BLE001 - every SDK has a family of its own
            raise self._sort(error, within) from None
        return self._read(message, "".join(content for _, content in messages))

    async def close(self) -> None:
        for client in self._closing:
            await client.aclose()

    def _build(self, settings: Settings) -> BaseChatModel:
        if self.provider == "openai":
            return self._openai(settings)
        if self.provider == "anthropic":
            return self._anthropic(settings)
        return self._construct(
            "ChatOllama", num_predict=settings.model_max_tokens, base_url=self._account.base_url,
            client_kwargs={"timeout": settings.timing.model, "follow_redirects": False},
        )  # fmt: skip

    def _openai(self, settings: Settings) -> BaseChatModel:
        base_url = self._account.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        timing = settings.timing
        client = async_client(base_url, connect=timing.connect, read=timing.model)
        self._closing.append(client)
        return self._construct(
            "ChatOpenAI", max_tokens=settings.model_max_tokens, max_retries=0, base_url=base_url,
            timeout=client.timeout, api_key=self._account.key, http_async_client=client,
            http_socket_options=(),
        )  # fmt: skip

    def _anthropic(self, settings: Settings) -> BaseChatModel:
        """Build the model on our own client: the SDK's follows redirects, key and all."""
        base_url = self._account.base_url or os.environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_URL
        timing = settings.timing
        client = async_client(base_url, connect=timing.connect, read=timing.model)
        self._closing.append(client)
        chat = self._construct(
            "ChatAnthropic", max_tokens=settings.model_max_tokens, max_retries=0,
            timeout=timing.model, base_url=base_url, api_key=self._account.key,
        )  # fmt: skip
        # There is no option for a client; the attribute is cached, so setting it is enough.
        own = getattr(chat, "_async_client").with_options(http_client=client)  # noqa: B009
        vars(chat)["_async_client"] = own
        return chat

    def _construct(self, class_name: str, **options: object) -> BaseChatModel:
        """Build LangChain's class; without streaming one question is one request, always."""
        try:
            package = importlib.import_module(f"langchain_{self.provider}")
        except ImportError:
            raise MissingExtraError(self.provider, f"The model {self.name}") from None
        given = {name: value for name, value in options.items() if value is not None}
        chat = getattr(package, class_name)(
            model=self.model, temperature=0, disable_streaming=True, **given
        )
        if not isinstance(chat, BaseChatModel):
            raise ConfigurationError(f"langchain_{self.provider}.{class_name} is no chat model.")
        return chat

    def _read(self, message: AIMessage, question: str) -> ModelAnswer:
        text = str(message.text)
        usage = message.usage_metadata
        model = message.response_metadata.get("model_name")
        return ModelAnswer(
            text=text,
            input_tokens=usage["input_tokens"] if usage else estimate_tokens(question),
            output_tokens=usage["output_tokens"] if usage else estimate_tokens(text),
            estimated=usage is None,
            model=f"{self.provider}:{model}" if isinstance(model, str) and model else self.name,
        )

    def _sort(self, error: Exception, within: float) -> FailsoftError:
        """Say what an SDK's exception means, without importing the SDK."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, FailsoftError):
                return cause
            if was_not_sent(cause) or self._is_ollama_away(cause):
                return NotSentError(f"{self.name} was not reached: {type(cause).__name__}")
        if isinstance(error, TimeoutError):
            return ToolTimeoutError(self.name, within)
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return self._sort_status(error, status)
        if any("Timeout" in type(cause).__name__ for cause in causes):
            return ToolTimeoutError(self.name, within)
        return UnansweredError(f"{self.name} gave no readable answer: {type(error).__name__}")

    def _is_ollama_away(self, error: BaseException) -> bool:
        """Its SDK replaces a connect error by this one, and hides the cause."""
        return self.provider == "ollama" and type(error) is ConnectionError

    def _sort_status(self, error: Exception, status: int) -> FailsoftError:
        what = f"{self.name} answered {status}{self._detail(error, status)}"
        if status == 429 and getattr(error, "code", None) != "insufficient_quota":
            return RateLimitedError(what, retry_after(_headers(error), self._clock.now()))
        if 300 <= status < 500 and status != 408:
            return RefusedError(what)
        return UnansweredError(what)

    def _detail(self, error: Exception, status: int) -> str:
        """Quote the provider, but never where it may quote the key."""
        if status in {401, 403}:
            return ": look at FAILSOFT_MODEL_API_KEY"
        line = str(getattr(error, "message", "") or error).strip().partition("\n")[0][:200]
        key = self._account.key.get_secret_value() if self._account.key else ""
        return f": {line.replace(key, '***') if key else line}"


def price_of(
    model: str, input_tokens: int, output_tokens: int, override: str | None = None
) -> int | None:
    """Return a call's price in millionths of a USD, rounded up; None when nobody knows it.

    `override` is "input/output" in USD per million tokens and wins over the price list, which is
    the one that came with the installed package: nothing is fetched.

    Raises:
        ConfigurationError: `override` is not two numbers.
    """
    if override is not None:
        input_price, output_price = _prices(override)
        return math.ceil(input_tokens * input_price + output_tokens * output_price)
    provider, _, name = model.partition(":")
    if provider == "ollama":
        return 0  # it runs on our own machine
    try:
        price = calc_price(
            Usage(input_tokens=input_tokens, output_tokens=output_tokens),
            name,
            provider_id=provider,
        )
    except LookupError:
        return None
    return math.ceil(price.total_price * 1_000_000)


def estimate_tokens(text: str) -> int:
    """Return a rather high guess of how many tokens `text` has."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Account:
    """Where a provider is called, and with which key; None leaves it to the provider's SDK."""

    base_url: str | None
    key: SecretStr | None

    @classmethod
    def of(cls, provider: str, settings: Settings) -> "_Account":
        """Take the settings for the main model's provider only: a key goes to nobody else."""
        if settings.model is not None and settings.model.partition(":")[0] != provider:
            base_url, key = None, None
        else:
            base_url, key = settings.model_base_url, settings.model_api_key
        variable = KEY_VARIABLES[provider]
        if variable and key is None:
            if not (value := os.environ.get(variable)):
                raise MissingSettingError("FAILSOFT_MODEL_API_KEY", f"{provider} asks for a key")
            key = SecretStr(value)
        return cls(base_url=base_url, key=key)


@runtime_checkable
class _Closable(Protocol):
    async def aclose(self) -> None: ...


def _split(name: str) -> tuple[str, str]:
    provider, _, model = name.partition(":")
    if not model.strip() or provider not in KEY_VARIABLES:
        known = ", ".join(KEY_VARIABLES)
        raise ConfigurationError(f"A model is named provider:model ({known}), not {name!r}.")
    return provider, model


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it was raised from; the context may be the caller's own trouble."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _headers(error: Exception) -> Mapping[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return headers if isinstance(headers, Mapping) else {}


def _prices(override: str) -> tuple[Decimal, Decimal]:
    try:
        input_price, output_price = (Decimal(part.strip()) for part in override.split("/"))
    except (ValueError, InvalidOperation):
        input_price = output_price = Decimal(-1)
    if not all(price.is_finite() and price >= 0 for price in (input_price, output_price)):
        raise ConfigurationError(
            f"FAILSOFT_MODEL_PRICE is input/output in USD per million tokens, not {override!r}."
        )
    return input_price, output_price
