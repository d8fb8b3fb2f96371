"""The stand-in for a language model: it counts words of its own lists. No more, and it says so."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from failsoft.parsing import JSONObject, load_yaml

WORDS = Path(__file__).with_name("words.yaml")
MAX_SUMMARY = 80
VAGUE = "question"
_MARKER = re.compile(r"^\s*</?\w+>\s*$", re.MULTILINE)  # lines that fence the text in
_WORD = re.compile(r"[a-z0-9][a-z0-9'-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the counting says; `confidence` is from 0 to 1."""

    label: str
    confidence: float
    summary: str

    def as_json(self) -> JSONObject:
        return {"label": self.label, "confidence": self.confidence, "summary": self.summary}


class _Topic(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    names: frozenset[str]
    words: frozenset[str]


class _WordFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    topics: dict[str, _Topic]


def judge(text: str, labels: Sequence[str]) -> Verdict:
    """Choose the label whose topic's words are most in `text`; few words, low confidence."""
    text = _MARKER.sub(" ", text)
    said = set(_WORD.findall(text.lower()))
    scores = {label: len(said & _words_of(label)) for label in labels}
    ranked = sorted(labels, key=lambda label: -scores[label])
    best = scores[ranked[0]]
    second = scores[ranked[1]] if len(ranked) > 1 else 0
    label = ranked[0] if best else _vague(labels)
    return Verdict(label=label, confidence=_confidence(best, second), summary=_summary(text))


def _confidence(best: int, second: int) -> float:
    """Grow with the hits, shrink with the runner-up's share of them."""
    if best == 0:
        return 0.2
    certainty = 1 - 0.45**best
    return round((0.3 + 0.68 * certainty) * (1 - 0.5 * second / best), 2)


def _words_of(label: str) -> frozenset[str]:
    """Return the words that speak for `label`: those of its topics, and its own parts."""
    parts = frozenset(re.split(r"[^a-z0-9]+", label.lower())) | {label.lower()}
    topics = [topic.words for topic in _topics().values() if topic.names & parts]
    return frozenset().union(parts - {"it", ""}, *topics)


def _vague(labels: Sequence[str]) -> str:
    """Return the label for what nobody can tell: one that means a question, else the last."""
    names = _topics()[VAGUE].names
    return next((one for one in labels if names & set(_WORD.findall(one.lower()))), labels[-1])


def _summary(text: str) -> str:
    words = " ".join(text.split()) or "No text."
    return words if len(words) <= MAX_SUMMARY else words[: MAX_SUMMARY - 1].rstrip() + "…"


@cache
def _topics() -> Mapping[str, _Topic]:
    return _WordFile.model_validate(load_yaml(WORDS)).topics
