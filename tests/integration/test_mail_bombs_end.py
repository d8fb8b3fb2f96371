"""The worst mails in one Maildir, and good ones among them: all are taken, and the door lives."""

import asyncio
import mailbox
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failsoft.checkpoints.ignored import found, listed
from failsoft.checkpoints.store import Store
from failsoft.events import MAX_RAW, Event, Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.listening import DoorState, Listening
from failsoft.intake.mail import MailRules, read_mail
from failsoft.intake.maildir import MAX_BYTES, MaildirDoor
from failsoft.settings import Settings, load_settings
from tests.unit.mail_bombs import HEAD, MIB, Bomb, corpus, fold
from tests.unit.mail_bombs_of_structure import CHARSETS, LARGE, NESTED, NOTHING
from tests.unit.mail_bombs_of_text import HEADERS, HTML, IDS, INJECTED, TEXTS, WORDS

AGENT, LANE = "a", "a@1"
WORST = (
    NESTED["2 000 levels of parts"],
    NESTED["2 000 messages in messages"],
    NESTED["10 000 parts"],
    NESTED["25 MB of what is nearly a boundary"],
    NESTED["50 alternatives of HTML"],
    LARGE["25 MB of an attachment"],
    LARGE["25 MB of NUL"],
    LARGE["25 MB with carriage returns only"],
    LARGE["41 MB"],
    *NOTHING.values(),
    CHARSETS["the charset undefined"],
    CHARSETS["the charset ../../etc/passwd"],
    *INJECTED.values(),
    HEADERS["5 000 headers"],
    HEADERS["100 000 open angles"],
    HEADERS["no sender"],
    WORDS["encoded surrogates"],
    HTML["half a million angles"],
    TEXTS["NUL everywhere"],
    TEXTS["surrogates as bytes"],
    TEXTS["bad base64"],
    Bomb(make=lambda: HEAD.replace(b"bomb@", b"nul\0@") + b"\r\n" + fold(MIB, b"\0 \xff ")),
    *IDS.values(),
)


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FAILSOFT_PROFILE", "sandbox")
    monkeypatch.setenv("FAILSOFT_TIMING__POLL", "0.05")
    return load_settings()


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE)


@pytest.fixture
def box(tmp_path: Path) -> mailbox.Maildir:
    return mailbox.Maildir(tmp_path / "mail")


def numbered(raw: bytes, number: int) -> bytes:
    """Give a mail an id of its own, so that none is told apart only by its text."""
    return raw.replace(b"<bomb@example.com>", b"<bomb.%d@example.com>" % number)


def names_in(box: mailbox.Maildir, folder: str) -> list[str]:
    return os.listdir(Path(box._path, folder))  # noqa: PTH208  # names, not paths


async def taken(box: mailbox.Maildir, listening: Listening) -> None:
    """Keep the door open until its folder is empty."""
    running = asyncio.create_task(listening.run())
    async with asyncio.timeout(100):
        while names_in(box, "new") and not running.done():  # noqa: ASYNC110  # files tell nobody
            await asyncio.sleep(0.05)
    listening.stop()
    await running


async def test_every_bomb_ends_as_a_run_or_as_a_listed_rejection_and_the_door_lives(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    bombs = [numbered(bomb.make(), number) for number, bomb in enumerate(WORST)]
    rules = MailRules.of(own_settings)
    read = [read_mail(raw[: MAX_BYTES + 1], rules) for raw in bombs]  # a door reads no further
    refused = {each.key: each for each in read if isinstance(each, Ignored)}
    events = {each.key for each in read if not isinstance(each, Ignored)}
    for raw in bombs:
        await asyncio.to_thread(box.add, raw)
    door = MaildirDoor.at(f"maildir:{box._path}", own_settings)
    listening = Listening(reception=reception, doors=[door])

    await taken(box, listening)

    (watched,) = listening.health
    assert (watched.state, watched.trouble) == (DoorState.CLOSED, None)
    rows = await store.runs.list(limit=1000)
    assert {row["event_key"].partition("#")[0] for row in rows} == events
    entries = await listed(store.runs.database, AGENT)
    assert {each.event_key: each.reason for each in entries} == {
        key: each.reason for key, each in refused.items()
    }
    assert refused
    for key, each in refused.items():  # with its bytes, for a person to look at
        (row,) = await found(store.runs.database, key, agent=AGENT)
        assert bytes(row["raw"]) == (each.raw or b"")[:MAX_RAW]
    assert len(names_in(box, "cur")) == len(bombs)  # none of them is deleted


async def test_the_mails_of_cpythons_own_tests_are_all_taken(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    for raw in corpus().values():
        await asyncio.to_thread(box.add, raw)
    door = MaildirDoor.at(f"maildir:{box._path}", own_settings)
    listening = Listening(reception=reception, doors=[door])

    await taken(box, listening)

    assert listening.health[0].trouble is None
    read = [read_mail(raw, MailRules.of(own_settings)) for raw in corpus().values()]
    events = {(each.key, each.digest) for each in read if isinstance(each, Event)}
    rows, entries = await store.runs.list(limit=1000), await listed(store.runs.database, AGENT)
    assert len(rows) == len(events)
    assert {each.event_key for each in entries} == {
        each.key for each in read if isinstance(each, Ignored)
    }
    twins = [row for row in rows if "#" in row["event_key"]]
    assert len(twins) == len(events) - len({key for key, _ in events}) > 0  # ids used twice


@pytest.mark.parametrize("order", [list, lambda mails: mails[::-1]], ids=["after", "before"])
async def test_a_good_mail_is_taken_behind_a_bomb_and_before_it(
    box: mailbox.Maildir,
    reception: Reception,
    store: Store,
    own_settings: Settings,
    order: Callable[[list[bytes]], Any],
) -> None:
    good = HEAD.replace(b"bomb@", b"good@") + b"\r\nIt broke.\r\n"
    for raw in order([NESTED["2 000 levels of parts"].make(), good]):
        await asyncio.to_thread(box.add, raw)
    door = MaildirDoor.at(f"maildir:{box._path}", own_settings)

    await taken(box, Listening(reception=reception, doors=[door]))

    (row,) = await store.runs.list()
    assert row["event_key"] == "mail:inbox:<good@example.com>"
    assert len(await listed(store.runs.database, AGENT)) == 1
