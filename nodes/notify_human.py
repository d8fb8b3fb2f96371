"""Ask a person: upsert the review row, then one interrupt, and nothing else.

Nothing is sent from here: notifications and escalations belong to the review row and leave through
the outbox, so this node may run again as often as it likes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt

from failsoft.checkpoints.reviews import review_id_of
from failsoft.nodes.classify import Classifier
from failsoft.nodes.context import Context, Services, services_of
from failsoft.nodes.inbox import answer_of, human_interrupt
from failsoft.nodes.state import Call, Classification, Json, Record
from failsoft.nodes.verb import UNDO, Step, Verb, enter, onto
from failsoft.nodes.write import Write

LEFT = "left as it is, as a person said"


@dataclass(kw_only=True)
class NotifyHuman:
    """Shared by all verbs of a graph."""

    verbs: Mapping[str, Verb]

    async def __call__(self, call: Call, runtime: Runtime[Context]) -> Step:
        review_id = await self.open(call, services_of(runtime), runtime)
        question, allowed = call["question"], call["question"]["allowed"]
        shown = human_interrupt(question, allowed, node=call["asking"], review_id=review_id)
        answer = answer_of(interrupt([shown]))
        # It was never checked when it came past our reviews, from LangGraph's own server.
        if not fits(question, answer):
            return Command(goto=Send("notify_human", call))
        return self.follow(call, answer)

    async def open(self, call: Call, services: Services, runtime: Runtime[Context]) -> str:
        """Write the question down under LangGraph's task id, which survives a re-run."""
        info = runtime.execution_info
        if services.lease is None or services.store is None or info is None:
            return ""
        review_id = review_id_of(services.lease.run_id, info.task_id)
        desk = self.verbs[call["asking"]].desk
        told = not services.lease.dry_run  # a dry run asks, but rings at nobody's desk
        await services.store.reviews.open(
            services.lease,
            review_id=review_id,
            node=call["key"],
            question={k: v for k, v in call["question"].items() if k != "allowed"},
            allowed=call["question"]["allowed"],
            channels=desk.via if told else (),
            step_seconds=desk.deadline,
            escalations=desk.escalate if told else (),
            transaction_id=call["record"].get("transaction_id"),
        )
        return review_id

    def follow(self, call: Call, given: Json) -> Step:
        """accept, respond: go on; edit, retry: try again with fresh attempts; ignore: end."""
        verb, key, record = self.verbs[call["asking"]], call["key"], call["record"]
        told = {"review": {key: given}}
        match given.get("choice"):
            case "accept" if not isinstance(verb, Write):
                return Command(update=told, goto=verb.next)
            case "accept":
                return self.leave(call, told, LEFT, verb.next)
            case "undo":
                return self.leave(call, told, "refused", UNDO)
            case "respond":
                return self.respond(call, told, given)
            case "edit" | "retry":
                fresh = Record(of=record["of"], round=record.get("round", 0) + 1)
                goto = enter(call["asking"], {**call, "record": fresh})
                return Command(update={**told, "tool": {key: fresh}}, goto=goto)
            case _:
                return Command(update={**told, "status": "ignored"}, goto=END)

    def leave(self, call: Call, told: Json, why: str, goto: str) -> Step:
        """Let a write stand as it is, and go on."""
        left: Record = {**call["record"], "skipped": why}
        way = onto(goto, {**call, "record": left})
        return Command(update={**told, "tool": {call["key"]: left}}, goto=way)

    def respond(self, call: Call, told: Json, given: Json) -> Step:
        verb, value = self.verbs[call["asking"]], given.get("value")
        if isinstance(verb, Classifier):
            label = self.label(call, str(value))
            update = {**told, "classification": label, "status": "answered"}
            return Command(update=update, goto=verb.next)
        done: Record = {**call["record"], "error": None, "result": value}
        way = onto(verb.next, {**call, "record": done})
        return Command(update={**told, "tool": {call["key"]: done}}, goto=way)

    def label(self, call: Call, value: str) -> Classification:
        return Classification(
            label=value,
            confidence=1.0,
            summary=" ".join(call["question"]["text"].split())[:120],
            source="person",
            of=call["record"]["of"],
        )


def fits(question: Json, given: Json) -> bool:
    """Tell whether the question allows this answer; with labels, a response is one of them."""
    choice, labels = given.get("choice"), question.get("labels")
    if choice not in question["allowed"]:
        return False
    return choice != "respond" or not labels or given.get("value") in labels
