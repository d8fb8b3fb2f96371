"""One model call per pass; a bad answer comes back through this node as a step of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from langgraph.runtime import Runtime

from failsoft.checkpoints.examples import Quote
from failsoft.errors import (
    BudgetExceededError,
    InvalidOutputError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from failsoft.nodes.context import Context, Services, services_of
from failsoft.nodes.failures import note_of
from failsoft.nodes.few_shot import choose
from failsoft.nodes.keywords import Keywords
from failsoft.nodes.model_call import Messages, ModelCall
from failsoft.nodes.prompt import Prompt
from failsoft.nodes.state import Classification, ErrorNote, Json, Record, RunState
from failsoft.nodes.verb import Step, Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Classify:
    """What a classifier asks, and when its answer counts."""

    prompt: Prompt
    min_confidence: float = 0.7
    reprompts: int = 2
    examples: int = 8  # corrections by people that a prompt quotes, at most; 0: none

    @classmethod
    def load(
        cls, folder: Path, *, min_confidence: float = 0.7, reprompts: int = 2, examples: int = 8
    ) -> Self:
        """Read `prompt.md` and `schema.json` of `folder`."""
        return cls(
            prompt=Prompt.load(folder), min_confidence=min_confidence, reprompts=reprompts,
            examples=examples,
        )  # fmt: skip


@dataclass(kw_only=True)
class Classifier(Verb):
    """Ask the model; what it cannot say well goes to the fallback classifier."""

    task: Classify
    keywords: Keywords

    async def work(self, state: RunState, runtime: Runtime[Context]) -> Step:
        record = self.record(state)
        if state.get("classification", {}).get("of") == record["of"]:
            return self.onward(state)
        services = services_of(runtime)
        try:
            answer = self.task.prompt.read(await self.answer(state, record, services))
            confidence = _confidence(answer)
        except InvalidOutputError as error:
            return self.reprompt(state, record, str(error))
        except TransientError as error:
            return self.hand_over(state, {**record, "error": note_of(error)}, "retry_tool")
        except (PermanentError, BudgetExceededError) as error:
            noted: Record = {**record, "error": note_of(error)}
            return self.hand_over(state, noted, "fallback_classifier")
        return self.judge(state, record, answer, confidence)

    def judge(self, state: RunState, record: Record, answer: Json, confidence: float) -> Step:
        """Take the answer, or ask further when the model itself is unsure."""
        if confidence < self.task.min_confidence:
            note = ErrorNote(kind="unsure", reason=f"the model is unsure ({confidence:g})")
            return self.hand_over(state, {**record, "error": note}, "fallback_classifier")
        found = Classification(
            label=str(answer["label"]),
            confidence=confidence,
            summary=str(answer.get("summary", "")),
            source="model",
            of=record["of"],
        )
        return self.onward(state, {**record, "error": None}, classification=found)

    def reprompt(self, state: RunState, record: Record, complaint: str) -> Step:
        """Ask again with what was wrong; this is another pass, so each call is a step."""
        done = record.get("reprompts", 0)
        if done >= self.task.reprompts:
            note = ErrorNote(kind="malformed", reason=f"the model's answer: {complaint}")
            return self.hand_over(state, {**record, "error": note}, "fallback_classifier")
        return self.again(state, {**record, "reprompts": done + 1, "complaint": complaint})

    def question(self, state: RunState, record: Record) -> Json:
        return {**super().question(state, record), "labels": self.task.prompt.labels}

    async def answer(self, state: RunState, record: Record, services: Services) -> str:
        """Return the model's words; a durable answer of an earlier attempt is not asked again."""
        model = services.model(record.get("model", 0))
        within = services.settings.timing.model
        gate = f"model:{model.name}"
        examples = await self.examples(state, services)
        messages = self.messages(state, record, examples)
        try:
            async with services.passing(gate, within=within):
                if services.lease is None or services.store is None:
                    return (await model.ask(messages, within=within)).text
                call = ModelCall(
                    calls=services.store.model_calls,
                    lease=services.lease,
                    model=model,
                    budget=self.budget,
                    settings=services.settings,
                )
                key = f"{self.key(state)}:{record.get('round', 0)}"
                return await call.ask(messages, key, question=self.messages(state, record, []))
        except RateLimitedError as error:
            await services.cool(gate, error.retry_after)
            raise

    async def examples(self, state: RunState, services: Services) -> list[Quote]:
        """Return what people corrected and this message is alike to."""
        if services.lease is None or services.store is None or not self.task.examples:
            return []
        return choose(
            await services.store.examples.newest(services.lease.run_no),
            state["event"].get("text", ""),
            labels=self.task.prompt.labels,
            most=self.task.examples,
        )

    def messages(self, state: RunState, record: Record, examples: list[Quote]) -> Messages:
        return self.task.prompt.messages(
            state["event"].get("text", ""),
            reprompts=record.get("reprompts", 0),
            complaint=record.get("complaint", ""),
            examples=examples,
        )

    @property
    def spent(self) -> str:
        return "fallback_classifier"

    @property
    def ends(self) -> tuple[str, ...]:
        return (self.name, self.next, "retry_tool", "fallback_classifier", "notify_human")


def _confidence(answer: Json) -> float:
    """Return how sure the model is; a schema of the user's own may allow what is no share.

    Raises:
        InvalidOutputError: it is no number from 0 to 1.
    """
    value = answer.get("confidence", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidOutputError("confidence is no number from 0 to 1")
    return float(value)
