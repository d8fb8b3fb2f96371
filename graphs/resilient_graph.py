"""ResilientGraph: a StateGraph with verbs, explicit failure nodes and a picture that shows them."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

from langgraph.graph import END, START, StateGraph

from failsoft.connectors.clients import Clients
from failsoft.connectors.contract import Operation
from failsoft.errors import InvalidGraphError
from failsoft.nodes.classify import Classifier, Classify
from failsoft.nodes.context import Context
from failsoft.nodes.fallback_classifier import FallbackClassifier
from failsoft.nodes.human import Human
from failsoft.nodes.keywords import Keywords
from failsoft.nodes.notify_human import NotifyHuman
from failsoft.nodes.policy import Budget, Desk, Refusal, Replies, Retry
from failsoft.nodes.retry_tool import RetryTool
from failsoft.nodes.state import EventInput, RunState
from failsoft.nodes.thread import Thread, nothing
from failsoft.nodes.tool import TIMEOUT, Tool, Work
from failsoft.nodes.undo import Undo
from failsoft.nodes.verb import Verb
from failsoft.nodes.wait import wait
from failsoft.nodes.write import Request, Write

Check = Callable[[Clients], Awaitable[str]]

PLUMBING = ("retry_tool", "wait", "fallback_classifier", "notify_human", "undo")


class ResilientGraph(StateGraph[RunState, Context, Any, Any]):
    """A graph whose verbs never lose an event and never write twice.

    Verbs leave only by `Command(goto=...)`: an edge out of one would fire beside its own retry,
    and a ticket would be written twice, so `compile()` refuses it. Plain nodes, subgraphs and
    LangGraph's own `interrupt` work as ever. Building does no I/O and needs no setting.

    `checks` are asked before work begins, and by `failsoft doctor`: each says what is well, or
    raises ConfigurationError when the outside world has not what the agent would write to.
    """

    def __init__(
        self,
        agent: str,
        *,
        retry: Retry | None = None,
        budget: Budget | None = None,
        replies: Replies = Replies.LIST,
        refusal: Refusal = Refusal.ASK,
        checks: Mapping[str, Check] | None = None,
        input_schema: type[Any] = EventInput,
        output_schema: type[Any] | None = None,
    ) -> None:
        super().__init__(
            RunState,
            context_schema=Context,
            input_schema=input_schema,
            output_schema=output_schema,
        )
        self.agent = agent
        self.verbs: dict[str, Verb] = {}
        self.desk = Desk()
        self.retry = retry or Retry()
        self.budget = budget or Budget()
        self.replies = replies
        self.refusal = refusal
        self.checks = dict(checks or {})
        self.otherwise = ""

    def add_classifier(
        self, name: str, task: Classify, *, fallback: Keywords, otherwise: str = ""
    ) -> Self:
        """Add a model call whose answer keeps a schema, and the keyword rules behind it.

        `otherwise` is the label of what neither can tell; without one a person is asked.

        Raises:
            InvalidGraphError: a rule names a label that the schema does not.
        """
        if strange := {rule.label for rule in fallback.rules} - {*task.prompt.labels}:
            raise InvalidGraphError(
                f"{name}: no label of the schema is {min(strange)!r}, as a rule is."
            )
        self.otherwise = otherwise
        return self._add_verb(
            Classifier(name=name, task=task, keywords=fallback, budget=self.budget)
        )

    def add_tool(
        self, name: str, call: Work, *, timeout: float = TIMEOUT, fallback: Work | None = None
    ) -> Self:
        """Add a callable that reads or computes; `timeout` in seconds, for each of the two.

        `fallback` becomes a node of its own, `<name>_fallback`, with attempts of its own; it leaves
        its result where the first one would have.
        """
        if fallback is None:
            return self._add_verb(Tool(name=name, call=call, timeout=timeout, budget=self.budget))
        second = f"{name}_fallback"
        self._add_verb(
            Tool(name=second, call=fallback, timeout=timeout, result_key=name, budget=self.budget)
        )
        return self._add_verb(
            Tool(name=name, call=call, timeout=timeout, fallback=second, budget=self.budget)
        )

    def add_write(
        self,
        name: str,
        operation: Operation[Any],
        *,
        request: Request,
        required: bool = True,
        key: Callable[[RunState], str] | None = None,
        compensate: str = "",
    ) -> Self:
        """Add one external write; `request` makes it from the state, None: nothing to write.

        `compensate` names another write of this graph, which stands in no path and undoes this one
        when a later write is refused (`refusal` of the graph: by itself, or when a person says so).
        `key` is needed where the node runs more than once in a run and is not started by `Send`
        with an `item`: the same key is the same write, done once. A write with a `key` cannot be
        undone: of its many times `undo` would know only the last.
        """
        if compensate and key:
            raise InvalidGraphError(f"`{name}` has a key: it cannot be undone by `{compensate}`.")
        return self._add_verb(
            Write(
                name=name,
                operation=operation,
                request=request,
                required=required,
                item=key,
                budget=self.budget,
                compensate=compensate,
                refusal=self.refusal,
            )
        )

    def add_thread(self, name: str, *, of: str) -> Self:
        """Add a look at what the write `of` wrote in the run whose thread this event stands in.

        The result is its response with the `id`, or None: no such run, or it wrote nothing.
        """
        return self._add_verb(Thread(name=name, call=nothing, of=of, budget=self.budget))

    def add_human(
        self,
        name: str,
        *,
        via: Sequence[str] = (),
        deadline: float = Desk().deadline,
        escalate: Sequence[str] = (),
    ) -> Self:
        """Name the desk that this graph's questions go to; used in a path it is an approval.

        `deadline` is in seconds, for each step of the escalation.
        """
        self.desk = Desk(name=name, via=tuple(via), deadline=deadline, escalate=tuple(escalate))
        self.verbs[name] = Human(name=name, budget=self.budget)
        return self

    def add_path(self, *names: str) -> Self:
        """Join nodes in order: a verb remembers its next, a plain node gets an ordinary edge."""
        for here, there in pairwise(names):
            if here in self.verbs:
                self._use(here)
                self._set_next(self.verbs[here], there)
            if there in self.verbs:
                self._use(there)
            if here not in self.verbs:
                self.add_edge(here, there)
        return self

    def validate(self, interrupt: Sequence[str] | None = None) -> Self:
        """Set where each verb may go, then let LangGraph check; `compile()` calls this first."""
        self._refuse_edges_out_of_verbs()
        self._refuse_two_classifiers()
        self._join_compensations()
        self._add_plumbing()
        for verb in self._used():
            verb.desk = self.desk
            self.nodes[verb.name].ends = _unique(verb.ends)
        for name, ends in self._plumbing_ends().items():
            if name in self.nodes:
                self.nodes[name].ends = _unique(ends)
        try:
            return super().validate(interrupt)
        except ValueError as error:
            raise InvalidGraphError(f"{self.agent}: {error}") from error

    @property
    def version(self) -> str:
        """The topology and the names of the writes, not the prompt: 8 hex digits."""
        self._join_compensations()  # the same before `compile()` as after it
        ends = {verb.name: sorted(verb.ends) for verb in self._used()}
        writes = sorted(verb.name for verb in self._used() if isinstance(verb, Write))
        branches = {
            start: sorted(str(end) for branch in named.values() for end in (branch.ends or {}))
            for start, named in self.branches.items()
        }
        nested = {name: _version_of(node.runnable) for name, node in self.nodes.items()}
        shape = [
            sorted(self.nodes.keys() - set(PLUMBING)),
            sorted(self.edges),
            sorted((sorted(starts), end) for starts, end in self.waiting_edges),
            branches,
            {name: version for name, version in nested.items() if version},
            ends,
            writes,
        ]
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def lane(self) -> str:
        """What a worker must have loaded to drive a run of this graph."""
        return f"{self.agent}@{self.version}"

    def _add_verb(self, verb: Verb) -> Self:
        if verb.name in PLUMBING:
            raise InvalidGraphError(f"`{verb.name}` is the name of a node that every graph has.")
        self.verbs[verb.name] = verb
        self._use(verb.name)
        return self

    def _use(self, name: str) -> None:
        if name not in self.nodes:
            # without input_schema the fields of a helper's argument would become state channels
            self.add_node(name, self.verbs[name], input_schema=RunState)

    def _used(self) -> list[Verb]:
        return [verb for verb in self.verbs.values() if verb.name in self.nodes]

    def _set_next(self, verb: Verb, there: str) -> None:
        if verb.next not in (END, there):
            raise InvalidGraphError(
                f"`{verb.name}` goes to `{verb.next}` already: a verb has one next; "
                "branch in a plain node after it."
            )
        verb.next = there
        if isinstance(verb, Tool) and verb.fallback:
            self.verbs[verb.fallback].next = there

    def _refuse_edges_out_of_verbs(self) -> None:
        joined = {start for starts, _ in self.waiting_edges for start in starts}
        static = {start for start, _ in self.edges} | set(self.branches) | joined
        if wrong := sorted(static & self.verbs.keys()):
            raise InvalidGraphError(
                f"`{wrong[0]}` is a verb and leaves by Command(goto=...): an edge out of it would "
                "fire beside its own retry. Name its next in add_path instead."
            )

    def _refuse_two_classifiers(self) -> None:
        names = [verb.name for verb in self._used() if isinstance(verb, Classifier)]
        if len(names) > 1:
            raise InvalidGraphError(
                f"`{names[1]}` would take the answer of `{names[0]}`: a graph has one classifier; "
                "put the second one into a subgraph."
            )

    @property
    def _compensations(self) -> dict[str, str]:
        writes = (verb for verb in self._used() if isinstance(verb, Write))
        return {verb.name: verb.compensate for verb in writes if verb.compensate}

    def _join_compensations(self) -> None:
        """Every compensating write goes on to `undo`; every other one may lead there."""
        if not (compensations := self._compensations):
            return
        undo = Undo(verbs=self.verbs, compensations=compensations)
        for name, other in compensations.items():
            verb = self.verbs.get(other)
            if not isinstance(verb, Write) or verb.next not in (END, "undo"):
                raise InvalidGraphError(
                    f"`{name}` is undone by `{other}`, which must be a write that no path goes on"
                    " from."
                )
            verb.next = "undo"
        for verb in self._used():
            if isinstance(verb, Write) and verb.name not in compensations.values():
                verb.undo = undo

    def _add_plumbing(self) -> None:
        helpers: dict[str, Any] = {
            "retry_tool": RetryTool(verbs=self.verbs, retry=self.retry),
            "wait": wait,
            "notify_human": NotifyHuman(verbs=self.verbs),
        }
        if any(isinstance(verb, Classifier) for verb in self._used()):
            helpers["fallback_classifier"] = FallbackClassifier(
                verbs=self.verbs, otherwise=self.otherwise
            )
        if compensations := self._compensations:
            helpers["undo"] = Undo(verbs=self.verbs, compensations=compensations)
        for name, helper in helpers.items():
            if self._used() and name not in self.nodes:
                self.add_node(name, helper, input_schema=RunState)

    def _plumbing_ends(self) -> dict[str, list[str]]:
        callers = [verb for verb in self._used() if not isinstance(verb, Human)]
        classifiers = [verb for verb in callers if isinstance(verb, Classifier)]
        return {
            "retry_tool": ["wait", *(verb.spent for verb in callers)],
            "wait": [verb.name for verb in callers],
            "notify_human": [
                *(verb.name for verb in callers),
                *(verb.next for verb in self._used()),
                *(["undo"] if self._compensations else []),
                END,
            ],
            "undo": [*self._compensations.values(), END],
            "fallback_classifier": [
                *(verb.name for verb in classifiers),
                *(verb.next for verb in classifiers),
                "notify_human",
            ],
        }


def _version_of(node: object) -> str:
    """Return the version of a graph that is a node of another one."""
    builder = getattr(node, "builder", None)
    return builder.version if isinstance(builder, ResilientGraph) else ""


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


__all__ = ["END", "START", "ResilientGraph"]
