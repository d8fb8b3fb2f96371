"""One paid call: reserved before it leaves, settled after it: spend survives a crash."""

import hashlib
import json
from dataclasses import dataclass

from failsoft.checkpoints.lease import Lease
from failsoft.checkpoints.model_calls import CallLimits, ModelCalls, Reservation
from failsoft.connectors.models import (
    ChatModel,
    ModelAnswer,
    UnansweredError,
    estimate_tokens,
    price_of,
)
from failsoft.errors import BudgetExceededError, PermanentError, ToolTimeoutError, TransientError
from failsoft.nodes.policy import Budget
from failsoft.settings import Settings

Messages = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCall:
    """What a call of a run needs: the table, the lease, the model, and what may be spent."""

    calls: ModelCalls
    lease: Lease
    model: ChatModel
    budget: Budget
    settings: Settings

    async def ask(self, messages: Messages, key: str, *, question: Messages | None = None) -> str:
        """Return the model's words, asked now or in an earlier attempt of the same question.

        `question` is what makes it the same one; default: all that is sent. Examples that came
        in between are no part of it: a durable answer is not asked for again because of them.

        Raises:
            BudgetExceededError: nothing was asked.
            TransientError: asking again may help; an UnansweredError or ToolTimeoutError may have
                been served and billed, so its reservation stays and is flagged.
            PermanentError: the provider refused.
            LeaseLostError: the run is somebody else's.
        """
        call_key = _call_key(key, self.model.name, question or messages)
        reservation = await self.reserve(messages, call_key)
        if reservation.answer is not None:
            return str(reservation.answer["text"])
        try:
            answer = await self.model.ask(messages, within=self.settings.timing.model)
        except (UnansweredError, ToolTimeoutError):
            raise
        except (TransientError, PermanentError) as error:
            await self.calls.refuse(self.lease, reservation.call_id, type(error).__name__)
            raise
        await self.settle(reservation, answer)
        return answer.text

    async def reserve(self, messages: Messages, call_key: str) -> Reservation:
        """Set the worst case aside; an unknown price under a limit in money fails closed."""
        input_tokens = sum(estimate_tokens(content) for _, content in messages)
        output_tokens = self.settings.model_max_tokens
        price = self.price(input_tokens, output_tokens)
        if price is None and self.budget.usd is not None:
            raise BudgetExceededError(
                f"the price of {self.model.name} is not known: set FAILSOFT_MODEL_PRICE=in/out"
            )
        usd = self.budget.usd
        return await self.calls.reserve(
            self.lease,
            call_key=call_key,
            model=self.model.name,
            tokens=input_tokens + output_tokens,
            micros=price or 0,
            limits=CallLimits(
                calls=self.budget.llm_calls,
                tokens=self.budget.tokens,
                micros=None if usd is None else round(usd * 1_000_000),
            ),
        )

    async def settle(self, reservation: Reservation, answer: ModelAnswer) -> None:
        await self.calls.answer(
            self.lease,
            reservation.call_id,
            answer={"text": answer.text},
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            micros=self.price(answer.input_tokens, answer.output_tokens) or 0,
            estimated=answer.estimated,
        )

    def price(self, input_tokens: int, output_tokens: int) -> int | None:
        override = self.settings.model_price
        return price_of(self.model.name, input_tokens, output_tokens, override)


def _call_key(key: str, model: str, messages: Messages) -> str:
    """Return what makes two calls the same question."""
    parts = json.dumps([model, messages])
    return f"{key}:{hashlib.sha256(parts.encode()).hexdigest()[:32]}"
