"""The simulated mail server, seen by the standard library's own client."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from tests.conftest import Sandbox

FROM, TO = "support@sandbox.example", "ann@example.com"
DATA = "SMTP DATA"


@pytest.fixture
def smtp(sandbox: Sandbox) -> Iterator[smtplib.SMTP]:
    client = smtplib.SMTP("127.0.0.1", sandbox.smtp, local_hostname="here.example", timeout=5)
    yield client
    client.close()


def mail(subject: str = "Hello") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = FROM, TO, subject
    message["Message-ID"] = "<one@sandbox.example>"
    message.set_content("Schön, dass\nes kam.\n.\nA dot alone does not end it.\n")
    return message


def mails(sandbox: Sandbox) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = sandbox.state()["mail"]
    return kept


def test_a_mail_is_kept_as_it_was_sent(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    assert smtp.send_message(mail()) == {}
    smtp.quit()
    (kept,) = mails(sandbox)
    assert (kept["from"], kept["to"]) == (FROM, [TO])
    assert (kept["subject"], kept["message_id"]) == ("Hello", "<one@sandbox.example>")
    assert kept["text"] == "Schön, dass\nes kam.\n.\nA dot alone does not end it.\n"
    assert kept["headers"]["to"] == TO


def test_a_mail_with_one_message_id_that_comes_twice_is_there_twice(
    smtp: smtplib.SMTP, sandbox: Sandbox
) -> None:
    for _ in range(2):
        smtp.send_message(mail())
    assert len(mails(sandbox)) == 2


def test_any_password_but_the_bad_one_is_taken(smtp: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        smtp.login("bot", "bad-token")
    assert refused.value.smtp_code == 535
    assert smtp.login("bot", "good")[0] == 235


@pytest.mark.parametrize("status", [421, 451, 452, 550, 554])
def test_a_status_at_the_data_is_a_refusal_and_nothing_is_kept(
    smtp: smtplib.SMTP, sandbox: Sandbox, status: int
) -> None:
    fault = {"match": DATA, "kind": "status", "status": status, "body": "not today", "times": 1}
    sandbox.faults(fault)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        smtp.send_message(mail())
    assert refused.value.smtp_code == status
    assert refused.value.smtp_error == b"not today"
    assert mails(sandbox) == []
    assert sandbox.occurred() == {"status": 1}


def test_a_recipient_can_be_refused(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    sandbox.faults({"match": "SMTP RCPT", "kind": "status", "status": 550, "times": 1})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        smtp.send_message(mail())
    assert refused.value.recipients[TO][0] == 550
    smtp.send_message(mail())
    assert len(mails(sandbox)) == 1


def test_a_sender_can_be_refused(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    sandbox.faults({"match": "SMTP MAIL", "kind": "status", "status": 450})
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        smtp.send_message(mail())
    assert refused.value.smtp_code == 450


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_connection_dropped_before_leaves_no_mail(
    smtp: smtplib.SMTP, sandbox: Sandbox, command: str
) -> None:
    sandbox.faults({"match": f"SMTP {command}", "kind": "drop_before"})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.send_message(mail())
    assert mails(sandbox) == []


def test_a_connection_dropped_after_leaves_a_mail_that_nobody_confirmed(
    smtp: smtplib.SMTP, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": DATA, "kind": "drop_after"})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.send_message(mail())
    assert len(mails(sandbox)) == 1


def test_a_late_commit_keeps_the_mail_after_the_connection_is_gone(
    smtp: smtplib.SMTP, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": DATA, "kind": "late_commit", "seconds": 0.2})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.send_message(mail())
    assert mails(sandbox) == []
    assert sandbox.wait_executed(DATA)
    assert len(mails(sandbox)) == 1


def test_a_reply_that_is_none_follows_a_mail_that_was_kept(
    smtp: smtplib.SMTP, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": DATA, "kind": "malformed"})
    with pytest.raises(smtplib.SMTPException):
        smtp.send_message(mail())
    assert len(mails(sandbox)) == 1


@pytest.mark.parametrize(
    ("kind", "kept"), [("latency", 0), ("hold", 1)], ids=["before the mail is kept", "after it"]
)
def test_a_slow_server_is_not_waited_for(sandbox: Sandbox, kind: str, kept: int) -> None:
    sandbox.faults({"match": DATA, "kind": kind, "seconds": 1})
    client = smtplib.SMTP("127.0.0.1", sandbox.smtp, local_hostname="here.example", timeout=0.3)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        client.send_message(mail())
    assert len(mails(sandbox)) == kept


def test_every_command_is_in_the_log_and_only_a_kept_mail_counts_as_executed(
    smtp: smtplib.SMTP, sandbox: Sandbox
) -> None:
    sandbox.faults({"match": DATA, "kind": "status", "status": 451, "nth": [1]})
    with pytest.raises(smtplib.SMTPDataError):
        smtp.send_message(mail())
    smtp.send_message(mail())
    log = [(one["path"], one["executed"], one["faults"]) for one in sandbox.state()["requests"]]
    assert log == [
        ("MAIL", False, []), ("RCPT", False, []), ("DATA", False, ["status"]),
        ("MAIL", False, []), ("RCPT", False, []), ("DATA", True, []),
    ]  # fmt: skip
