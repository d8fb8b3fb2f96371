"""A question to a person, in words: what it is about, what would be written, how to answer it.

Every line from outside stands behind a mark of its own, so that none can pass for ours.
"""

import json
from collections.abc import Iterator

from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.parsing import JSON

LONGEST = 30_000  # characters of each part: with their marks, what one mail takes
MAX_VALUE = 200  # characters of an answer that is repeated
# What a question may hold, and what it is called; the first two are texts, the others JSON.
PARTS = {
    "reason": "Why you are asked",
    "text": "The message",
    "request": "What would be written",
    "classification": "How it was classified",
    "value": "What is asked",
}
TEXTS = ("reason", "text")
OUTCOMES = {
    "accept": "accepted",
    "edit": "edited",
    "retry": "sent on to be tried again",
    "undo": "taken back",
    "ignore": "ignored",
}


def headline(review: Review) -> str:
    """Return one line in which nothing comes from outside: an item's key might."""
    kind, node = str(review.question.get("kind") or "question"), review.node.partition("/")[0]
    return f"A question about run {str(review.run_id)[:8]} ({kind}, at {node})"


def text_of(review: Review, public_url: str | None, *, longest: int = LONGEST) -> str:
    """Return the whole question as plain text."""
    lines = [f"{headline(review)}."]
    for name, title in PARTS.items():
        if shown := part(review, name):
            lines += ["", f"{title}:", *quoted(shown, longest)]
            lines += [left_out(review, shown, longest)] if len(shown) > longest else []
    lines += ["", "How to answer, the first answer counts:", *ways(review)]
    if link := link_of(review, public_url):
        lines += [f"By HTTP: {link}"]
    return "\n".join(lines)


def part(review: Review, name: str) -> str:
    """Return one part of the question as text, "" where there is none."""
    found = review.question.get(name)
    if name in TEXTS:
        return str(found or "")
    return as_json(found) if found else ""


def as_json(value: JSON) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def quoted(text: str, longest: int) -> Iterator[str]:
    """Give each line of a text behind a mark, whatever its line ends are."""
    return (f"> {line}" for line in text[:longest].splitlines() or [""])


def left_out(review: Review, text: str, longest: int) -> str:
    more = len(text) - longest
    return f"({more} more characters: failsoft reviews show {review.review_id})"


def ways(review: Review) -> list[str]:
    """Return the command for each answer, and what values there are."""
    start = f"  failsoft reviews decide {review.review_id} --choice"
    lines = [f"{start} {choice}{_value(review, choice)}" for choice in review.allowed]
    if labels := labels_of(review):
        lines.append(f"LABEL is one of {', '.join(labels)}.")
    return lines


def labels_of(review: Review) -> list[str]:
    """Return what a response must be one of; [] where it may be anything."""
    labels = review.question.get("labels")
    asked = isinstance(labels, list) and "respond" in review.allowed
    return [str(label) for label in labels] if asked and isinstance(labels, list) else []


def link_of(review: Review, public_url: str | None) -> str:
    """Return where the review is answered by HTTP, "" where nobody serves it."""
    return f"{public_url.rstrip('/')}/reviews/{review.review_id}" if public_url else ""


def outcome(review: Review) -> str:
    """Return what became of a question, without by whom; "" while nothing did."""
    if review.state is ReviewState.EXPIRED:
        return "closed without an answer"
    if review.state is ReviewState.OPEN:
        return "nobody answered by the deadline: the next desk was told too" if review.level else ""
    answer = review.answer or {}
    choice, value = str(answer.get("choice")), answer.get("value")
    if choice != "respond":
        return OUTCOMES.get(choice, choice)
    shown = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
    cut = shown if len(shown) <= MAX_VALUE else f"{shown[:MAX_VALUE]}…"
    return f"routed to {cut}" if labels_of(review) else f"answered with {cut}"


def _value(review: Review, choice: str) -> str:
    if choice == "edit":
        return " --value JSON"
    if choice != "respond":
        return ""
    return " --value LABEL" if labels_of(review) else " --value VALUE"
