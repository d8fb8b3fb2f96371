"""A mail of ours, made from a request: one recipient, no header but our own, known again by its id.

Whatever comes from outside is checked by its form before it becomes a header: an address and a
Message-ID are taken whole or not at all, a subject is one line.
"""

import re
from dataclasses import dataclass
from email.headerregistry import Address, HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from typing import Self

from failsoft.connectors.mail_identity import message_id_of, token_of
from failsoft.errors import ConfigurationError, RefusedError
from failsoft.parsing import JSONObject

MAX_SUBJECT = 255  # characters
MAX_TEXT = 256 * 1024  # characters
MAX_ADDRESS = 254  # characters
MAX_ID = 250  # characters of a Message-ID
KINDS = ("auto-generated", "auto-replied")  # RFC 3834

_ATOM = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}@{_LABEL}(?:\.{_LABEL})*")
_ID = re.compile(rf"<{_ATOM}@[A-Za-z0-9.:_\[\]-]+>")


_HEADERS = HeaderRegistry()
for _name in ("in-reply-to", "references"):  # by default a long one is encoded, and finds nothing
    _HEADERS.map_to_type(_name, MessageIDHeader)  # type: ignore[arg-type]  # typeshed: it is a mixin
_POLICY = SMTP.clone(cte_type="7bit", header_factory=_HEADERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Whom our mail is from; `address` is the envelope's sender too."""

    name: str
    address: str

    @classmethod
    def of(cls, mail_from: str) -> Self:
        """Read `address` or `Name <address>`; raises ConfigurationError."""
        name, address = parseaddr(mail_from)
        if not is_address(address):
            raise ConfigurationError(f"FAILSOFT_MAIL_FROM: {mail_from!r} is no mail address.")
        return cls(name=_one_line(name), address=address)

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def is_address(text: str) -> bool:
    """Say whether `text` is one plain mail address, and nothing else."""
    return len(text) <= MAX_ADDRESS and _ADDRESS.fullmatch(text) is not None


def recipient_of(request: JSONObject) -> str:
    """Return the one recipient; raises RefusedError when `to` is no mail address."""
    to = request.get("to")
    if not isinstance(to, str) or not is_address(to):
        raise RefusedError("A mail needs one address in `to`.")
    return to


def message_of(
    request: JSONObject, transaction_id: str, sender: Sender, *, now: float
) -> EmailMessage:
    """Return the mail; `now` is in seconds since 1970.

    Raises:
        RefusedError: the request has no proper recipient, text or kind.
    """
    text, kind = request.get("text"), request.get("kind") or KINDS[0]
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise RefusedError(f"A mail needs a `text` of at most {MAX_TEXT} characters.")
    if kind not in KINDS:
        raise RefusedError(f"The `kind` of a mail is one of {', '.join(KINDS)}.")
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(display_name=sender.name, addr_spec=sender.address)
    message["To"] = Address(addr_spec=recipient_of(request))
    message["Subject"] = _one_line(str(request.get("subject") or ""))[:MAX_SUBJECT] or "(none)"
    message["Date"] = formatdate(now)
    message["Message-ID"] = message_id_of(transaction_id, sender.domain)
    message["X-Failsoft-Txn"] = transaction_id
    message["Auto-Submitted"] = str(kind)
    message["X-Auto-Response-Suppress"] = "All"
    if answered := _answered(request):
        message["In-Reply-To"] = answered
        message["References"] = answered
    message.set_content(f"{_plain(text).rstrip()}\n\n{token_of(transaction_id)}\n")
    return message


def _answered(request: JSONObject) -> str:
    """Return the Message-ID that this mail answers, "" where it has not the form of one."""
    found = str(request.get("in_reply_to") or "").strip()
    return found if len(found) <= MAX_ID and _ID.fullmatch(found) else ""


def _one_line(text: str) -> str:
    """Return text as one line of what can be printed: no line end, no control character."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _plain(text: str) -> str:
    """Return text whose only control characters are line ends and tabs."""
    lines = text.splitlines()
    return "\n".join(
        "".join(sign for sign in line if sign.isprintable() or sign == "\t") for line in lines
    )
