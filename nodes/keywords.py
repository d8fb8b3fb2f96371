"""Keyword rules: what classifies when no model can. Literals and word sets, no expressions.

Everything is linear in the text: it comes from anybody, and a rule that backtracks is a way in.
"""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, load_yaml

MAX_TEXT = 8_000  # characters that are looked at: normalising long runs of accents is quadratic
ONE_WORD = 1.0  # points of a rule of one word
MORE_WORDS = 0.5  # points of each further word: a longer rule says more
FULL = 2.0  # points from which a text is surely about something
MARGIN = 0.25  # share of the winner's points: nearer to the second, nobody wins
TOGETHER = "+"  # between words that may stand anywhere in the text
KEYS = frozenset({"any", "all", "learned", "least"})  # what a label may hold
HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs"})  # zero-width, bidi and tag characters, surrogates
WORD = re.compile(r"\w+(?:'\w+)*")  # the apostrophe is no \w: one way to match, so linear

Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """A label that the rules found, with a score from 0 to 1 and the rules that hit.

    `lead` is the share of its points that the second label has not.
    """

    label: str
    score: float
    hits: list[str]
    lead: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Words that speak for a label: one after the other, or anywhere in the text."""

    label: str
    words: Words
    in_order: bool
    learned: float | None = None  # points that data gave it; None: as many as its words are worth

    @property
    def points(self) -> float:
        if self.learned is not None:
            return self.learned
        return ONE_WORD + MORE_WORDS * (len(self.words) - 1)

    def __str__(self) -> str:
        return (" " if self.in_order else f" {TOGETHER} ").join(self.words)


class Keywords:
    """The keyword rules of an agent; `least` is the score below which a label is not given."""

    def __init__(self, rules: Iterable[Rule], *, least: Mapping[str, float] | None = None) -> None:
        self.rules = tuple(rules)
        self.least = dict(least or {})
        # Every rule hangs on its first word, so that a text looks only at rules that could hit.
        self._by_word: dict[str, list[Rule]] = defaultdict(list)
        for rule in self.rules:
            self._by_word[rule.words[0]].append(rule)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `keywords.yaml` of an agent's folder.

        Raises:
            InvalidDataError: see `read`.

        """
        return cls.read(folder / "keywords.yaml")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of rules.

        Raises:
            InvalidDataError: it is not `label: {any: [text, …], all: [[word, …], …], learned:
                {text: points, …}, least: score}`, each label with one of them at least.

        """
        kinds = {label: _kinds(path, label, value) for label, value in load_yaml(path).items()}
        return cls(
            [rule for label, kind in kinds.items() for rule in _rules(path, label, kind)],
            least={label: _share(path, label, kind["least"])
                   for label, kind in kinds.items() if "least" in kind},
        )  # fmt: skip

    def score(self, text: str) -> Guess | None:
        """Return the label that the text speaks for.

        None when none does, when two do nearly alike, or when the score is below what the label
        asks for.
        """
        guess = self.best(text)
        if guess is None or guess.lead < MARGIN or guess.score < self.least.get(guess.label, 0.0):
            return None
        return guess

    def best(self, text: str) -> Guess | None:
        """Return the label with the most points, however little that says."""
        hits = self.hits(text)
        points = {label: sum(rule.points for rule in found) for label, found in hits.items()}
        ranked = sorted(points, key=lambda label: (-points[label], label))
        if not ranked:
            return None
        best = points[ranked[0]]
        lead = 1 - points[ranked[1]] / best if len(ranked) > 1 else 1.0
        label = ranked[0]
        score = round(lead * min(1.0, best / FULL), 3)
        found = sorted(str(rule) for rule in hits[label])
        return Guess(label=label, score=score, hits=found, lead=lead)

    def hits(self, text: str) -> Mapping[str, list[Rule]]:
        """Return the rules that the text hits, by label."""
        found: dict[str, list[Rule]] = defaultdict(list)
        for rule in self._hits(words_of(text)):
            found[rule.label].append(rule)
        return found

    def _hits(self, words: Words) -> Iterator[Rule]:
        """Yield each rule that hits, once however often it does."""
        present = frozenset(words)
        seen: set[Rule] = set()
        for place, word in enumerate(words):
            for rule in self._by_word.get(word, ()):
                if rule not in seen and _holds(rule, words, place, present):
                    seen.add(rule)
                    yield rule


def words_of(text: str) -> Words:
    """Return the words of a text as rules compare them."""
    plain = unicodedata.normalize("NFKC", text[:MAX_TEXT]).replace(
        "\N{RIGHT SINGLE QUOTATION MARK}", "'"
    )
    shown = (char for char in plain if char.isspace() or unicodedata.category(char) not in HIDDEN)
    return tuple(WORD.findall("".join(shown).casefold()))


def _holds(rule: Rule, words: Words, place: int, present: frozenset[str]) -> bool:
    if rule.in_order:
        return words[place : place + len(rule.words)] == rule.words
    return present.issuperset(rule.words)


def _kinds(path: Path, label: str, value: JSON) -> Mapping[str, JSON]:
    kinds: Mapping[str, JSON] = value if isinstance(value, dict) else {}
    if not kinds or kinds.keys() - KEYS:
        raise InvalidDataError(
            f"{path}: {label!r} must hold some of {', '.join(sorted(KEYS))} and nothing else."
        )
    return kinds


def _rules(path: Path, label: str, kinds: Mapping[str, JSON]) -> Iterator[Rule]:
    for phrase in _list(path, label, kinds.get("any", [])):
        yield _rule(path, label, phrase, in_order=True)
    for words in _list(path, label, kinds.get("all", [])):
        together = " ".join(str(word) for word in _list(path, label, words))
        yield _rule(path, label, together, in_order=False)
    learned = kinds.get("learned", {})
    if not isinstance(learned, dict):
        raise InvalidDataError(f"{path}: `learned` of {label!r} must give points to each rule.")
    for text, points in learned.items():
        worth = _number(path, label, points)
        if not worth:
            raise InvalidDataError(f"{path}: {label!r} has a rule of no points: {text!r}.")
        in_order = TOGETHER not in str(text).split()
        yield _rule(path, label, text, in_order=in_order, learned=worth)


def _share(path: Path, label: str, value: JSON) -> float:
    score = _number(path, label, value)
    if score > 1:
        raise InvalidDataError(f"{path}: `least` of {label!r} is a score from 0 to 1.")
    return score


def _number(path: Path, label: str, value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidDataError(f"{path}: {label!r} needs a number from 0 up, not {value!r}.")
    return float(value)


def _list(path: Path, label: str, value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise InvalidDataError(f"{path}: {label!r} needs a list, not {value!r}.")
    return value


def _rule(
    path: Path, label: str, text: JSON, *, in_order: bool, learned: float | None = None
) -> Rule:
    words = words_of(text) if isinstance(text, str) else ()
    if not words:
        raise InvalidDataError(f"{path}: {label!r} has a rule without a word: {text!r}.")
    return Rule(label=label, words=words, in_order=in_order, learned=learned)
