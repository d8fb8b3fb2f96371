"""Pure: count the failed attempt, work out the wait, or give up."""

from collections.abc import Mapping
from dataclasses import dataclass

from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from failsoft.nodes.context import Context, Services, services_of
from failsoft.nodes.policy import Retry
from failsoft.nodes.state import Call, ErrorNote, Record
from failsoft.nodes.verb import Step, Verb, enter, onto

HELPERS = ("notify_human", "fallback_classifier")


@dataclass(kw_only=True)
class RetryTool:
    """Shared by all verbs of a graph; the attempts live in each asker's own record."""

    verbs: Mapping[str, Verb]
    retry: Retry

    async def __call__(self, call: Call, runtime: Runtime[Context]) -> Step:
        record, error = call["record"], call["record"].get("error") or ErrorNote()
        services = services_of(runtime)
        if error.get("kind") == "held":  # our own gate, or a reconciliation: no attempt was made
            return self.later(call, record, error.get("retry_after", 0.0), services)
        attempt, now = record.get("attempt", 0) + 1, services.clock.now()
        counted: Record = {
            **record,
            "attempt": attempt,
            "failed_at": record.get("failed_at", now),
        }
        delay = self.retry.delay(
            attempt,
            services.settings.timing,
            services.rng,
            retry_after=error.get("retry_after", 0.0),
        )
        if self.spent(counted, now + delay):
            return self.give_up({**call, "record": counted})
        return self.later(call, counted, delay, services)

    def spent(self, record: Record, next_at: float) -> bool:
        if record["attempt"] >= self.retry.attempts:
            return True
        deadline = self.retry.deadline
        return deadline is not None and next_at - record["failed_at"] > deadline

    def later(self, call: Call, record: Record, delay: float, services: Services) -> Step:
        waiting: Record = {**record, "not_before": services.clock.now() + delay}
        tool = {call["key"]: waiting}
        return Command(update={"tool": tool}, goto=Send("wait", {**call, "record": waiting}))

    def give_up(self, call: Call) -> Step:
        """Go where spent attempts lead: the second tool, the next node, or the verb's helper."""
        verb, record = self.verbs[call["asking"]], call["record"]
        spent: Record = {**record, "error": {**(record.get("error") or {}), "kind": "spent"}}
        tool = {call["key"]: spent}
        if verb.spent in HELPERS:
            question = {**call["question"], "kind": "spent"}
            helped: Call = {**call, "record": spent, "question": question}
            return Command(update={"tool": tool}, goto=Send(verb.spent, helped))
        if verb.spent == verb.next:
            skipped: Record = {**spent, "skipped": "the attempts are spent"}
            goto = onto(verb.next, {**call, "record": skipped})
            return Command(update={"tool": {call["key"]: skipped}}, goto=goto)
        fresh = Record(of=record["of"])
        goto = enter(verb.spent, {**call, "record": fresh})
        return Command(update={"tool": {call["key"]: fresh}}, goto=goto)
