"""When the model cannot say: a second model if one is set, then keyword rules, then a person."""

from collections.abc import Mapping
from dataclasses import dataclass

from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from failsoft.nodes.classify import Classifier
from failsoft.nodes.context import Context, services_of
from failsoft.nodes.state import Call, Classification, Record
from failsoft.nodes.verb import Step, Verb, enter

MAX_SUMMARY = 120  # characters


@dataclass(kw_only=True)
class FallbackClassifier:
    """Shared by all classifiers of a graph."""

    verbs: Mapping[str, Verb]
    otherwise: str = ""  # the label of what nobody can tell

    async def __call__(self, call: Call, runtime: Runtime[Context]) -> Step:
        verb = self.verbs[call["asking"]]
        if not isinstance(verb, Classifier):
            raise TypeError(f"{verb.name} is no classifier")
        record = call["record"]
        if services_of(runtime).settings.second_model and not record.get("model"):
            return self.second_model(call, record)
        guess = verb.keywords.score(call["question"]["text"])
        if guess is None:
            return self.unclassified(verb, call)
        found = Classification(
            label=guess.label,
            confidence=guess.score,
            summary=_headline(call["question"]["text"]),
            source="keywords",
            of=record["of"],
        )
        tool = {call["key"]: record}
        return Command(update={"classification": found, "tool": tool}, goto=verb.next)

    def second_model(self, call: Call, record: Record) -> Step:
        fresh = Record(of=record["of"], round=record.get("round", 0), model=1)
        tool = {call["key"]: fresh}
        goto = enter(call["asking"], {**call, "record": fresh})
        return Command(update={"tool": tool}, goto=goto)

    def unclassified(self, verb: Classifier, call: Call) -> Step:
        if self.otherwise:
            found = Classification(
                label=self.otherwise,
                confidence=0.0,
                summary=_headline(call["question"]["text"]),
                source="nobody",
                of=call["record"]["of"],
            )
            update = {"classification": found, "tool": {call["key"]: call["record"]}}
            return Command(update={**update, "status": "unclassified"}, goto=verb.next)
        question = {
            **call["question"],
            "kind": "unclassified",
            "allowed": ["respond", "retry", "ignore"],
        }
        return Command(
            update={"status": "unclassified"},
            goto=Send("notify_human", {**call, "question": question}),
        )


def _headline(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SUMMARY else f"{line[:MAX_SUMMARY]}…"
