"""Plain text as an Atlassian Document: text nodes only, so nothing in it is ever markup."""

import re

from failsoft.parsing import JSON, JSONObject, clean_text

MAX_TEXT = 30_000  # characters; Jira refuses a field of more than 32 767

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CUT = "\n\n[cut]"


def document(text: str, *, source_url: str | None = None) -> JSONObject:
    """Return `text` as a document: an empty line ends a paragraph, a line break stays one.

    `source_url` is the one link that is made. It comes from code, never out of `text`.
    """
    content = [_paragraph(block) for block in re.split(r"\n[ \t]*\n\s*", plain(text)) if block]
    if source_url and re.fullmatch(r"https?://[^\s<>\"]+", source_url):
        content.append({"type": "paragraph", "content": [_text("Source: "), _link(source_url)]})
    return {"type": "doc", "version": 1, "content": content}


def one_line(text: str, limit: int) -> str:
    """Return `text` as one line of at most `limit` characters."""
    line = " ".join(_CONTROL.sub(" ", clean_text(text)).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def plain(text: str) -> str:
    """Return `text` with one kind of line end, no control characters, and not too long."""
    made = clean_text(text).replace("\r\n", "\n").replace("\r", "\n")
    made = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", made).strip()
    return made if len(made) <= MAX_TEXT else made[:MAX_TEXT] + _CUT


def _paragraph(block: str) -> JSON:
    content: list[JSON] = []
    for line in block.split("\n"):
        if content:
            content.append({"type": "hardBreak"})
        if line:  # an empty text node is refused
            content.append(_text(line))
    return {"type": "paragraph", "content": content}


def _text(text: str) -> JSONObject:
    return {"type": "text", "text": text}


def _link(url: str) -> JSONObject:
    return _text(url) | {"marks": [{"type": "link", "attrs": {"href": url}}]}
