"""Bombs in what a mail says: its headers, HTML and text."""

import base64

from failsoft.intake.mail_limits import Reason
from tests.unit.mail_bombs import HEAD, MIB, Bomb, fold, headed, html, in_parts, plain, typed

IDS = {
    f"the Message-ID {value[:30]!r}": Bomb(
        make=lambda value=value: headed(b"Message-ID", value)  # type: ignore[misc]
    )
    for value in (
        b"", b"<>", b"<@>", b"<abc def@@x", b"<a@b> <c@d>", b"<" * 100_000, b"<" + b"a" * 100_000
        + b"@b>", b"<a\0@b>", b"<\xff\xfe@b>", b"<a@b>\r\n <c@d>", b"=?utf-8?q?=3Ca=40b=3E?=",
        b"(" * 50_000, b"<a@b> (" + b"x" * 100_000,
    )
} | {
    "250 KB of references": Bomb(
        make=lambda: headed(b"References", fold(250_000, b"<%d@example.com>\r\n " % 7))
    ),
    "references that do not end": Bomb(make=lambda: headed(b"References", b"<a@" * 80_000)),
}  # fmt: skip

INJECTED = {
    f"a line in {where}": Bomb(
        make=lambda name=name, value=value: headed(name, value)  # type: ignore[misc]
    )
    for where, name, value in (
        ("an encoded subject", b"Subject", b"=?utf-8?q?Help=0D=0ABcc:_everybody=40example.com?="),
        ("a base64 subject", b"Subject",
         b"=?utf-8?b?" + base64.b64encode(b"Help\r\nBcc: everybody@example.com\r\n\r\n!") + b"?="),
        ("a subject", b"Subject", b"Help\rBcc: everybody@example.com"),
        ("a subject by Unicode", b"Subject", "Help\u2028Bcc: a@b\u2029\x85\x0b\x0c!".encode()),
        ("a name", b"From", b"=?utf-8?q?Ann=0D=0ABcc:_e=40x=2Ey?= <ann@example.com>"),
        ("an address", b"From", b"<ann@example.com\rbcc:everybody@example.com>"),
        ("an encoded address", b"From", b"=?utf-8?q?=3Cceo=40example=2Ecom=3E?= <ann@example.com>"),
        ("a quoted address", b"From", b'"a\r\n\r\n b"@example.com'),
        ("a date", b"Date", b"Tue, 3 Mar 2026 10:00:00 +0100\rX: y"),
        ("a reference", b"References", b"<a@b\rX: y> <c@d\0>"),
        ("a terminal's escape", b"Subject", b"Help \x1b]0;root\x07\x1b[2J\x9b31m"),
    )
} | {
    "a line in a file name": Bomb(
        make=lambda: in_parts(
            b"\r\nIt broke.",
            b"Content-Type: image/png; name*=utf-8''a%0D%0AX-Evil:%20y.png\r\n\r\n\x89PNG",
        )
    ),
}  # fmt: skip

HEADERS = {
    "5 000 headers": Bomb(
        make=lambda: b"X-A: b\r\n" * 5000 + plain(b"!"), reason=Reason.TOO_MANY_HEADERS
    ),
    "400 headers": Bomb(make=lambda: b"X-A: b\r\n" * 400 + plain(b"It broke.")),
    "a header of 1 MB": Bomb(
        make=lambda: headed(b"Subject", b"x" * MIB), reason=Reason.HEAD_TOO_LARGE
    ),
    "a subject of 250 KB": Bomb(make=lambda: headed(b"Subject", b"x " * 125_000)),
    "a subject of 60 000 lines": Bomb(make=lambda: headed(b"Subject", b"x\r\n " * 60_000)),
    "headers without a colon": Bomb(make=lambda: HEAD + b"no colon\r\n" * 100 + b"\r\nIt broke."),
    "a header without a name": Bomb(make=lambda: HEAD + b": nobody\r\n\r\nIt broke."),
    "a date of digits": Bomb(make=lambda: headed(b"Date", b"9" * 200_000)),
    "a date beyond all years": Bomb(
        make=lambda: headed(b"Date", b"Tue, 3 Mar 99999999999 99:99:99 +9999999999")
    ),
    "100 000 open comments": Bomb(make=lambda: headed(b"From", b"(" * 100_000)),
    "100 000 open quotes": Bomb(make=lambda: headed(b"From", b'"' * 99_999)),
    "100 000 open angles": Bomb(make=lambda: headed(b"From", b"<" * 100_000)),
    "100 000 routes": Bomb(make=lambda: headed(b"From", b"<@a:" * 50_000)),
    "60 000 addresses": Bomb(make=lambda: headed(b"To", b"a@b," * 60_000)),
    "400 headers of addresses": Bomb(make=lambda: b"To: (((((a@b,,,,\r\n" * 400 + plain(b"!")),
    "a group of addresses": Bomb(make=lambda: headed(b"To", b"g:" * 50_000 + b";")),
    "no sender": Bomb(make=lambda: b"Subject: Help\r\n\r\nIt broke.\r\n"),
}

WORDS = {
    "20 000 encoded words": Bomb(make=lambda: headed(b"Subject", b"=?utf-8?q?a?= " * 17_000)),
    "encoded words that do not end": Bomb(make=lambda: headed(b"Subject", b"=?a?q?" * 40_000)),
    "the beginnings of encoded words": Bomb(make=lambda: headed(b"Subject", b"=?" * 120_000)),
    "encoded words in encoded words": Bomb(
        make=lambda: headed(b"Subject", b"=?utf-8?q?=3D=3Futf-8=3Fq=3F=0A=3F=3D?=")
    ),
    "an encoded word of 180 KB": Bomb(
        make=lambda: headed(b"Subject", b"=?utf-8?b?" + b"QUFB" * 45_000 + b"?=")
    ),
    "an encoded word of codecs": Bomb(
        make=lambda: headed(b"Subject", b"=?zlib?b?eJwDAAAAAAE=?= =?punycode?q?" + b"a" * 7000
                            + b"?=")
    ),
    "an encoded word of half a character": Bomb(
        make=lambda: headed(b"Subject", b"=?utf-8?q?=F0=9F?= =?utf-8?q?=99?=")
    ),
    "an encoded word without base64": Bomb(make=lambda: headed(b"Subject", b"=?utf-8?b?!!!=?=")),
    "encoded surrogates": Bomb(
        make=lambda: headed(b"Subject", b"=?utf-16?b?2D0=?= =?utf-8?q?=ED=A0?= =?utf-7?q?+2D0-?=")
    ),
}  # fmt: skip

HTML = {
    "100 000 open elements": Bomb(make=lambda: html(b"<div>" * 100_000)),
    "100 000 open quotes in HTML": Bomb(make=lambda: html(b"<blockquote>" * 40_000 + b"x")),
    "100 000 open lists": Bomb(make=lambda: html(b"<ul><li>" * 60_000)),
    "an attribute of 1 MB": Bomb(make=lambda: html(b'<a href="' + b"x" * MIB + b'">a</a>')),
    "100 000 attributes": Bomb(make=lambda: html(b"<a " + b"a='b' " * 80_000 + b">a</a>")),
    "an attribute that does not end": Bomb(make=lambda: html(b"<a b='" * 80_000)),
    "a style of blanks": Bomb(
        make=lambda: html(b"<p style='display" + b" " * 500_000 + b":none'>")
    ),
    "a style of displays": Bomb(make=lambda: html(b"<p style='" + b"display:" * 60_000 + b"'>a")),
    "half a million angles": Bomb(make=lambda: html(b"<" * 500_000)),
    "angles with slashes": Bomb(make=lambda: html(b"</" * 250_000)),
    "angles with letters": Bomb(make=lambda: html(b"<a" * 250_000)),
    "a comment that does not end": Bomb(make=lambda: html(b"<!--" * 120_000)),
    "a comment of dashes": Bomb(make=lambda: html(b"<!-" + b"-" * 500_000)),
    "declarations": Bomb(make=lambda: html(b"<!DOCTYPE [" * 40_000)),
    "marked sections": Bomb(make=lambda: html(b"<![CDATA[" * 50_000)),
    "unknown sections": Bomb(make=lambda: html(b"<![if !x[" * 50_000)),
    "instructions": Bomb(make=lambda: html(b"<?" * 250_000)),
    "a script that does not end": Bomb(make=lambda: html(b"<script>" + b"</scr" * 70_000)),
    "a text area that does not end": Bomb(make=lambda: html(b"<textarea>" + b"</texta" * 70_000)),
    "a plaintext element": Bomb(make=lambda: html(b"<plaintext>" + b"<a" * 200_000)),
    "ampersands": Bomb(make=lambda: html(b"&" * 500_000)),
    "references without an end": Bomb(make=lambda: html(b"&#" * 250_000)),
    "a reference to no character": Bomb(
        make=lambda: html(b"&#99999999999999999999; &#xD800; &#0; &#x110000;" * 1000)
    ),
    "a reference of digits": Bomb(make=lambda: html(b"&#" + b"9" * 500_000 + b";")),
    "a table of cells": Bomb(make=lambda: html(b"<table><tr>" + b"<td>a" * 90_000)),
    "lines that are preserved": Bomb(make=lambda: html(b"<pre>" + b"\n" * 500_000)),
}

TEXTS = {
    "introductions without a quote": Bomb(
        make=lambda: plain(fold(MIB // 4, b"On a, b wrote:\r\n"))
    ),
    "an introduction of blanks": Bomb(
        make=lambda: plain(b"On" + b" " * 250_000 + b"wrote:\r\n> a")
    ),
    "many introductions": Bomb(make=lambda: plain(fold(MIB // 4, b"On a b wrote:\r\n> c\r\n"))),
    "dividers": Bomb(make=lambda: plain(fold(MIB // 4, b"-----Original Message----\r\n"))),
    "a divider of dashes": Bomb(make=lambda: plain(b"-" * 250_000 + b"original")),
    "headers of a quoted mail": Bomb(make=lambda: plain(fold(MIB // 4, b"From: a\r\n"))),
    "quotes in quotes": Bomb(make=lambda: plain(b">" * 250_000)),
    "nothing but a quote": Bomb(make=lambda: plain(b"On Monday Ann wrote:\r\n> It broke.\r\n")),
    "tokens that do not end": Bomb(make=lambda: plain(b"[ref:" * 50_000)),
    "thousands of tokens": Bomb(make=lambda: plain((b"[ref:" + b"a" * 26 + b"]") * 8000)),
    "surrogates as bytes": Bomb(make=lambda: plain(b"It broke \xed\xa0\xbd\xed\xb8\x80 \xc0\x80")),
    "surrogates in UTF-16": Bomb(
        make=lambda: typed(b"text/plain; charset=utf-16-le", b"I\0\x3d\xd8t\0\0\xdc")
    ),
    "uuencode": Bomb(
        make=lambda: typed(b"text/plain", b"begin 644 a\r\n#0V%T\r\n`\r\nend\r\n", b"x-uuencode")
    ),
    "uuencode that does not end": Bomb(
        make=lambda: typed(b"text/plain", b"begin 644 a\r\n" + b"M" * MIB, b"uuencode")
    ),
    "bad base64": Bomb(make=lambda: typed(b"text/plain", b"SXQ=YnJ!\0va2U*&^%", b"base64")),
    "one letter of base64": Bomb(make=lambda: typed(b"text/plain", b"S", b"base64")),
    "a megabyte of bad base64": Bomb(
        make=lambda: typed(b"text/plain", b"=S!" * 350_000, b"base64")
    ),
    "bad quoted-printable": Bomb(
        make=lambda: typed(b"text/plain", b"It=broke=\xff=G=0==\0=3", b"quoted-printable")
    ),
    "a megabyte of equal signs": Bomb(
        make=lambda: typed(b"text/plain", b"=" * MIB, b"quoted-printable")
    ),
    "an encoding that nobody knows": Bomb(make=lambda: typed(b"text/plain", b"It broke.", b"x\0y")),
    "NUL everywhere": Bomb(
        make=lambda: headed(b"Subject", b"a\0b").replace(b"Ann", b"A\0n").replace(b"It ", b"It\0")
    ),
    "an attachment alone": Bomb(
        make=lambda: plain(b"It broke.", b"Content-Disposition: attachment; filename=a.txt")
    ),
}
