"""How our own mails are known again: their Message-ID and a token that survives in a reply."""

import re

_LOCAL = re.compile(r"<fs\.([a-z2-7]{26})@[^<>@\s]+>")
_TOKEN = re.compile(r"\[ref:([a-z2-7]{26})\]")


def message_id_of(transaction_id: str, domain: str) -> str:
    """Return the Message-ID of the mail that a write sends: always the same for the same write."""
    return f"<fs.{transaction_id}@{domain}>"


def transaction_of(message_id: str) -> str | None:
    """Return the write whose mail has this Message-ID, None where it is none of ours."""
    found = _LOCAL.fullmatch(message_id.strip())
    return found[1] if found else None


def token_of(transaction_id: str) -> str:
    """Return what stands in our mail, for programs that drop In-Reply-To and References."""
    return f"[ref:{transaction_id}]"


def tokens_in(text: str) -> list[str]:
    """Return the writes whose tokens stand in a subject or a text, each once, in order."""
    return list(dict.fromkeys(_TOKEN.findall(text)))
