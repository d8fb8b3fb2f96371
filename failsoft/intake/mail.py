"""A mail as an event: guarded before it is parsed, keyed by its Message-ID, told from machines'.

The key is `mail:{mailbox}:{Message-ID}`, whatever alias or door the mail came by. Without a usable
Message-ID it is a hash of what the sender wrote: From, Date, Subject and what the mail says.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence

from failsoft.connectors.mail_identity import tokens_in, transaction_of
from failsoft.errors import InvalidEventError
from failsoft.events import MAX_RAW, Event, Ignored
from failsoft.intake.mail_headers import MAX_NAME, Headers, one_line, words
from failsoft.intake.mail_limits import Allowance, Reason
from failsoft.intake.mail_parts import Part, parts_of
from failsoft.intake.mail_quotes import without_quotes
from failsoft.intake.mail_rules import MailRules, is_quiet
from failsoft.intake.mail_text import Text, text_of
from failsoft.parsing import JSON, clean_text

__all__ = ["MailRules", "read_mail"]

logger = logging.getLogger(__name__)

PIECE = 1024 * 1024  # bytes that are hashed at once
MAX_BODY = 64 * 1024  # characters of what is kept beside the text
MOST_IDS = 24  # ids that a mail may answer, beside the tokens in it
MOST_TOKENS = 8
BLANKS = b" \t\r\n"


def read_mail(raw: bytes, rules: MailRules) -> Event | Ignored:
    """Return a mail as an event, or why it starts nothing; it never raises.

    What could not be read has its bytes with it: it is a rejection, for a person to look at.
    """
    try:
        return _read(parts_of(raw, Allowance.of(raw)), rules)
    except InvalidEventError as error:
        reason = str(error)
    except Exception as error:
        logger.exception("a mail cannot be read")
        reason = f"{Reason.UNREADABLE}: {type(error).__name__}"
    # By all its bytes: two mails that cannot be read are two, whatever they say of themselves.
    key = f"mail:{rules.mailbox}:sha256:{hashlib.sha256(raw).hexdigest()}"
    return Ignored(key=key, reason=reason, raw=raw[:MAX_RAW])


def _read(mail: Part, rules: MailRules) -> Event | Ignored:
    headers = Headers.of(mail.head)
    text, subject = text_of(mail), headers.text("subject")
    attached = [each for each in mail.leaves() if each is not mail and each not in text.sources]
    digest = _digest(headers, mail, text, [_name(each) for each in attached])
    message_id = headers.message_id()
    key = f"mail:{rules.mailbox}:{message_id or _written(headers, digest)}"
    if reason := rules.objection(headers, mail.kind):
        return Ignored(key=key, reason=reason)
    sender = next(iter(headers.addresses("from")), None)
    return Event(
        key=key,
        source="mail",
        text=f"{subject}\n\n{text.text}",
        facts={
            "from": sender.address if sender else "",
            "from_name": sender.name if sender else "",
            "to": [each.address for each in headers.addresses("to")],
            "cc": [each.address for each in headers.addresses("cc")],
            "subject": subject,
            "message_id": message_id or "",
            "body": without_quotes(text.text)[:MAX_BODY],
            "quiet": is_quiet(headers),
            "attachments": _attachments(attached),
            "date": headers.date(),
        },
        refs=_refs(headers, rules.mailbox, f"{subject}\n{text.text}"),
        sender=sender.address.lower() if sender else None,
        digest=digest,
    )


def _refs(headers: Headers, mailbox: str, text: str) -> list[str]:
    """Return what a mail may answer: the ids in its headers, then our tokens in what it says."""
    ids = headers.answered()[:MOST_IDS]
    refs = [_ref(each, mailbox) for each in ids]
    tokens = [f"txn:{token}" for token in tokens_in(text)[:MOST_TOKENS]]
    return list(dict.fromkeys([*refs, *tokens]))


def _ref(message_id: str, mailbox: str) -> str:
    ours = transaction_of(message_id)
    return f"txn:{ours}" if ours else f"mail:{mailbox}:{message_id}"


def _attachments(attached: Sequence[Part]) -> list[JSON]:
    return [
        {"name": _name(part), "type": one_line(part.kind, MAX_NAME), "size": part.size}
        for part in attached
    ]


def _name(part: Part) -> str:
    return clean_text(one_line(words(part.name), MAX_NAME))  # it may name a charset of its own


def _written(headers: Headers, digest: str) -> str:
    """Return what stands for a missing Message-ID: what the sender wrote."""
    known = [" ".join(headers.raw(name).split()) for name in ("from", "date", "subject")]
    written = "\n".join([*known, digest])
    return f"sha256:{hashlib.sha256(written.encode()).hexdigest()}"


def _digest(headers: Headers, mail: Part, text: Text, names: Sequence[str]) -> str:
    """Hash what a mail says, and nothing that differs between two ways of it.

    A gateway encodes it anew, and marks the subject or the sender. What cannot be read, or not as
    a whole, goes by its bytes: rather one mail taken for two than two for one.
    """
    head = "\n".join([headers.date() or headers.raw("date"), *names, ""])
    found = hashlib.sha256(head.encode())
    said = " ".join(text.text.split())
    pieces = [said.encode()] if said and text.whole else _canonical(mail)
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def _canonical(mail: Part) -> Iterator[bytes]:
    """Yield the body without carriage returns, and without blanks at its end, in pieces."""
    end = mail.end
    while end > mail.start and mail.raw[end - 1 : end] in BLANKS:
        first = max(mail.start, end - PIECE)
        end = first + len(mail.raw[first:end].rstrip(BLANKS))
    for first in range(mail.start, end, PIECE):
        yield mail.raw[first : min(end, first + PIECE)].translate(None, b"\r")
