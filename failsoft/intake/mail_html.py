"""HTML as a person reads it: blocks become lines, quotes begin with >, the hidden is left out."""

import re
from html.parser import HTMLParser

from typing_extensions import override

from failsoft.intake.mail_limits import Allowance

MAX_HTML = 512 * 1024  # characters
CUT = "[the rest of this mail's HTML cannot be read]"

BLOCKS = frozenset(
    ("address", "article", "blockquote", "br", "center", "dd", "div", "dl", "dt", "fieldset",
     "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav",
     "ol", "p", "pre", "section", "table", "tr", "ul")
)  # fmt: skip
PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "ul"})
UNSEEN = frozenset({"head", "noscript", "script", "style", "template", "title"})
# These have no end tag, so nothing can be within them.
VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param",
     "source", "track", "wbr")
)  # fmt: skip

_HIDDEN = re.compile(r"(?:display:none|visibility:hidden)", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\n\r\f\v]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


class TooMuchError(Exception):
    """The HTML takes longer to read than it may."""


class _Reader(HTMLParser):
    def __init__(self, allowance: Allowance) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.line: list[str] = []
        self.quotes = 0
        self.verbatim = 0  # open <pre>
        self.hidden: tuple[str, int] | None = None  # the element, and how often it is open
        self._allowance = allowance

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check()
        if tag == "body" and self.hidden and self.hidden[0] in UNSEEN:
            self.hidden = None  # its head was not closed
        if self.hidden:
            name, deep = self.hidden
            self.hidden = (name, deep + (tag == name))
        elif tag not in VOID and (tag in UNSEEN or _is_hidden(attrs)):
            self.hidden = (tag, 1)
        else:
            self._begin(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        self._check()
        if self.hidden:
            name, deep = self.hidden
            deep -= tag == name
            self.hidden = (name, deep) if deep else None
        elif tag in BLOCKS:
            self._break(paragraph=tag in PARAGRAPHS)
            self.quotes -= tag == "blockquote" and self.quotes > 0
            self.verbatim -= tag == "pre" and self.verbatim > 0

    @override
    def handle_data(self, data: str) -> None:
        self._check()
        if self.hidden:
            return
        first, *others = data.split("\n") if self.verbatim else [data]
        self.line.append(first)
        for other in others:
            self._break()
            self.line.append(other)

    def text(self) -> str:
        self._break()
        return _EMPTY_LINES.sub("\n\n", "\n".join(self.lines)).strip("\n")

    def _begin(self, tag: str) -> None:
        if tag in BLOCKS:
            self._break(paragraph=tag in PARAGRAPHS)
            self.quotes += tag == "blockquote"
            self.verbatim += tag == "pre"
        if tag == "li":
            self.line.append("- ")
        elif tag in {"td", "th"}:
            self.line.append(" ")

    def _break(self, *, paragraph: bool = False) -> None:
        text = "".join(self.line)
        text = text.rstrip() if self.verbatim else _BLANKS.sub(" ", text).strip()
        self.line = []
        mark = "> " if self.quotes else ""
        if text:
            self.lines.append(mark + text)
        if paragraph and self.lines and self.lines[-1]:
            self.lines.append(mark.strip())

    def _check(self) -> None:
        if self._allowance.is_over:
            raise TooMuchError


def html_to_text(html: str, allowance: Allowance) -> str:
    """Return what a person reads; where the HTML breaks the parser, what was read until then.

    The parser is quadratic in some patterns: it is left when the mail's time is over.
    """
    reader = _Reader(allowance)
    whole = len(html) <= MAX_HTML
    try:
        reader.feed(html[:MAX_HTML])
        reader.close()
    except (TooMuchError, AssertionError, ValueError, RecursionError):
        whole = False
    text = reader.text()
    return text if whole else f"{text}\n\n{CUT}".strip("\n")


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    for name, value in attrs:
        if name == "hidden":
            return True
        if name == "style" and _HIDDEN.search(_BLANKS.sub("", value or "")):
            return True
    return False
