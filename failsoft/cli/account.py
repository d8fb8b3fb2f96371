"""What became of one event: the path taken, the result, what was retried, the trace link."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import click

from failsoft.checkpoints.effects import Effect
from failsoft.checkpoints.reviews import Review
from failsoft.checkpoints.runs import Admission
from failsoft.checkpoints.store import Store
from failsoft.events import Ignored
from failsoft.graphs.runner import Rest
from failsoft.settings import Settings
from failsoft.tracing.links import link_of
from failsoft.tracing.tree import find

WELL = {"done", "parked", "queued", "running", "ignored", "cancelled"}


@dataclass(frozen=True, kw_only=True)
class Account:
    """What `failsoft run` prints."""

    state: str
    run_id: str = ""
    event_key: str = ""
    known_before: bool = False
    outcome: str = ""
    reason: str = ""
    path: list[str] = field(default_factory=list)
    classification: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    retried: Mapping[str, int] = field(default_factory=dict)
    reviews: list[str] = field(default_factory=list)
    trace: str = ""

    @property
    def well(self) -> bool:
        return self.state in WELL

    @classmethod
    def of_ignored(cls, ignored: Ignored) -> Self:
        return cls(state="ignored", event_key=ignored.key, reason=ignored.reason)

    @classmethod
    async def of_run(
        cls, store: Store, settings: Settings, admission: Admission, rest: Rest | None
    ) -> Self:
        """Read the run as it is now; `rest` is how the attempt made here ended, if one was."""
        row = await store.runs.get(admission.run_id)
        tool = rest.value.get("tool", {}) if rest else {}
        effects = await store.effects.of_run(row["run_no"])
        reviews = await store.reviews.of_run(row["run_no"])
        return cls(
            state=row["state"],
            run_id=str(row["run_id"]),
            event_key=row["event_key"],
            known_before=not admission.new,
            outcome=row["outcome"] or "",
            reason=row["reason"] or "",
            path=_path(settings, rest),
            classification=rest.value.get("classification", {}) if rest else {},
            results={_place(e): e.response or e.reason or e.state for e in effects}
            | {name: r["result"] for name, r in tool.items() if "result" in r},
            retried={name: r["attempt"] for name, r in tool.items() if r.get("attempt")},
            reviews=[_how_to_answer(review) for review in reviews if review.state == "open"],
            trace=_link(settings, rest),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def show(self) -> None:
        """Print it for a person; empty lines are left out."""
        for name, value in self.to_json().items():
            if value:
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                click.echo(f"{name.replace('_', ' '):<15} {_one_line(shown)}")


def _place(effect: Effect) -> str:
    return f"{effect.node}/{effect.item_key}" if effect.item_key else effect.node


def _path(settings: Settings, rest: Rest | None) -> list[str]:
    """Return the nodes in the order in which they ran; a routing step inside a node is none."""
    if rest is None:
        return []
    lines = find(settings.home / "traces", str(rest.trace_id)).read_text("utf-8").splitlines()
    spans = [json.loads(line) for line in lines]
    return [
        str(span["node"])
        for span in spans
        if span["phase"] == "start" and span.get("node") == span["name"]
    ]


def _link(settings: Settings, rest: Rest | None) -> str:
    if rest is None:
        return ""
    template = settings.trace_url_template
    return link_of(rest.trace_id, folder=settings.home / "traces", template=template)


def _how_to_answer(review: Review) -> str:
    choices = "|".join(review.allowed)
    return f"failsoft reviews decide {review.review_id} --choice {choices}"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
