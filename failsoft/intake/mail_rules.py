"""What starts nothing: mail of machines, of lists, and our own; and who is never answered."""

import re
from dataclasses import dataclass
from typing import Self

from failsoft.connectors.mail_identity import transaction_of
from failsoft.intake.mail_headers import Headers
from failsoft.intake.mail_limits import Reason
from failsoft.settings import Settings

BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
MACHINES = ("x-autoreply", "x-autorespond")
SUPPRESSED = frozenset({"all", "oof", "autoreply"})

_ENDS = re.compile(r"[;(]")  # a parameter or a comment follows
_DAEMON = re.compile(r"(?:mailer-daemon|mail-daemon)@.*", re.IGNORECASE)
_NOBODY = re.compile(r"(?:no|do-?not|donot)[-_.]?reply(?:[-_.+].*)?@.*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class MailRules:
    """Which mailbox keys speak of, and which addresses are ours, in lower case."""

    mailbox: str
    own: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        own = [settings.mail_from or "", *settings.mail_own_addresses]
        bare = (address.rpartition("<")[2].rstrip("> ").strip().lower() for address in own)
        return cls(mailbox=settings.mailbox, own=frozenset(address for address in bare if address))

    def objection(self, headers: Headers, kind: str) -> Reason | None:
        """Return why a mail of that media type starts nothing, None when a person wrote it."""
        senders = [address.lower() for _, address in headers.addresses("from")]
        if headers.every("x-failsoft-txn") or transaction_of(headers.message_id() or ""):
            return Reason.OWN
        if any(sender in self.own for sender in senders):
            return Reason.OWN
        if _is_report(headers, kind) or any(_DAEMON.fullmatch(sender) for sender in senders):
            return Reason.BOUNCE
        if _is_automatic(headers):
            return Reason.AUTOMATIC
        return Reason.BULK if _is_bulk(headers) else None


def is_quiet(headers: Headers) -> bool:
    """Tell whether a mail must not be answered, though a person may have written it."""
    asked = {each for value in headers.every("x-auto-response-suppress") for each in _names(value)}
    senders = [address for _, address in headers.addresses("from")]
    return bool(asked & SUPPRESSED) or any(_NOBODY.fullmatch(sender) for sender in senders)


def _is_report(headers: Headers, kind: str) -> bool:
    nobody = any(value.replace(" ", "") == "<>" for value in headers.every("return-path"))
    return nobody or kind == "multipart/report"


def _is_automatic(headers: Headers) -> bool:
    said = [_ENDS.split(value)[0].strip().lower() for value in headers.every("auto-submitted")]
    if any(each not in {"", "no"} for each in said):
        return True
    return any(value.strip().lower() != "no" for name in MACHINES for value in headers.every(name))


def _is_bulk(headers: Headers) -> bool:
    precedence = {value.strip().lower() for value in headers.every("precedence")}
    return bool(precedence & BULK) or any(name.startswith("list-") for name in headers.fields)


def _names(value: str) -> list[str]:
    return [name.strip().lower() for name in value.split(",")]
