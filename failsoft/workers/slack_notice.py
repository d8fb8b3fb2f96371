"""A question to a person as a message in Slack: blocks with buttons, and what it becomes later.

What comes from outside is escaped, quoted line by line or set as code, and never read for links.
`failsoft.intake.slack_answers` takes the clicks.
"""

import re
from collections.abc import Iterable, Iterator

from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.connectors.slack import escape
from failsoft.parsing import JSON, JSONObject
from failsoft.workers.notice import (
    PARTS,
    TEXTS,
    headline,
    labels_of,
    link_of,
    outcome,
    part,
)

ACTION = "failsoft_review"
ROOM = 2_900  # characters of one section; Slack takes 3 000
# How much of each part is shown: all of them stay under the 13 000 that one message takes.
MOST = {"reason": 600, "text": 5_000, "request": 5_000, "classification": 600, "value": 1_200}
QUOTE = "> "
MAX_OPTIONS = 100  # in one list
MAX_OPTION = 75  # characters of its text and of its value
BUTTONS = {
    "accept": "Accept",
    "edit": "Edit",
    "retry": "Try again",
    "undo": "Take back",
    "ignore": "Ignore",
}
STYLES = {"accept": "primary", "ignore": "danger"}

_USER = re.compile(r"slack:[A-Z0-9]+:([UW][A-Z0-9]+)")


def notice(review: Review, public_url: str | None) -> JSONObject:
    """Return `text` and `blocks` of the message for the review as it stands, open or not."""
    title, became = escape(headline(review)), _became(review)
    blocks: list[JSON] = [_section(f"*{title}*")]
    for name, heading in PARTS.items():
        blocks += _part(review, name, heading)
    if became:
        blocks.append(_section(f"*{became}*"))
    if review.state is ReviewState.OPEN:
        blocks += [*_actions(review), _context(_elsewhere(review, public_url))]
    return {"text": f"{title}: {became or f'failsoft reviews show {review.review_id}'}"} | {
        "blocks": blocks
    }


def _became(review: Review) -> str:
    """Return what became of it; whoever answered in Slack is named as Slack names people."""
    became, by = escape(outcome(review)), review.answered_by
    if by is None:
        return became
    user = _USER.fullmatch(by)
    return f"{became} by {f'<@{user[1]}>' if user else escape(' '.join(by.split()))}"


def _part(review: Review, name: str, heading: str) -> Iterator[JSON]:
    """Give the blocks of one part of the question: none where it is empty."""
    shown = part(review, name)
    if not shown:
        return
    yield _section(f"*{heading}*")
    if name in TEXTS:
        sections, cut = _packed(_quoted(shown), QUOTE, MOST[name])
    else:
        sections, cut = _packed(_code(shown), "", MOST[name])
        sections = [f"```\n{section}\n```" for section in sections]
    yield from (_section(section) for section in sections)
    if cut:
        yield _context(f"It goes on: `failsoft reviews show {review.review_id}`")


def _quoted(text: str) -> Iterator[str]:
    """Give a text piece by piece, with a mark before each line, whatever its line ends are."""
    for number, line in enumerate(text.splitlines()):
        if number:
            yield f"\n{QUOTE}"
        yield from map(escape, line)


def _code(text: str) -> Iterator[str]:
    """Give JSON piece by piece; a backtick, which could end the block, as JSON may write it."""
    return (r"\u0060" if sign == "`" else escape(sign) for sign in text)


def _packed(pieces: Iterable[str], start: str, most: int) -> tuple[list[str], bool]:
    """Fill sections with pieces, and say whether some were left out."""
    sections, size, total = [start], len(start), 0
    for piece in pieces:
        cost = len(piece.encode("utf-16-le")) // 2  # as Slack counts
        total += cost
        if total > most:
            return sections, True
        if size + cost > ROOM:
            sections.append(start)
            size, piece = len(start), piece.removeprefix(f"\n{QUOTE}")  # noqa: PLW2901
        sections[-1] += piece
        size += cost
    return sections, False


def _actions(review: Review) -> Iterator[JSON]:
    """Give the block with what may be clicked: a list of labels, a button for each other answer.

    An answer that is a free text has no button: the command takes it.
    """
    elements: list[JSON] = []
    if options := [*_options(review)]:
        elements.append(
            {
                "type": "static_select",
                "action_id": f"{ACTION}:respond",
                "placeholder": _plain("Route to …"),
                "options": options,
            }
        )
    elements += [_button(review, choice) for choice in review.allowed if choice in BUTTONS]
    if elements:
        yield {"type": "actions", "block_id": f"{ACTION}:{review.review_id}", "elements": elements}


def _options(review: Review) -> Iterator[JSON]:
    for label in labels_of(review)[:MAX_OPTIONS]:
        value = f"{review.review_id}:respond:{label}"
        if len(value) <= MAX_OPTION:
            yield {"text": _plain(label), "value": value}


def _button(review: Review, choice: str) -> JSON:
    style: JSONObject = {"style": STYLES[choice]} if choice in STYLES else {}
    return {
        "type": "button",
        "action_id": f"{ACTION}:{choice}",
        "value": f"{review.review_id}:{choice}",
        "text": _plain(BUTTONS[choice]),
        **style,
    }


def _elsewhere(review: Review, public_url: str | None) -> str:
    show, link = f"`failsoft reviews show {review.review_id}`", link_of(review, public_url)
    return f"{show} or <{escape(link)}|answer by HTTP>" if link else show


def _section(text: str) -> JSON:
    return {"type": "section", "text": _markdown(text)}


def _context(text: str) -> JSON:
    return {"type": "context", "elements": [_markdown(text)]}


def _markdown(text: str) -> JSONObject:
    """Return text in which Slack looks for no links or names by itself."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _plain(text: str) -> JSONObject:
    return {"type": "plain_text", "text": text}
