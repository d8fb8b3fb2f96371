"""Bombs in how a mail is built: levels, parts, bytes, charsets, boundaries."""

import base64

from failsoft.intake.mail_limits import Reason
from tests.unit.mail_bombs import (
    HEAD,
    MIB,
    Bomb,
    fold,
    html,
    in_parts,
    nested,
    noise,
    plain,
    texts,
    typed,
)

NESTED = {
    "2 000 levels of parts": Bomb(
        make=lambda: nested(2000, lambda level: b"b%d" % level), reason=Reason.TOO_DEEP
    ),
    "2 000 levels with one boundary": Bomb(
        make=lambda: nested(2000, lambda _: b"b"), reason=Reason.TOO_MANY_PARTS
    ),
    "2 000 levels whose boundaries begin alike": Bomb(
        make=lambda: nested(2000, lambda level: b"b" * min(level + 1, 70)), reason=Reason.TOO_DEEP
    ),
    "2 000 messages in messages": Bomb(
        make=lambda: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 2000, reason=Reason.TOO_DEEP
    ),
    "10 000 parts": Bomb(
        make=lambda: in_parts(*[b"\r\nIt broke."] * 10_000), reason=Reason.TOO_MANY_PARTS
    ),
    "10 000 empty parts": Bomb(
        make=lambda: in_parts(*[b""] * 10_000), reason=Reason.TOO_MANY_PARTS
    ),
    "25 MB of what is nearly a boundary": Bomb(
        make=lambda: typed(b"multipart/mixed; boundary=b", fold(25 * MIB, b"--bx\r\n")),
        reason=Reason.TOO_SLOW,
    ),
    "20 levels around 25 MB": Bomb(
        make=lambda: nested(19, lambda level: b"b%d" % level) + fold(25 * MIB, b"again \r\n")
    ),
    "50 alternatives of HTML": Bomb(
        make=lambda: in_parts(*texts(49, MIB // 2), kind=b"multipart/alternative")
    ),
    "49 texts": Bomb(make=lambda: in_parts(*texts(49, MIB // 2, b"text/plain"))),
    "49 texts in base64": Bomb(
        make=lambda: in_parts(
            *[
                b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                + base64.encodebytes(b" " * (MIB // 3))
            ]
            * 49,
            kind=b"multipart/alternative",
        )
    ),
}

LARGE = {
    "25 MB of text": Bomb(make=lambda: plain(fold(25 * MIB, b"It broke again and again.\r\n"))),
    "25 MB in one line": Bomb(make=lambda: plain(b"x" * 25 * MIB)),
    "25 MB of line ends": Bomb(make=lambda: plain(b"\n" * 25 * MIB)),
    "25 MB of carriage returns": Bomb(make=lambda: plain(b"\r" * 25 * MIB)),
    "25 MB with carriage returns only": Bomb(
        make=lambda: plain(b"It broke.").replace(b"\r\n", b"\r") + fold(25 * MIB, b"again \r")
    ),
    "25 MB of blanks": Bomb(make=lambda: plain(b"It broke." + b" " * 25 * MIB)),
    "25 MB of NUL": Bomb(make=lambda: plain(b"\0" * 25 * MIB)),
    "25 MB of noise": Bomb(make=lambda: plain(noise(25 * MIB))),
    "25 MB of an attachment": Bomb(
        make=lambda: in_parts(
            b"\r\nSee the file.",
            b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n"
            b"Content-Disposition: attachment\r\n\r\n" + base64.encodebytes(noise(18 * MIB)),
        )
    ),
    "25 MB of base64 text": Bomb(
        make=lambda: typed(b"text/plain", base64.encodebytes(b"x" * 18 * MIB), b"base64")
    ),
    "25 MB of quoted-printable": Bomb(
        make=lambda: typed(b"text/plain", fold(25 * MIB, b"=3D=\r\n"), b"quoted-printable")
    ),
    "25 MB of quotes": Bomb(make=lambda: plain(fold(25 * MIB, b"> it broke\r\n"))),
    "25 MB of HTML": Bomb(make=lambda: html(fold(25 * MIB, b"<p>again</p>"))),
    "25 MB without a header's end": Bomb(
        make=lambda: b"Subject: " + b"x" * 25 * MIB, reason=Reason.HEAD_TOO_LARGE
    ),
    "41 MB": Bomb(make=lambda: plain(b"x" * 41 * MIB), reason=Reason.TOO_LARGE),
}

NOTHING = {
    "nothing": Bomb(make=lambda: b"", reason=Reason.NO_HEADERS),
    "a line end": Bomb(make=lambda: b"\r\n", reason=Reason.NO_HEADERS),
    "a colon": Bomb(make=lambda: b":", reason=Reason.NO_HEADERS),
    "NUL": Bomb(make=lambda: b"\0" * 1000, reason=Reason.NO_HEADERS),
    "noise": Bomb(make=lambda: noise(MIB), reason=Reason.NO_HEADERS),
    "a body alone": Bomb(make=lambda: b"\r\nIt broke.\r\n", reason=Reason.NO_HEADERS),
}

CHARSETS = {
    f"the charset {charset[:30].decode('ascii', 'replace')}": Bomb(
        make=lambda charset=charset: typed(  # type: ignore[misc]  # a default binds it early
            b"text/plain; charset=" + charset, b"It broke: \xe9\xff\xfe +AGE- \x1b$B \\ud800 xn--a"
        )
    )
    for charset in (
        b"x-nobody-knows", b'""', b'"utf-8"', b"'utf-8'", b"utf-8;charset=latin-1", b"\xff\xfe",
        b"x" * 4000, b"../../etc/passwd", b"utf_7", b"utf-16", b"utf-32", b"hz", b"iso-2022-jp",
        b"iso-2022-kr", b"gb18030", b"idna", b"punycode", b"zlib", b"rot13", b"hex", b"uu",
        b"unicode_escape", b"raw_unicode_escape", b"undefined", b"mbcs", b"unknown-8bit",
    )
} | {
    "a megabyte of punycode": Bomb(make=lambda: typed(b"text/plain; charset=punycode", b"a" * MIB)),
    "a megabyte of UTF-7": Bomb(
        make=lambda: typed(b"text/plain; charset=utf-7", fold(MIB, b"+AGEAYQ-"))
    ),
    "a charset by RFC 2231": Bomb(
        make=lambda: typed(b"text/plain; charset*=utf-9'en'%00%ff%0d%0a", b"It broke.")
    ),
}  # fmt: skip

BOUNDARIES = {
    f"the boundary {boundary[:30].decode('ascii', 'replace')}": Bomb(
        make=lambda boundary=boundary: typed(  # type: ignore[misc]  # a default binds it early
            b"multipart/mixed" + boundary, b"--b\r\n\r\nIt broke.\r\n--b\r\n\r\nAgain.\r\n"
        )
    )
    for boundary in (
        b"", b"; boundary", b"; boundary=", b'; boundary=""', b'; boundary="b', b"; boundary=c",
        b'; boundary=" "', b"; boundary=b; boundary=c", b"; boundary=\xff\xfe", b"; boundary=\0",
        b'; boundary="a\r\n b"', b"; boundary*=utf-8''b", b"; boundary*0=b; boundary*1=b",
        b"; boundary*=nobody-knows'en'%ff", b"; boundary=b", b"; boundary=" + b"b" * 3000,
        b"; boundary=--",
    )
} | {
    "a content type of 10 000 parameters": Bomb(
        make=lambda: typed(b"multipart/mixed; boundary=b" + b"; a*0*=''%ff" * 10_000, b"It broke."),
        reason=Reason.HEADER_TOO_LONG,
    ),
    "a content type of semicolons": Bomb(
        make=lambda: typed(b"multipart/mixed" + b";" * 4000, b"It broke.")
    ),
    "a content type of quotes": Bomb(make=lambda: typed(b"text/plain; a=" + b'"\\' * 2000, b"!")),
    "a file name in 500 pieces": Bomb(
        make=lambda: typed(
            b"text/plain;" + b"".join(b" n*%d*=%%ff;" % n for n in range(300)), b"It broke."
        )
    ),
}  # fmt: skip
