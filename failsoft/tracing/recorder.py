"""The local trace: one JSON line when a span starts and one when it ends, one file per attempt.

Lines are written at once, so that the file of a killed process shows what had begun. A trace is
evidence beside the work: nothing that goes wrong here may reach the run.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TextIO
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.errors import GraphBubbleUp, ParentCommand
from langsmith import uuid7
from pydantic import SecretStr

from failsoft.parsing import JSON, JSONObject
from failsoft.tracing import attempts
from failsoft.tracing.summary import Redaction, Summary

MAX_ERROR = 500  # characters
MAX_NAME = 120  # characters

logger = logging.getLogger(__name__)


def new_trace_id() -> UUID:
    """Return the id of a new attempt: time-ordered, as LangSmith wants it. Never use one twice."""
    return uuid7()


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What is repeated on both lines of a span."""

    trace: UUID
    parent: str | None
    kind: str
    name: str
    node: str | None


class Recorder(BaseCallbackHandler):
    """Writes the spans of one run to `<folder>/<trace_id>.jsonl`, one file per attempt.

    Give it to `ainvoke` as a callback, with the `trace_id` as `run_id` of the config.
    """

    run_inline = True  # in the order of events; in an executor the lines would overtake each other

    def __init__(
        self,
        folder: Path,
        *,
        run_id: UUID,
        event_key: str,
        agent: str,
        secrets: Sequence[SecretStr] = (),
    ) -> None:
        self.folder = folder
        self._run_id = run_id
        self._root: JSONObject = {"run_id": str(run_id), "event_key": event_key, "agent": agent}
        self._redaction = Redaction.of(secrets)
        self._lock = Lock()
        self._files: dict[UUID, TextIO] = {}
        self._spans: dict[UUID, Span] = {}  # the open ones
        self._latest: UUID | None = None
        self._paused: set[UUID] = set()  # traces in which a node was interrupted
        self._complained = False

    def close(self) -> None:
        """Close what an abandoned attempt left open; ended attempts have closed their file."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._spans.clear()

    def on_chain_start(
        self, serialized: object, inputs: object, *, run_id: UUID, **about: object
    ) -> None:
        self._start("chain", serialized, inputs, run_id, about)

    def on_chain_end(self, outputs: object, *, run_id: UUID, **_: object) -> None:
        self._end(run_id, outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: object) -> None:
        self._fail(run_id, error)

    def on_tool_start(
        self, serialized: object, input_str: str, *, run_id: UUID, **about: object
    ) -> None:
        self._start("tool", serialized, about.get("inputs") or input_str, run_id, about)

    def on_tool_end(self, output: object, *, run_id: UUID, **_: object) -> None:
        self._end(run_id, getattr(output, "content", output))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: object) -> None:
        self._fail(run_id, error)

    def on_chat_model_start(
        self, serialized: object, messages: object, *, run_id: UUID, **about: object
    ) -> None:
        self._start("llm", serialized, messages, run_id, about)

    def on_llm_start(
        self, serialized: object, prompts: object, *, run_id: UUID, **about: object
    ) -> None:
        self._start("llm", serialized, prompts, run_id, about)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: object) -> None:
        texts = [generation.text for group in response.generations for generation in group]
        self._end(run_id, texts, tokens=_tokens(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: object) -> None:
        self._fail(run_id, error)

    def _start(
        self, kind: str, serialized: object, inputs: object, span: UUID, about: dict[str, object]
    ) -> None:
        with self._guarded():
            parent = about.get("parent_run_id")
            above = self._spans.get(parent) if isinstance(parent, UUID) else None
            # A parent that we never saw: a late child of an ended attempt, or somebody's tracer.
            trace = above.trace if above else (self._latest if parent else None) or span
            name, node = _names(serialized, about)
            opened = Span(trace=trace, parent=_id(parent), kind=kind, name=name, node=node)
            if trace == span:
                self._latest = trace
                attempts.add(trace_id=trace, run_id=self._run_id, path=self._path(trace))
            self._spans[span] = opened
            line = self._root if trace == span else {}
            self._write(span, opened, "start", {"inputs": self._summary(inputs), **line})

    def _end(self, span: UUID, outputs: object, *, tokens: JSONObject | None = None) -> None:
        with self._guarded(), self._ending(span) as opened:
            if opened:
                paused = span == opened.trace and span in self._paused
                line: JSONObject = {"status": "interrupted" if paused else "ok"}
                if tokens:
                    line["tokens"] = tokens
                self._write(span, opened, "end", {**line, "outputs": self._summary(outputs)})

    def _fail(self, span: UUID, error: BaseException) -> None:
        """End a span that raised. LangGraph interrupts, and leaves a subgraph, by raising."""
        if isinstance(error, ParentCommand):
            self._end(span, error.args[0])
            return
        with self._guarded(), self._ending(span) as opened:
            if opened and isinstance(error, GraphBubbleUp):
                self._paused.add(opened.trace)
                self._write(span, opened, "end", {"status": "interrupted"})
            elif opened:
                text = self._redaction.text(str(error), MAX_ERROR)
                what: JSONObject = {"class": type(error).__name__, "text": text}
                self._write(span, opened, "end", {"status": "error", "error": what})

    @contextmanager
    def _ending(self, span: UUID) -> Iterator[Span | None]:
        """Take a span from the open ones; the end of its root closes the file, come what may."""
        opened = self._spans.pop(span, None)
        try:
            yield opened
        finally:
            if opened and opened.trace not in self._spans:
                self._paused.discard(opened.trace)
                if file := self._files.pop(opened.trace, None):
                    file.close()

    def _summary(self, value: object) -> JSON:
        return Summary(self._redaction).of(value)

    def _path(self, trace: UUID) -> Path:
        return self.folder / f"{trace}.jsonl"

    def _write(self, span: UUID, opened: Span, phase: str, more: JSONObject) -> None:
        line: JSONObject = {
            "trace_id": str(opened.trace), "span": str(span), "parent": opened.parent,
            "name": opened.name, "kind": opened.kind, "node": opened.node,
            "at": time.time(), "phase": phase, **more,
        }  # fmt: skip
        file = self._files.get(opened.trace)
        if file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._path(opened.trace)
            path.touch(mode=0o600)
            file = path.open("a", buffering=1, encoding="utf-8")
            self._files[opened.trace] = file
        file.write(json.dumps(line, ensure_ascii=False) + "\n")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except Exception as error:  # noqa: BLE001  (a trace must never fail the run)
            if not self._complained:
                self._complained = True
                logger.warning(
                    "The local trace in %s is incomplete: %s", self.folder, type(error).__name__
                )


def _id(value: object) -> str | None:
    return str(value) if isinstance(value, UUID) else None


def _names(serialized: object, about: Mapping[str, object]) -> tuple[str, str | None]:
    """Return the name of a span and the node of the graph that it belongs to."""
    name = about.get("name")
    if name is None and isinstance(serialized, Mapping):
        name = serialized.get("name")
    metadata = about.get("metadata")
    node = metadata.get("langgraph_node") if isinstance(metadata, Mapping) else None
    return str(name or "?")[:MAX_NAME], str(node)[:MAX_NAME] if node else None


def _tokens(response: LLMResult) -> JSONObject | None:
    """Sum what all generations report; None when they report nothing."""
    messages = [
        generation.message
        for group in response.generations
        for generation in group
        if isinstance(generation, ChatGeneration)
    ]
    usages = [message.usage_metadata for message in messages if isinstance(message, AIMessage)]
    known = [usage for usage in usages if usage]
    if not known:
        return None
    return {
        "input": sum(usage["input_tokens"] for usage in known),
        "output": sum(usage["output_tokens"] for usage in known),
    }
