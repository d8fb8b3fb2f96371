"""Which corrections a prompt quotes: few, short, and alike to the message."""

from collections.abc import Collection, Iterable

from failsoft.checkpoints.examples import Quote
from failsoft.nodes.keywords import words_of

MAX_CHARACTERS = 2_400  # of all examples of a prompt together: about 800 tokens
ALIKE = 0.1  # share of their words that an example and the message must have in common


def choose(
    quotes: Iterable[Quote], text: str, *, labels: Collection[str], most: int
) -> list[Quote]:
    """Return at most `most` examples, the likest first, of equally like ones the newest.

    `quotes` come newest first. A label that the agent no longer has is left out.
    """
    said = frozenset(words_of(text))
    ranked = sorted(
        ((_overlap(said, quote.text), quote) for quote in quotes if quote.label in labels),
        key=lambda pair: -pair[0],  # stable: the newest stays first
    )
    chosen, room = list[Quote](), MAX_CHARACTERS
    for alike, quote in ranked:
        if len(chosen) == most or alike < ALIKE:
            break
        if len(quote.text) <= room:
            chosen.append(quote)
            room -= len(quote.text)
    return chosen


def _overlap(said: frozenset[str], text: str) -> float:
    words = frozenset(words_of(text))
    return len(said & words) / (len(said | words) or 1)
