"""Mails by Ann to our support, and what reading them gives."""

from failsoft.events import Event, Ignored
from failsoft.intake.mail import read_mail
from failsoft.intake.mail_rules import MailRules

US = "support@example.com"
RULES = MailRules(mailbox="inbox", own=frozenset({US}))


def mail(*headers: str, text: str | bytes = "It broke.") -> bytes:
    """Return a mail by Ann; a header that is given goes before hers of the same name."""
    usual = (
        "From: Ann <ann@customer.example>",
        f"To: {US}",
        "Date: Tue, 3 Mar 2026 10:00:00 +0100",
        "Message-ID: <1@customer.example>",
        "Subject: Help",
    )
    names = {line.partition(":")[0].lower() for line in headers}
    kept = [line for line in usual if line.partition(":")[0].lower() not in names]
    body = text.encode() if isinstance(text, str) else text
    return "\r\n".join([*headers, *kept]).encode() + b"\r\n\r\n" + body


def event_of(raw: bytes, rules: MailRules = RULES) -> Event:
    found = read_mail(raw, rules)
    assert isinstance(found, Event), found
    return found


def body_of(raw: bytes) -> str:
    """Return what the mail says, without its subject."""
    return event_of(raw).text.partition("\n\n")[2]


def listed(raw: bytes, rules: MailRules = RULES) -> Ignored:
    found = read_mail(raw, rules)
    assert isinstance(found, Ignored), found
    return found
