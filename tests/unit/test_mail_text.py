"""What a mail says: its text from plain text or HTML, in any charset, without what it quotes."""

import base64
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.intake.mail_limits import MAX_TEXT
from failsoft.intake.mail_quotes import without_quotes
from tests.unit.mails import body_of, event_of, mail

# What it says


def test_the_text_is_the_subject_and_the_body() -> None:
    assert event_of(mail()).text == "Help\n\nIt broke."


def test_a_preamble_is_not_shown_and_its_parts_are() -> None:
    body = (
        "This is a multi-part message in MIME format.\r\n\r\n--b\r\n\r\nIt broke.\r\n--b--\r\nbye"
    )
    assert body_of(mail('Content-Type: multipart/mixed; boundary="b"', text=body)) == "It broke."


def test_of_alternatives_the_plain_one_is_read() -> None:
    message = EmailMessage()
    message["Message-ID"], message["From"], message["Subject"] = "<1@x>", "a@b.example", "Help"
    message.set_content("Plain and simple.")
    message.add_alternative("<p>Rich and <b>bold</b>.</p>", subtype="html")

    assert body_of(bytes(message)).strip() == "Plain and simple."


def test_an_empty_plain_alternative_is_passed_over() -> None:
    message = MIMEMultipart("alternative")
    message["From"], message["Subject"] = "a@b.example", "Help"
    message.attach(MIMEText(" \n"))
    message.attach(MIMEText("<p>It broke.</p>", "html"))

    assert body_of(message.as_bytes()) == "It broke."


def test_attachments_are_named_with_their_sizes_and_not_read() -> None:
    message = MIMEMultipart()
    message["From"], message["Subject"] = "a@b.example", "Help"
    message.attach(MIMEText("See the file."))
    file = MIMEApplication(b"x" * 3000, "pdf")
    file.add_header("Content-Disposition", "attachment", filename=("utf-8", "", "Bücher.pdf"))
    message.attach(file)

    event = event_of(message.as_bytes())

    assert event.text == "Help\n\nSee the file."
    attachments: Any = event.facts["attachments"]
    (attached,) = attachments
    assert (attached["name"], attached["type"]) == ("Bücher.pdf", "application/pdf")
    assert abs(attached["size"] - 3000) < 50


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    event = event_of(mail(text="again and again " * (MAX_TEXT // 10)))

    assert len(event.text) < MAX_TEXT + 200
    assert event.text.endswith("[the rest of this mail is left out]")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<ul><li>One<li>Two</ul>", "- One\n- Two"),
        ("a   b\n\n c", "a b c"),
        ("<pre>a  b\n  c</pre>", "a  b\n  c"),
        ("<blockquote>quoted</blockquote>new", "> quoted\n>\nnew"),
        ("<head><title>t</title></head><body>b</body>", "b"),
        ("<style>p{}</style><script>x()</script>b", "b"),
        ('<div style="display: none">hidden</div>b', "b"),
        ("<p hidden>hidden</p>b", "b"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("&lt;b&gt; &amp;amp; &euro; &#8364; &nope;", "<b> &amp; € € &nope;"),
        ("<!-- comment -->b", "b"),
        ("no markup at all", "no markup at all"),
    ],
)
def test_html_is_read_as_a_person_reads_it(html: str, text: str) -> None:
    raw = mail("Content-Type: text/html; charset=utf-8", text=html)
    assert body_of(raw) == text


# Charsets


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        pytest.param("utf-8", "é€".encode(), "é€", id="as declared"),
        pytest.param("iso-8859-1", b"\xe9", "é", id="latin-1"),
        pytest.param("windows-1252", b"\x80", "€", id="windows"),
        pytest.param("koi8-r", "Жук".encode("koi8-r"), "Жук", id="koi8-r"),
        pytest.param("gb2312", "你好".encode("gb2312"), "你好", id="gb2312"),
        pytest.param("iso-2022-jp", "日本".encode("iso-2022-jp"), "日本", id="iso-2022-jp"),
        pytest.param("us-ascii", "é".encode(), "é", id="declared as ASCII, is UTF-8"),
        pytest.param("utf-8", b"\xe9t\xe9", "été", id="declared as UTF-8, is Latin-1"),
        pytest.param("x-nobody-knows", "é".encode(), "é", id="unknown, is UTF-8"),
        pytest.param("x-nobody-knows", b"\xe9", "é", id="unknown, is Latin-1"),
        pytest.param("zlib", b"x\x9cabc", "x\x9cabc", id="a codec of bytes"),
        pytest.param("utf-8", b"a\x00b\xed\xa0\x80", "a�bí\xa0\x80", id="NUL and a surrogate"),
    ],
)
def test_the_declared_charset_is_tried_then_utf_8_then_latin_1(
    charset: str, content: bytes, text: str
) -> None:
    headers = f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: base64"
    raw = mail(*headers, text=base64.encodebytes(content))
    assert body_of(raw) == text


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("=?iso-8859-1?q?=E9t=E9?=", "été"),
        ("=?utf-8?b?4oKs?=", "€"),
        ("=?utf-8?q?a?= =?utf-8?q?b?= c", "ab c"),
        ("=?utf-8?q?=E2=82?= =?utf-8?q?=AC?=", "€"),
        ("=?x-nobody-knows?q?=E9t=E9?=", "été"),
        ("=?utf-8?q?a=0D=0ABcc:_b=40c?=", "a Bcc: b@c"),
        ("folded\r\n over\r\n\tlines", "folded over lines"),
        ("=?utf-8?z?abc?=", "=?utf-8?z?abc?="),
        ("", ""),
    ],
)
def test_a_subject_is_one_line_as_a_person_reads_it(subject: str, text: str) -> None:
    assert event_of(mail(f"Subject: {subject}")).facts["subject"] == text


# Quotes


@pytest.mark.parametrize(
    "quoted",
    [
        "> It broke.\n> Again.",
        "On Mon, 2 Mar 2026 at 10:00, Ann <a@b.example> wrote:\n> It broke.",
        "On Mon, 2 Mar 2026 at 10:00, Ann of Accounts\n<a@b.example> wrote:\n\n> It broke.",
        "Am 02.03.26 um 10:00 schrieb Ann:\n> Kaputt.",
        "Le lun. 2 mars 2026, Ann a écrit :\n> En panne.",
        "-----Original Message-----\nFrom: Ann\nIt broke.",
        "-------- Forwarded Message --------\nIt broke.",
        "From: Ann\nSent: Monday\nTo: support\nSubject: Help\n\nIt broke.",
        "Von: Ann\nGesendet: Montag\nAn: support\nBetreff: Hilfe\n\nKaputt.",
        "*From:* Ann\n*Date:* Monday\n*To:* support\n\nIt broke.",
    ],
)
def test_what_a_reply_quotes_is_left_out_of_its_body(quoted: str) -> None:
    event = event_of(mail(text=f"Still broken.\n\n{quoted}"))

    assert event.facts["body"] == "Still broken."
    assert "It broke." in event.text or "Kaputt." in event.text or "En panne." in event.text


@pytest.mark.parametrize(
    "text",
    [
        "From: what I can tell it broke.",
        "I wrote: it broke.\nAnd then again.",
        "On Monday it broke:\nnothing works.",
        "a > b\n1 -> 2",
        "-- \nAnn",
    ],
)
def test_what_only_looks_like_a_quote_is_kept(text: str) -> None:
    assert without_quotes(text) == text


def test_answers_between_quotes_are_kept() -> None:
    text = "> Which one?\nThe red one.\n> Since when?\nMonday."
    assert without_quotes(text) == "The red one.\nMonday."


def test_a_mail_that_only_quotes_is_kept_whole() -> None:
    assert without_quotes("> It broke.") == "> It broke."


@given(st.text(alphabet="> \nabOnwrote:-From", max_size=400))
def test_whatever_is_left_out_something_is_kept(text: str) -> None:
    kept = without_quotes(text)
    lines = {line.strip() for line in text.split("\n")}
    assert all(line.strip() in lines for line in kept.split("\n"))
    assert bool(kept.strip()) == bool(text.strip())
