"""Which of an agent's samples a demo sends, and in which order, some of them more than once."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Generic, TypeVar

FEWEST = 30  # messages, so that every kind has its place
LATEST = 12  # deliveries after which a repetition comes at the latest

STANDS_ALONE = frozenset({"paraphrase"})  # kinds that name another sample and do not need it


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One line of an agent's samples; `of` names the sample that it answers, edits or repeats."""

    id: str
    kind: str
    of: str | None
    text: str
    expect: str
    label: str | None
    repeat: int = 1

    @property
    def first(self) -> str | None:
        """The sample that must have been sent before this one."""
        return None if self.kind in STANDS_ALONE else self.of


One = TypeVar("One", bound=Sample)
Sent = TypeVar("Sent")


def read_samples(package: str, kind: type[One]) -> list[One]:
    """Return the samples that come with an agent."""
    file = files(package).joinpath("samples.jsonl")
    return [kind(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def casts(samples: Sequence[One], number: int, rng: random.Random) -> Iterator[list[One]]:
    """Choose `number` samples; a sample comes twice only in two lists."""
    left = number
    while left > 0:
        if left < number and left < FEWEST:  # a rest too small for one of each kind
            chosen = rng.sample([one for one in samples if one.kind == "normal"], left)
        else:
            chosen = choose(samples, min(left, len(samples)), rng)
        left -= len(chosen)
        yield chosen


def choose(samples: Sequence[One], number: int, rng: random.Random) -> list[One]:
    """Choose `number` samples, of every kind at least one, each after the one that it is about."""
    by_id = {sample.id: sample for sample in samples}
    order = rng.sample(samples, len(samples))
    one_of_each = {sample.kind: sample for sample in order}.values()
    chosen: dict[str, One] = {}
    for sample in (*one_of_each, *order):
        needed = [by_id[sample.first]] if sample.first else []
        new = {one.id: one for one in (*needed, sample) if one.id not in chosen}
        if len(chosen) + len(new) <= number:
            chosen |= new
    return list(chosen.values())


@dataclass(kw_only=True)
class Schedule(Generic[Sent]):
    """Deliveries by when they come: a repetition within some others, an answer after its root."""

    rng: random.Random
    _placed: list[tuple[float, Sent]] = field(default_factory=list)
    _at: dict[str, float] = field(default_factory=dict)
    _added: int = 0

    def add(self, name: str, once: Sent, again: Sequence[Sent], *, after: str | None) -> None:
        """Place the next message, known as `name`, and its repetitions."""
        first = max(float(self._added), self._at[after] + 1 if after else 0.0)
        self._at.setdefault(name, first)
        self._added += 1
        self._placed.append((first, once))
        for place, each in enumerate(again):
            self._placed.append((first + self.rng.uniform(0.1, LATEST) + place, each))

    def in_order(self) -> list[Sent]:
        return [sent for _, sent in sorted(self._placed, key=lambda pair: pair[0])]
