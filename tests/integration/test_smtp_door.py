"""Mail that is sent to us: 250 is said after it is durable, and to nobody else's mail."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import pytest

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.store import Store
from failsoft.errors import ConfigurationError, MissingSettingError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.mail import MailRules
from failsoft.intake.mail_limits import Reason
from failsoft.intake.smtp import SmtpDoor
from failsoft.intake.smtp_conversation import MAX_BYTES, MAX_CONVERSATIONS, MAX_RECIPIENTS
from failsoft.settings import Settings, load_settings

AGENT, LANE = "a", "a@1"
US = "support@example.com"


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FAILSOFT_PROFILE", "sandbox")
    monkeypatch.setenv("FAILSOFT_MAIL_RECIPIENTS", f"{US}, help@example.com")
    return load_settings()


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE)


class Stage:
    """A door that is open, and what senders do at it, each in a thread."""

    def __init__(self, door: SmtpDoor, stopping: asyncio.Event, task: "asyncio.Task[None]") -> None:
        self.door = door
        self.stopping = stopping
        self.task = task

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.door.port, local_hostname="there", timeout=10)

    async def send(self, raw: bytes, *to: str, sender: str = "ann@example.com") -> dict[str, Any]:
        def sending() -> dict[str, Any]:
            with self.client() as client:
                return client.sendmail(sender, list(to) or [US], raw)

        return await asyncio.to_thread(sending)

    async def say(self, *lines: bytes) -> list[tuple[int, bytes]]:
        def saying() -> list[tuple[int, bytes]]:
            with self.client() as client:
                client.ehlo()
                return [client.docmd(line.decode("latin-1")) for line in lines]

        return await asyncio.to_thread(saying)


@asynccontextmanager
async def open_door(door: SmtpDoor, reception: Reception) -> AsyncIterator[Stage]:
    stopping = asyncio.Event()
    task = asyncio.create_task(door.run(reception, stopping))
    while door.port == 0 and not task.done():  # noqa: ASYNC110  # the door's port says it is open
        await asyncio.sleep(0.01)
    try:
        yield Stage(door, stopping, task)
    finally:
        stopping.set()
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def stage(reception: Reception, own_settings: Settings) -> AsyncIterator[Stage]:
    async with open_door(SmtpDoor.at("smtp:127.0.0.1:0", own_settings), reception) as opened:
        yield opened


def mail(number: int, text: str = "The invoice is wrong.") -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.com", US
    message["Message-ID"], message["Subject"] = f"<{number}@example.com>", f"mail {number}"
    message.set_content(text)
    return bytes(message)


async def keys(store: Store) -> list[str]:
    return sorted([row["event_key"] for row in await store.runs.list()])


async def test_each_mail_is_one_run_however_often_it_is_sent(stage: Stage, store: Store) -> None:
    for number in (1, 2, 1):  # the 250 of the first got lost
        assert await stage.send(mail(number)) == {}

    assert await keys(store) == ["mail:inbox:<1@example.com>", "mail:inbox:<2@example.com>"]


async def test_250_means_that_the_run_is_there(stage: Stage, store: Store) -> None:
    def sending() -> bytes:
        with stage.client() as client:
            client.ehlo()
            client.mail("ann@example.com")
            client.rcpt(US)
            return client.data(mail(1))[1]

    assert await asyncio.to_thread(sending) == b"2.0.0 The mail is stored"
    assert await keys(store) == ["mail:inbox:<1@example.com>"]


async def test_two_aliases_in_one_mail_are_one_run(stage: Stage, store: Store) -> None:
    assert await stage.send(mail(1), US, "Help@Example.com") == {}

    assert len(await keys(store)) == 1


async def test_dots_at_the_beginning_of_lines_and_long_lines_come_through(
    stage: Stage, store: Store
) -> None:
    text = ".\n..two\n.three\n" + "x" * 100_000
    raw = b"Message-ID: <1@example.com>\nSubject: dots\nFrom: ann@example.com\n\n" + text.encode()
    assert await stage.send(raw.replace(b"\n", b"\r\n")) == {}

    (row,) = await store.runs.list()
    event = (await store.runs.get(row["run_id"]))["event"]
    assert event["text"].split("\n\n", 1)[1].split("\n")[:3] == [".", "..two", ".three"]
    assert event["text"].rstrip().endswith("x" * 1000)


async def test_a_line_feed_dot_line_feed_does_not_end_a_mail(stage: Stage, store: Store) -> None:
    """A second mail cannot be smuggled in past a server that reads line ends otherwise."""
    smuggled = b"\n.\nMAIL FROM:<a@b>\r\nRCPT TO:<" + US.encode() + b">\r\nDATA\r\n"

    def sending() -> list[int]:
        with stage.client() as client:
            client.ehlo()
            client.mail("ann@example.com")
            client.rcpt(US)
            client.docmd("DATA")
            client.send(mail(1).replace(b"\n", b"\r\n") + smuggled + mail(2) + b"\r\n.\r\n")
            return [client.getreply()[0], client.noop()[0]]

    assert await asyncio.to_thread(sending) == [250, 250]
    assert await keys(store) == ["mail:inbox:<1@example.com>"]


async def test_what_comes_with_no_sender_is_taken_and_listed_as_a_bounce(
    stage: Stage, store: Store
) -> None:
    assert await stage.send(mail(1), sender="") == {}

    (one,) = await listed(store.runs.database, AGENT)
    assert (one.event_key, one.reason) == ("mail:inbox:<1@example.com>", Reason.BOUNCE)
    assert await keys(store) == []


async def test_mail_for_anybody_else_is_refused(stage: Stage, store: Store) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await stage.send(mail(1), "bob@elsewhere.example")

    assert refused.value.recipients["bob@elsewhere.example"][0] == 550
    assert await keys(store) == []


async def test_what_cannot_be_read_is_listed_and_never_sent_back(
    stage: Stage, store: Store
) -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (each, each)
        for each in range(2000)
    )
    assert await stage.send(b"Message-ID: <1@example.com>\r\n" + nested) == {}

    (one,) = await listed(store.runs.database, AGENT)
    assert one.run_id is None
    assert await keys(store) == []


async def test_a_mail_that_is_too_large_is_refused_before_and_after_it_came(
    stage: Stage, store: Store
) -> None:
    announced = await stage.say(b"MAIL FROM:<a@b> SIZE=%d" % (MAX_BYTES + 1))

    def sending() -> list[int]:
        with stage.client() as client:
            client.helo()
            client.mail("ann@example.com")
            client.rcpt(US)
            answer = client.data(mail(1) + b"\r\n" * (MAX_BYTES // 2))[0]
            return [answer, client.noop()[0]]

    assert announced[0][0] == 552
    assert await asyncio.to_thread(sending) == [552, 250]
    assert await keys(store) == []


async def test_too_many_recipients_are_put_off(stage: Stage) -> None:
    rcpt = b"RCPT TO:<" + US.encode() + b">"
    said = await stage.say(b"MAIL FROM:<a@b>", *[rcpt] * (MAX_RECIPIENTS + 1))

    assert [code for code, _ in said[-2:]] == [250, 452]


async def test_more_connections_than_there_may_be_are_put_off(stage: Stage) -> None:
    def connecting() -> int:
        clients = [stage.client() for _ in range(MAX_CONVERSATIONS)]
        try:
            with pytest.raises(smtplib.SMTPConnectError) as refused:
                stage.client()
            return refused.value.smtp_code
        finally:
            for client in clients:
                client.close()

    assert await asyncio.to_thread(connecting) == 421
    async with asyncio.timeout(10):
        while True:  # and they count no longer when they have ended
            try:
                await stage.send(mail(1))
                break
            except smtplib.SMTPConnectError:
                await asyncio.sleep(0.01)


async def test_without_the_database_the_sender_is_told_to_come_again(
    stage: Stage, store: Store
) -> None:
    await store.runs.database.close()

    with pytest.raises(smtplib.SMTPDataError) as put_off:
        await stage.send(mail(1))

    assert put_off.value.smtp_code == 451
    assert not stage.task.done()


async def test_a_mail_that_takes_too_long_is_put_off_and_known_the_next_time(
    reception: Reception, store: Store, own_settings: Settings
) -> None:
    rules = MailRules.of(own_settings)
    hasty = SmtpDoor("127.0.0.1", 0, rules, recipients=[US], patience=0.0)
    assert (await hasty.take(mail(1), reception)).startswith("451 4.3.0")

    patient = SmtpDoor("127.0.0.1", 0, rules, recipients=[US], patience=10.0)
    for _ in range(2):
        assert (await patient.take(mail(1), reception)).startswith("250")
    assert len(await keys(store)) == 1


async def test_a_stop_ends_the_mail_in_hand_and_sends_the_others_away(
    stage: Stage, store: Store
) -> None:
    busy, idle = await asyncio.to_thread(stage.client), await asyncio.to_thread(stage.client)
    try:
        for step in (busy.ehlo, idle.ehlo):
            await asyncio.to_thread(step)
        await asyncio.to_thread(busy.mail, "ann@example.com")

        stage.stopping.set()
        assert (await asyncio.to_thread(idle.getreply))[0] == 421
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(stage.client)
        assert (await asyncio.to_thread(busy.rcpt, US))[0] == 250
        assert (await asyncio.to_thread(busy.data, mail(1)))[0] == 250
        assert (await asyncio.to_thread(busy.getreply))[0] == 421
    finally:
        busy.close()
        idle.close()

    await asyncio.wait_for(stage.task, 10)
    assert await keys(store) == ["mail:inbox:<1@example.com>"]


async def test_a_stop_does_not_wait_for_a_sender_that_says_nothing(
    reception: Reception, own_settings: Settings
) -> None:
    rules = MailRules.of(own_settings)
    door = SmtpDoor("127.0.0.1", 0, rules, recipients=[US], patience=0.1)
    async with open_door(door, reception) as stage:
        client = await asyncio.to_thread(stage.client)
        await asyncio.to_thread(client.ehlo)
        await asyncio.to_thread(client.mail, "ann@example.com")

    assert stage.task.done()
    client.close()


async def test_a_port_that_somebody_has_is_named(
    reception: Reception, own_settings: Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        door = SmtpDoor.at(f"smtp:127.0.0.1:{port}", own_settings)
        with pytest.raises(UnavailableError, match=f"smtp:127.0.0.1:{port} .* in use"):
            await door.run(reception, asyncio.Event())


@pytest.mark.parametrize("spec", ["smtp:", "smtp:127.0.0.1", "smtp::25", "smtp:localhost:x"])
def test_an_address_that_cannot_be_read_is_refused(own_settings: Settings, spec: str) -> None:
    with pytest.raises(ConfigurationError, match="write smtp:HOST:PORT"):
        SmtpDoor.at(spec, own_settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "mx.example.com"])  # noqa: S104 - refused
def test_without_recipients_the_door_opens_to_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("FAILSOFT_MAIL_RECIPIENTS", raising=False)
    make: Callable[[str], SmtpDoor] = lambda at: SmtpDoor.at(f"smtp:{at}:25", load_settings())  # noqa: E731 - short

    with pytest.raises(MissingSettingError, match="FAILSOFT_MAIL_RECIPIENTS"):
        make(host)
    assert make("[::1]").host == "::1"
    assert make("localhost").recipients is None
