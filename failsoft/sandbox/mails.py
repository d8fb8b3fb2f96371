"""The mails that the outside world was sent."""

from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from failsoft.parsing import JSON, JSONObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """One mail as it came over the wire; sender and recipients are those of the envelope."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    def as_json(self) -> JSONObject:
        """Return the mail as its reader sees it, and raw."""
        message = message_from_bytes(self.raw, policy=policy.default)
        headers: JSONObject = {}
        for name, value in message.items():
            headers.setdefault(name.lower(), str(value))
        return {
            "from": self.sender,
            "to": [*self.recipients],
            "subject": headers.get("subject", ""),
            "message_id": headers.get("message-id", ""),
            "text": _text(message),
            "headers": headers,
            "raw": self.raw.decode(errors="replace"),
        }


@dataclass(kw_only=True, slots=True)
class MailStore:
    """All mails in the order in which they were accepted."""

    mails: list[Mail] = field(default_factory=list)

    def add(self, mail: Mail) -> None:
        self.mails.append(mail)

    def as_json(self) -> list[JSON]:
        return [mail.as_json() for mail in self.mails]


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain", "html"))
    try:
        return str(body.get_content()).replace("\r\n", "\n") if body else ""
    except (LookupError, KeyError):  # an unknown charset, a kind that is no text
        return ""
