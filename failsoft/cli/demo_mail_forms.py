"""The bodies of the demo's mails, as programs build them; the same text gives the same bytes."""

import base64
from email.message import EmailMessage
from email.policy import SMTP

from failsoft.parsing import clean_text

LEVELS = 2_000  # of parts within parts
WORD = 12  # characters of an encoded word: with any script it stays below 75 in all
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def encoded(text: str) -> str:
    """Return a header's text as it goes over the wire; a line end hides in an encoded word."""
    if text.isascii() and text.isprintable():
        return text
    pieces = (text[start : start + WORD].encode() for start in range(0, len(text), WORD))
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(piece).decode()}?=" for piece in pieces)


def body_of(form: str, text: str, mark: str) -> bytes:
    """Return the rest of a mail, from its MIME headers on; `mark` makes its boundaries."""
    match form:
        case "html":
            return _built(f"<html><body>{text}</body></html>", subtype="html")
        case "latin":
            return _built(text, charset="iso-8859-1")
        case "attachment":
            return _with_picture(text, mark)
        case "report":
            return _report(text, mark)
        case "nested":
            return _nested(text)
        case _:
            return _built(text)


def _built(text: str, *, subtype: str = "plain", charset: str = "utf-8") -> bytes:
    message = EmailMessage(policy=SMTP)
    message.set_content(text, subtype=subtype, charset=charset)
    return message.as_bytes()


def _with_picture(text: str, mark: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message.set_content(text)
    message.add_attachment(PICTURE, maintype="image", subtype="png", filename="picture.png")
    message.set_boundary(f"part-{mark}")  # else a random one
    return message.as_bytes()


def _report(text: str, mark: str) -> bytes:
    """Return a report of a mail server about a mail of ours (RFC 3464)."""
    said = clean_text(text).replace("\n", "\r\n")
    status = "Reporting-MTA: dns; mx.provider.example\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    return (
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="part-{mark}"\r\n'
        f"MIME-Version: 1.0\r\n\r\n--part-{mark}\r\nContent-Type: text/plain\r\n\r\n{said}\r\n"
        f"--part-{mark}\r\nContent-Type: message/delivery-status\r\n\r\n{status}\r\n"
        f"--part-{mark}--\r\n"
    ).encode()


def _nested(text: str) -> bytes:
    """Return a mail that is deeper than any reader's stack."""
    opened = "".join(
        f'Content-Type: multipart/mixed; boundary="b{level}"\r\n\r\n--b{level}\r\n'
        for level in range(LEVELS)
    )
    said = text.replace("\n", "\r\n")
    return f"MIME-Version: 1.0\r\n{opened}Content-Type: text/plain\r\n\r\n{said}".encode()
