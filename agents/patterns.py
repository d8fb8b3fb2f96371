"""What a rule could look for: words, phrases and pairs of words that the texts of a label share."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from failsoft.agents.labelled import Labelled
from failsoft.nodes.keywords import Words, words_of

LOOK = 200  # words of a text that are looked at; what a mail is about stands at its beginning
PAIRED = 24  # words of a text that pairs are made of, the most telling ones
PHRASE = 3  # words of a phrase, at most
LONGEST = 40  # characters of a word that a person may be shown
SEEN = 3  # texts of a label in which a pattern must stand
PRECISE = 0.1  # share of the texts with a pattern that must have the label
TELLING = 2.0  # how many times likelier the label must be where the pattern stands
KEPT = 200  # patterns of a label that are looked at closely
FILLER = 0.15  # what a word says about the label, as a share of all that could be said


class Pattern(NamedTuple):
    """Words one after the other, or anywhere in a text; as a rule without a label."""

    words: Words
    in_order: bool


class Corpus:
    """Labelled texts as sets of words, and where each word and phrase stands."""

    def __init__(self, rows: Sequence[Labelled]) -> None:
        self.labels = [row.label for row in rows]
        self.sizes = Counter(self.labels)
        self.views = [words_of(row.text)[:LOOK] for row in rows]
        self.places: dict[Words, set[int]] = defaultdict(set)
        for number, view in enumerate(self.views):
            for phrase in _phrases(view):
                self.places[phrase].add(number)
        self.told = {words[0]: self.tells(words[0]) for words in self.places if len(words) == 1}

    def tells(self, word: str) -> float:
        """Return from 0 to 1 how much a word says about the label, whatever label that is.

        Articles and pronouns say little in every language: their texts are spread as all texts are.
        It is Kullback and Leibler's divergence, less what chance alone makes of so few texts
        (Miller's correction), as a share of the most that it could be.
        """
        most = math.log(len(self.sizes)) if len(self.sizes) > 1 else 1.0
        found = Counter(self.labels[number] for number in self.places[word,])
        here, all_ = found.total(), len(self.labels)
        said = sum(
            count / here * math.log(count / here * all_ / self.sizes[label])
            for label, count in found.items()
        )
        return max(0.0, said - (len(found) - 1) / (2 * here)) / most

    def hits(self, pattern: Pattern) -> list[int]:
        """Return the numbers of the texts that a pattern stands in."""
        if pattern.in_order:
            return sorted(self.places[pattern.words])
        return sorted(set.intersection(*(self.places[word,] for word in pattern.words)))

    def candidates(self) -> dict[str, list[Pattern]]:
        """Return for each label the patterns that tell its texts from others, best first."""
        everywhere: Counter[Pattern] = Counter()
        within: dict[str, Counter[Pattern]] = defaultdict(Counter)
        for view, label in zip(self.views, self.labels, strict=True):
            patterns = set(self._patterns(view))
            everywhere.update(patterns)
            within[label].update(patterns)
        return {label: self._best(label, within[label], everywhere) for label in sorted(within)}

    def _best(
        self, label: str, within: Counter[Pattern], everywhere: Counter[Pattern]
    ) -> list[Pattern]:
        share = self.sizes[label] / len(self.labels)
        gains: list[tuple[float, Pattern]] = []
        for pattern, right in within.items():
            hits = everywhere[pattern]
            odds = right / (hits - right + 0.5) * (1 - share + 0.5 / len(self.labels)) / share
            if right >= SEEN and odds >= TELLING and right >= PRECISE * hits:
                gains.append((-(right - hits * share) * math.log(odds), pattern))
        return [pattern for _, pattern in sorted(gains)[:KEPT]]

    def _patterns(self, view: Words) -> Iterator[Pattern]:
        """Yield what could be a rule: nothing of fillers alone, no pair with a filler."""
        known = {word for word in view if len(self.places[word,]) >= SEEN and len(word) <= LONGEST}
        telling = [word for word in known if self.told[word] >= FILLER]
        for phrase in _phrases(view):
            if known.issuperset(phrase) and not set(phrase).isdisjoint(telling):
                yield Pattern(phrase, in_order=True)
        paired = sorted(telling, key=lambda word: (-self.told[word], word))[:PAIRED]
        # The rarest word first: the rules hang on it, so that few texts look at them.
        rare = sorted(paired, key=lambda word: (len(self.places[word,]), word))
        for pair in combinations(rare, 2):
            yield Pattern(pair, in_order=False)


def _phrases(view: Words) -> Iterator[Words]:
    for size in range(1, PHRASE + 1):
        for start in range(len(view) - size + 1):
            yield view[start : start + size]
