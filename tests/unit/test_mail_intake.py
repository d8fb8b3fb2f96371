"""A mail as an event: its key, what it answers, whose it is, and which mails start nothing."""

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.connectors.mail_identity import message_id_of, token_of
from failsoft.events import MAX_KEY, MAX_RAW, MAX_REFS
from failsoft.intake.mail import read_mail
from failsoft.intake.mail_limits import MAX_BYTES, MAX_HEADERS, MAX_TEXT, Reason
from failsoft.intake.mail_rules import MailRules
from failsoft.intake.mail_text import SOON
from failsoft.settings import Settings
from tests.unit.mails import RULES, US, event_of, listed, mail

TXN = "abcdefghijklmnopqrstuvwxyz"


# Keys


def test_the_key_is_the_mailbox_and_the_message_id_as_it_stands() -> None:
    assert event_of(mail()).key == "mail:inbox:<1@customer.example>"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        pytest.param("<A.b@X.Example>", "<A.b@X.Example>", id="in its own case"),
        pytest.param(" <1@x>  ", "<1@x>", id="with blanks around it"),
        pytest.param("\r\n <1@x>", "<1@x>", id="folded"),
        pytest.param("<1@x> (added by postmaster@y)", "<1@x>", id="with a comment"),
        pytest.param("<no-at-sign>", "<no-at-sign>", id="without an @"),
        pytest.param("<a b@x>", None, id="with a blank in it"),
        pytest.param("1@x", None, id="without angles"),
        pytest.param("<abc def@@x", None, id="that a parser would cut"),
        pytest.param("<1@x><2@x>", None, id="two in one"),
        pytest.param("<>", None, id="empty"),
        pytest.param(f"<{'a' * MAX_KEY}@x>", None, id="too long for a key"),
    ],
)
def test_a_message_id_is_taken_raw_and_a_malformed_one_is_none(raw: str, kept: str | None) -> None:
    event = event_of(mail(f"Message-ID: {raw}"))

    assert event.facts["message_id"] == (kept or "")
    assert event.key == f"mail:inbox:{kept}" or event.key.startswith("mail:inbox:sha256:")
    assert len(event.key) <= MAX_KEY


def test_of_two_message_ids_the_first_counts() -> None:
    raw = b"Message-ID: <0@x>\r\n" + mail()
    assert event_of(raw).key == "mail:inbox:<0@x>"


def test_without_a_message_id_the_key_is_what_the_sender_wrote() -> None:
    one = event_of(mail("Message-ID: "))
    again = event_of(mail("Message-ID: ", "Received: by another.way", "X-Spam: no"))

    assert one.key.startswith("mail:inbox:sha256:")
    assert (again.key, again.digest) == (one.key, one.digest)


@pytest.mark.parametrize(
    "other",
    [
        mail("Message-ID: ", "From: Bob <bob@customer.example>"),
        mail("Message-ID: ", "Date: Tue, 3 Mar 2026 10:00:01 +0100"),
        mail("Message-ID: ", "Subject: Help!"),
        mail("Message-ID: ", text="It broke again."),
    ],
    ids=["sender", "date", "subject", "text"],
)
def test_without_a_message_id_another_sender_date_subject_or_text_is_another_key(
    other: bytes,
) -> None:
    assert event_of(other).key != event_of(mail("Message-ID: ")).key


def test_line_ends_and_blanks_at_the_end_make_no_other_mail() -> None:
    raw = mail("Message-ID: ", text="It broke.\r\n\r\nAnn\r\n")
    ways = {event_of(way).key for way in (raw, raw.replace(b"\r\n", b"\n"), raw + b"\r\n \r\n")}
    assert len(ways) == 1


def test_one_id_with_another_text_has_one_key_and_two_digests() -> None:
    """The reception tells them apart by the digest, and flags the second as a twin."""
    one, other = event_of(mail()), event_of(mail(text="Something else broke."))

    assert one.key == other.key
    assert one.digest != other.digest


FRENCH = "Ça ne marche plus.\r\n\r\nAnnée\r\n"
PARTS = "--b\r\n\r\n{text}\r\n--b\r\nContent-Type: image/png; {name}\r\n\r\nbytes\r\n--b--\r\n"


def encoded(charset: str, encoding: str, content: bytes, *headers: str) -> bytes:
    kind = f"Content-Type: text/plain; charset={charset}"
    return mail(kind, f"Content-Transfer-Encoding: {encoding}", *headers, text=content)


def with_parts(text: str = "It broke.", name: str = "name=a.png") -> bytes:
    body = PARTS.format(text=text, name=name)
    return mail("Content-Type: multipart/mixed; boundary=b", text=body)


@pytest.mark.parametrize(
    "other",
    [
        encoded("utf-8", "quoted-printable", quopri.encodestring(FRENCH.encode())),
        encoded("utf-8", "base64", base64.encodebytes(FRENCH.encode())),
        encoded("iso-8859-1", "8bit", FRENCH.encode("latin-1")),
        encoded("utf-8", "8bit", FRENCH.replace(" ", "  \r\n").encode()),
        encoded("utf-8", "8bit", FRENCH.encode(), "Subject: [EXTERNAL] Help"),
        encoded("utf-8", "8bit", FRENCH.encode(), "From: Ann via X <ann@customer.example>"),
        encoded("utf-8", "8bit", FRENCH.encode(), "Date: Tue, 03 Mar 2026 09:00:00 +0000 (UTC)"),
    ],
    ids=["quoted-printable", "base64", "charset", "line ends", "subject", "sender", "time zone"],
)
def test_what_a_gateway_does_to_a_mail_makes_no_twin_of_it(other: bytes) -> None:
    one, again = event_of(encoded("utf-8", "8bit", FRENCH.encode())), event_of(other)
    assert (one.key, one.digest) == (again.key, again.digest)


@pytest.mark.parametrize(
    "other",
    [
        with_parts(text="It works."),
        with_parts(name="name=b.png"),
        with_parts().replace(b"10:00:00", b"10:00:01"),
    ],
    ids=["text", "file", "date"],
)
def test_another_text_file_or_date_under_one_id_is_a_twin(other: bytes) -> None:
    assert event_of(with_parts()).digest != event_of(other).digest


@pytest.mark.parametrize(
    "name", ["name*=utf-7''+2AA-.png", "name*0*=unicode_escape''%5Cud800; name*1=x"]
)
def test_a_file_name_that_is_no_text_is_read_all_the_same(name: str) -> None:
    assert event_of(with_parts(name=name)).facts["attachments"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", "word" * (MAX_TEXT // 4)),
        ("text/html", "<p>word</p>" * (SOON // 10)),
        ("text/html", "<p hidden>word"),
        ("application/pdf", "%PDF"),
    ],
    ids=["too long a text", "large HTML", "nothing to be seen", "no text"],
)
def test_what_is_not_read_whole_goes_by_its_bytes(kind: str, body: str) -> None:
    one, again, other = (
        event_of(mail(f"Content-Type: {kind}", text=body + end)) for end in ("1", "1", "2")
    )
    assert one.digest == again.digest != other.digest


def test_one_mail_by_two_aliases_is_one_event() -> None:
    by_one = mail("To: support@example.com", "Delivered-To: support@example.com")
    by_other = mail("To: support@example.com", "Delivered-To: help@example.com")

    one, other = event_of(by_one), event_of(by_other)

    assert (one.key, one.digest) == (other.key, other.digest)


def test_two_mailboxes_have_two_keys() -> None:
    other = MailRules(mailbox="sales", own=frozenset())
    assert event_of(mail(), other).key == "mail:sales:<1@customer.example>"


def test_what_cannot_be_read_is_keyed_by_its_bytes_and_kept() -> None:
    one, other = (b"\x00" * size for size in (100, MAX_RAW + 1))

    keys = {listed(one).key, listed(other).key}

    assert len(keys) == 2
    assert all(key.startswith("mail:inbox:sha256:") for key in keys)
    assert (listed(one).raw, listed(other).raw) == (one, other[:MAX_RAW])


# Threads


def test_a_reply_names_what_it_answers_the_likeliest_first() -> None:
    raw = mail("In-Reply-To: <3@x>", "References: <1@x> <2@x>\r\n <3@x>")
    assert event_of(raw).refs == ["mail:inbox:<3@x>", "mail:inbox:<2@x>", "mail:inbox:<1@x>"]


def test_references_are_read_from_right_to_left() -> None:
    raw = mail("References: <1@x><2@x> junk <3@x>")
    assert event_of(raw).refs == [f"mail:inbox:<{number}@x>" for number in (3, 2, 1)]


def test_a_reply_to_our_own_mail_names_the_write_that_sent_it() -> None:
    raw = mail(f"In-Reply-To: {message_id_of(TXN, 'example.com')}")
    assert event_of(raw).refs == [f"txn:{TXN}"]


@pytest.mark.parametrize(
    "raw",
    [
        mail(f"Subject: Re: Your case {token_of(TXN)}"),
        mail(text=f"Still broken.\r\n\r\n> Thank you. {token_of(TXN)}\r\n"),
    ],
    ids=["subject", "quoted text"],
)
def test_our_token_is_found_where_a_program_dropped_the_headers(raw: bytes) -> None:
    assert event_of(raw).refs == [f"txn:{TXN}"]


def test_the_headers_go_before_the_token_and_each_is_named_once() -> None:
    other = "b" * 26
    raw = mail(
        f"In-Reply-To: {message_id_of(TXN, 'example.com')}",
        "References: <1@x>",
        text=f"{token_of(other)} {token_of(TXN)} {token_of(other)}",
    )
    assert event_of(raw).refs == [f"txn:{TXN}", "mail:inbox:<1@x>", f"txn:{other}"]


def test_a_thousand_references_leave_room_for_the_token() -> None:
    ids = "".join(f"<{number}@x>\r\n " for number in range(1000))
    event = event_of(mail(f"References: {ids.rstrip()}", text=token_of(TXN)))

    assert len(event.refs) <= MAX_REFS
    assert event.refs[0] == "mail:inbox:<999@x>"
    assert event.refs[-1] == f"txn:{TXN}"


def test_a_first_mail_answers_nothing() -> None:
    assert (
        event_of(mail(text="see [ref:too-short] and [ref:ABCDEFGHIJKLMNOPQRSTUVWXYZ]")).refs == []
    )


# Whose it is


def test_who_wrote_it_and_to_whom() -> None:
    raw = mail(
        'From: "Ann, of Accounts" <Ann@Customer.Example>',
        f"To: Support <{US}>, bob@x.example",
        "Cc: =?utf-8?q?J=C3=BCrgen?= <j@x.example>",
    )
    event = event_of(raw)

    assert event.sender == "ann@customer.example"
    assert event.facts["from"] == "Ann@Customer.Example"
    assert event.facts["from_name"] == "Ann, of Accounts"
    assert event.facts["to"] == [US, "bob@x.example"]
    assert event.facts["cc"] == ["j@x.example"]
    assert event.facts["date"] == "2026-03-03T09:00:00+00:00"


def test_no_encoded_name_becomes_an_address() -> None:
    raw = mail("From: =?utf-8?q?ceo=40bank=2Eexample=2C_x?= <ann@customer.example>")
    assert event_of(raw).facts["from"] == "ann@customer.example"


@pytest.mark.parametrize("sender", ["", "nobody", "<@>", "a b@c", "undisclosed-recipients:;"])
def test_without_a_sender_that_can_be_answered_there_is_none(sender: str) -> None:
    event = event_of(mail(f"From: {sender}"))
    assert (event.sender, event.facts["from"]) == (None, "")


def test_how_many_came_from_one_sender_is_counted_by_the_reception_alone() -> None:
    """No header of a mail can say that few came: see the reception's own tests."""
    raw = mail("Recent: -100", "From: ANN@customer.example")

    event = event_of(raw)

    assert "recent" not in event.facts
    assert event.sender == event_of(mail()).sender


# Mail that starts nothing


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (["Auto-Submitted: auto-replied"], Reason.AUTOMATIC),
        (["Auto-Submitted: auto-generated; owner-email=a@b"], Reason.AUTOMATIC),
        (["X-Autoreply: yes"], Reason.AUTOMATIC),
        (["X-Autorespond: Away"], Reason.AUTOMATIC),
        (["Return-Path: <>"], Reason.BOUNCE),
        (["Return-Path: < >"], Reason.BOUNCE),
        (["From: Mail Delivery <MAILER-DAEMON@x.example>"], Reason.BOUNCE),
        (['Content-Type: multipart/report; report-type=delivery-status; boundary="b"'],
         Reason.BOUNCE),
        (["Precedence: bulk"], Reason.BULK),
        (["Precedence: List"], Reason.BULK),
        (["Precedence: junk"], Reason.BULK),
        (["Precedence: auto_reply"], Reason.BULK),
        (["List-Id: <dev.lists.example>"], Reason.BULK),
        (["List-Unsubscribe: <https://x.example>"], Reason.BULK),
        ([f"From: Support <{US.upper()}>"], Reason.OWN),
        (["X-Failsoft-Txn: abc"], Reason.OWN),
        ([f"Message-ID: {message_id_of(TXN, 'example.com')}"], Reason.OWN),
    ],
)  # fmt: skip
def test_mail_of_machines_lists_and_ourselves_starts_nothing(
    headers: list[str], reason: Reason
) -> None:
    found = listed(mail(*headers))

    assert found.reason == reason
    assert found.raw is None  # it was read: it is no rejection
    assert found.key == "mail:inbox:<1@customer.example>" or reason is Reason.OWN


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: no",
        "Auto-Submitted: No (a person)",
        "Auto-Submitted: ",
        "X-Autoreply: no",
        "Precedence: first-class",
        "Return-Path: <ann@customer.example>",
        "X-Auto-Response-Suppress: All",
        "Reply-To: support@example.com",
        "X-Listing: 7",
    ],
)
def test_what_a_person_wrote_is_an_event(header: str) -> None:
    event_of(mail(header))


@pytest.mark.parametrize(
    "header",
    [
        "X-Auto-Response-Suppress: All",
        "X-Auto-Response-Suppress: DR, OOF",
        "X-Auto-Response-Suppress: autoreply",
        "From: no-reply@x.example",
        "From: DoNotReply+7@x.example",
    ],
)
def test_who_asks_for_no_answer_is_heard_and_not_answered(header: str) -> None:
    assert event_of(mail(header)).facts["quiet"] is True


@pytest.mark.parametrize("header", ["X-Auto-Response-Suppress: DR", "From: noreplying@x.example"])
def test_everybody_else_may_be_answered(header: str) -> None:
    assert event_of(mail(header)).facts["quiet"] is False


def test_our_addresses_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILSOFT_MAIL_FROM", "Support <Robot@Example.com>")
    monkeypatch.setenv(
        "FAILSOFT_MAIL_OWN_ADDRESSES", "help@example.com, Old Desk <old@example.com>"
    )
    monkeypatch.setenv("FAILSOFT_MAILBOX", "support")

    rules = MailRules.of(Settings())

    assert rules.mailbox == "support"
    assert rules.own == {"robot@example.com", "help@example.com", "old@example.com"}


# Whatever comes


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.NO_HEADERS),
        (b"It broke.\r\n", Reason.NO_HEADERS),
        (b"x" * (MAX_BYTES + 1), Reason.TOO_LARGE),
        (b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", Reason.TOO_MANY_HEADERS),
    ],
    ids=["nothing", "no headers", "too large", "too many headers"],
)
def test_what_goes_beyond_a_limit_says_which(raw: bytes, reason: Reason) -> None:
    found = listed(raw)
    assert found.reason == reason
    assert found.raw is not None


@given(st.binary(max_size=2000))
def test_any_bytes_are_an_event_or_listed(raw: bytes) -> None:
    found = read_mail(raw, RULES)
    assert found.key.startswith("mail:inbox:")


@given(
    st.lists(st.tuples(st.from_regex(r"\A[A-Za-z-]{1,20}\Z"), st.binary(max_size=80)), max_size=8),
    st.binary(max_size=200),
)
def test_any_headers_are_an_event_or_listed(headers: list[tuple[str, bytes]], body: bytes) -> None:
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    read_mail(head + b"\r\n" + body, RULES)
