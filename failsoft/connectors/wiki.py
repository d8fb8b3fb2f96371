"""Plain text as Jira's wiki text: one block in which nothing is ever markup."""

import re

from failsoft.connectors.adf import plain

_FENCE = re.compile(r"\{(?=\s*noformat)", re.IGNORECASE)  # what would end the block
_URL = re.compile(r"https?://[^\s<>\"|\]]+")


def text(words: str, *, source_url: str | None = None) -> str:
    """Return `words` in a noformat block: no link, mention, image or macro is made of them.

    `source_url` is the one link that is made. It comes from code, never out of `words`.
    """
    shown = "{noformat}\n" + _FENCE.sub("{ ", plain(words)) + "\n{noformat}"
    if source_url and _URL.fullmatch(source_url):
        shown += f"\n\nSource: [{source_url}]"
    return shown
