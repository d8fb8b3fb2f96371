"""The text of a mail: what a mail program would show, from plain text or from HTML."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from failsoft.intake.mail_html import CUT as HTML_CUT
from failsoft.intake.mail_html import html_to_text
from failsoft.intake.mail_limits import MAX_TEXT, Allowance
from failsoft.intake.mail_parts import MESSAGE, Part

PLAIN, HTML = "text/plain", "text/html"
TEXTS = frozenset({PLAIN, HTML})
HTML_SECONDS = 0.3  # of processor time, for all the HTML of a mail
SOON = 128 * 1024  # bytes of HTML that are read long before that time is over
CUT = "[the rest of this mail is left out]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What a person reads, and the parts that it was taken from.

    Of what is `whole` nothing was left out, and at no other reading will be: the time for HTML is
    not the same at each.
    """

    text: str
    sources: tuple[Part, ...]
    whole: bool


def text_of(mail: Part) -> Text:
    """Return the text of a mail: never an error, at most MAX_TEXT characters and a note."""
    sources = tuple(_shown(mail))
    if not sources:  # nothing but attachments: the first one that holds text
        sources = tuple(part for part in _all(mail) if part.kind in TEXTS)[:1]
    allowance = Allowance(until=time.thread_time() + HTML_SECONDS)
    found: list[str] = []
    left = MAX_TEXT
    for part in sources:
        if left <= 0:
            break
        text = readable(part, allowance)
        found.append(text[:left])
        left -= len(text)
    shown = "\n\n".join(text for text in found if text.strip())
    html = sum(part.end - part.start for part in sources if part.kind == HTML)
    return Text(
        text=f"{shown}\n\n{CUT}" if left < 0 else shown,
        sources=sources,
        whole=left >= 0 and html <= SOON and HTML_CUT not in shown,
    )


def readable(part: Part, allowance: Allowance) -> str:
    """Return a part's text without blank lines around it; of HTML what a person sees."""
    text = part.text()
    if part.kind == HTML:
        return html_to_text(text, allowance)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _shown(part: Part) -> Iterator[Part]:
    """Yield the parts that are shown, one of each set of alternatives."""
    if part.is_attachment or part.kind == MESSAGE:
        return
    if not part.children:
        if part.kind in TEXTS or part.kind.startswith("multipart/"):
            yield part
        return
    if part.kind == "multipart/alternative":
        yield from _best([list(_shown(child)) for child in part.children])
        return
    for child in part.children:
        yield from _shown(child)


def _best(choices: list[list[Part]]) -> list[Part]:
    """Return the plain text, unless it is empty; else the richest."""
    readable_ones = [choice for choice in choices if choice]
    plain = [each for each in readable_ones if all(part.kind != HTML for part in each)]
    for choice in plain:
        if any(part.text().strip() for part in choice):
            return choice
    return readable_ones[-1] if readable_ones else []


def _all(part: Part) -> Iterator[Part]:
    yield part
    for child in part.children:
        yield from _all(child)
