"""Mail in a mailbox: each once, marked when it is durable, whatever happens to either side."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.store import Store
from failsoft.errors import ConfigurationError, MissingSettingError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.imap import REFUSALS, ImapDoor
from failsoft.intake.listening import Listening
from failsoft.settings import Settings, load_settings
from tests.integration.imap_script import Script, scripted
from tests.integration.imap_server import PASSWORD, Folder, Server, free_port, mail

AGENT, LANE = "a", "a@1"
AN_HOUR = 3600.0  # seconds


@pytest.fixture(scope="module")
def imap() -> Iterator[Server]:
    started = Server.start(free_port())
    yield started
    started.end()


@pytest.fixture
def lasting() -> Iterator[Callable[..., Server]]:
    """Start servers of one's own, which end with the test at the latest."""
    with contextlib.ExitStack() as stack:

        def start(port: int | None = None) -> Server:
            started = Server.start(port or free_port())
            stack.callback(started.end)
            return started

        yield start


@pytest.fixture
async def folder(imap: Server) -> Folder:
    made = Folder(imap, f"Support-{uuid4().hex}")
    await made.make()
    return made


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as server:
        yield server


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FAILSOFT_PROFILE", "sandbox")
    monkeypatch.setenv("FAILSOFT_IMAP_PASSWORD", PASSWORD)
    for name, seconds in (("POLL", "0.05"), ("CONNECT", "20"), ("READ", "20")):
        monkeypatch.setenv(f"FAILSOFT_TIMING__{name}", seconds)
    return load_settings()


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE)


class Broken(Reception):
    """A reception whose process ends after the commit, before anybody hears of it."""

    async def admit(self, event: Any, *, dry_run: bool = False) -> Any:
        await super().admit(event, dry_run=dry_run)
        raise UnavailableError("the process is killed")


@contextlib.asynccontextmanager
async def open_door(door: ImapDoor, reception: Reception) -> AsyncIterator["asyncio.Task[None]"]:
    stopping = asyncio.Event()
    task = asyncio.create_task(door.run(reception, stopping))
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait_for(task, 30)


async def until(reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await reached():  # noqa: ASYNC110  # neither side tells us
            await asyncio.sleep(0.02)


async def take_all(folder: Folder, reception: Reception, settings: Settings) -> None:
    async def all_seen() -> bool:
        return await folder.unseen() == 0

    async with open_door(ImapDoor.at(folder.spec, settings), reception):
        await until(all_seen)


async def keys(store: Store) -> list[str]:
    return sorted([row["event_key"] for row in await store.runs.list()])


def keys_of(*numbers: int) -> list[str]:
    return [f"mail:inbox:<{number}@example.com>" for number in numbers]


def at(script: Script, settings: Settings) -> ImapDoor:
    return ImapDoor.at(f"imap://ann@127.0.0.1:{script.port}/INBOX", settings)


async def test_each_mail_of_a_folder_is_one_run_and_is_marked_as_seen(
    folder: Folder, reception: Reception, store: Store, own_settings: Settings
) -> None:
    await folder.add(1, 2, 1)

    await take_all(folder, reception, own_settings)

    assert await keys(store) == keys_of(1, 2)


async def test_what_was_read_is_not_read_again_even_when_it_looks_new(
    folder: Folder, reception: Reception, store: Store, own_settings: Settings
) -> None:
    await folder.add(1, 2)
    await take_all(folder, reception, own_settings)
    await folder.forget_what_was_seen()
    await folder.add(3)

    async def third() -> bool:
        return len(await keys(store)) == 3

    async with open_door(ImapDoor.at(folder.spec, own_settings), reception):
        await until(third)
    assert await folder.unseen() == 2


async def test_a_folder_with_new_uids_is_read_from_its_beginning_and_what_is_known_stays_one_run(
    folder: Folder, reception: Reception, store: Store, own_settings: Settings
) -> None:
    await folder.add(1, 2, 3)
    await take_all(folder, reception, own_settings)
    await folder.delete()
    await folder.make()
    await folder.add(1, 4)  # the UIDs that 1 and 2 had, under another UIDVALIDITY

    await take_all(folder, reception, own_settings)

    assert await keys(store) == keys_of(1, 2, 3, 4)


async def test_mail_that_comes_while_the_door_waits_is_told_by_the_server(
    folder: Folder, reception: Reception, store: Store, own_settings: Settings
) -> None:
    door = ImapDoor.at(folder.spec, own_settings)
    door.pause = AN_HOUR  # it would not ask by itself
    await folder.add(1)

    numbers = itertools.count(2)

    async def second_taken() -> bool:
        await folder.add(next(numbers))  # one that comes just before the door waits is not told
        return keys_of(2)[0] in await keys(store)

    async with open_door(door, reception):
        await until(lambda: keys(store))
        await until(second_taken)


async def test_while_the_database_is_away_nothing_is_marked_and_it_comes_again(
    folder: Folder, reception: Reception, store: Store, own_settings: Settings
) -> None:
    await folder.add(1, 2)
    await store.runs.database.close()

    with pytest.raises(UnavailableError):
        await ImapDoor.at(folder.spec, own_settings).run(reception, asyncio.Event())

    assert await folder.unseen() == 2


async def test_killed_between_the_commit_and_the_mark_it_comes_again_and_is_known(
    folder: Folder, reception: Reception, store: Store, own_settings: Settings
) -> None:
    await folder.add(1)
    killed = Broken(runs=store.runs, agent=AGENT, lane=LANE)
    with pytest.raises(UnavailableError):
        await ImapDoor.at(folder.spec, own_settings).run(killed, asyncio.Event())
    assert await keys(store) == keys_of(1)
    assert await folder.unseen() == 1

    await take_all(folder, reception, own_settings)

    assert await keys(store) == keys_of(1)


async def test_a_connection_that_is_lost_is_said_and_made_anew(
    lasting: Callable[..., Server], reception: Reception, store: Store, own_settings: Settings
) -> None:
    """The server comes back with an empty mailbox and other UIDs."""
    first = await asyncio.to_thread(lasting)
    inbox = Folder(first, "INBOX")
    await inbox.add(1, 2)
    door = ImapDoor.at(inbox.spec, own_settings)
    listening = Listening(reception=reception, doors=[door], first=0.05, longest=0.2)
    running = asyncio.create_task(listening.run())

    async def taken(count: int) -> bool:
        return len(await keys(store)) == count

    async def in_trouble() -> bool:
        return listening.health[0].trouble is not None

    await until(lambda: taken(2))
    first.end()
    await until(in_trouble)
    second = await asyncio.to_thread(lasting, first.port)
    await Folder(second, "INBOX").add(3)
    await until(lambda: taken(3))

    listening.stop()
    await asyncio.wait_for(running, 30)


async def test_a_server_that_is_away_is_tried_again_later(
    reception: Reception, own_settings: Settings
) -> None:
    door = ImapDoor.at("imap://ann@127.0.0.1:1/INBOX", own_settings)
    with pytest.raises(UnavailableError):
        await door.run(reception, asyncio.Event())


async def test_a_wrong_password_is_said_at_once_and_not_shown(
    folder: Folder, reception: Reception, monkeypatch: pytest.MonkeyPatch, own_settings: Settings
) -> None:
    del own_settings  # the rest of the environment
    monkeypatch.setenv("FAILSOFT_IMAP_PASSWORD", "hunter2")
    door = ImapDoor.at(folder.spec, load_settings())

    with pytest.raises(ConfigurationError, match="FAILSOFT_IMAP_PASSWORD") as caught:
        await door.run(reception, asyncio.Event())

    assert "hunter2" not in str(caught.value)


async def test_a_folder_that_does_not_exist_is_said_at_once(
    imap: Server, reception: Reception, own_settings: Settings
) -> None:
    door = ImapDoor.at(Folder(imap, "Nobody").spec, own_settings)
    with pytest.raises(ConfigurationError, match="'Nobody'"):
        await door.run(reception, asyncio.Event())


async def test_a_token_logs_in_by_xoauth2_and_goes_before_a_password(
    script: Script,
    reception: Reception,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    own_settings: Settings,
) -> None:
    del own_settings
    monkeypatch.setenv("FAILSOFT_IMAP_OAUTH_TOKEN", "good.token")
    script.mails[5] = mail(1)

    async with open_door(at(script, load_settings()), reception):
        await until(lambda: keys(store))

    assert script.authenticated == b"user=ann\x01auth=Bearer good.token\x01\x01"
    assert not any(command.startswith("LOGIN") for command in script.heard)


async def test_a_token_that_is_refused_is_said_at_once_and_not_shown(
    script: Script, reception: Reception, monkeypatch: pytest.MonkeyPatch, own_settings: Settings
) -> None:
    del own_settings
    monkeypatch.setenv("FAILSOFT_IMAP_OAUTH_TOKEN", "stale.token")

    with pytest.raises(ConfigurationError, match="FAILSOFT_IMAP_OAUTH_TOKEN") as caught:
        await at(script, load_settings()).run(reception, asyncio.Event())

    assert "stale.token" not in str(caught.value)


async def test_a_token_in_a_file_is_read_at_each_login_and_a_stale_one_is_waited_out(
    script: Script, reception: Reception, store: Store, tmp_path: Path, own_settings: Settings
) -> None:
    file = tmp_path / "token"
    file.write_text("stale.token\n")
    spec = f"imap://ann@127.0.0.1:{script.port}/INBOX?token-file={file}"
    script.mails[5] = mail(1)
    door = ImapDoor.at(spec, own_settings)
    with pytest.raises(UnavailableError, match=str(file)) as caught:
        await door.run(reception, asyncio.Event())
    assert "stale.token" not in str(caught.value)

    file.write_text("good.token\n")
    async with open_door(door, reception):
        await until(lambda: keys(store))

    assert script.authenticated == b"user=ann\x01auth=Bearer good.token\x01\x01"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two\nlines", b"\xff"])
async def test_a_file_without_a_token_is_said_at_once(
    script: Script,
    reception: Reception,
    tmp_path: Path,
    own_settings: Settings,
    content: bytes | None,
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    spec = f"imap://ann@127.0.0.1:{script.port}/INBOX?token-file={file}"

    with pytest.raises(ConfigurationError, match=f"{file} holds no token"):
        await ImapDoor.at(spec, own_settings).run(reception, asyncio.Event())


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"])
async def test_a_login_that_the_server_cannot_check_now_is_tried_again_later(
    script: Script, reception: Reception, own_settings: Settings, code: str
) -> None:
    script.answers["LOGIN"] = f"NO [{code}] not now"
    with pytest.raises(UnavailableError, match="not now"):
        await at(script, own_settings).run(reception, asyncio.Event())


async def test_a_mail_that_the_server_holds_back_is_listed_in_the_end_and_does_not_hold_up_others(
    script: Script, reception: Reception, store: Store, own_settings: Settings
) -> None:
    script.mails = {5: mail(1), 6: mail(2)}
    script.answers["UID FETCH 5"] = "NO it is damaged"
    door = at(script, own_settings)
    for _ in range(REFUSALS - 1):
        with pytest.raises(UnavailableError, match="damaged"):
            await door.run(reception, asyncio.Event())
    assert not await listed(store.runs.database, AGENT)

    async with open_door(door, reception):
        await until(lambda: keys(store))

    (one,) = await listed(store.runs.database, AGENT)
    assert one.event_key == f"{door.name}:7:5"
    assert "does not give it out" in one.reason
    assert await keys(store) == keys_of(2)


async def test_a_mail_that_is_gone_by_now_is_passed_over(
    script: Script, reception: Reception, store: Store, own_settings: Settings
) -> None:
    script.mails = {5: mail(1), 6: mail(2)}
    script.vanishing = {5}

    async with open_door(at(script, own_settings), reception):
        await until(lambda: keys(store))

    assert await keys(store) == keys_of(2)
    assert not await listed(store.runs.database, AGENT)


@pytest.mark.parametrize("content", [None, mail(1)], ids=["NIL", "left out"])
async def test_a_mail_that_lies_there_without_content_is_not_taken_for_gone(
    script: Script,
    reception: Reception,
    store: Store,
    own_settings: Settings,
    content: bytes | None,
) -> None:
    script.mails = {5: content, 6: mail(2)}
    if content:
        script.answers["UID FETCH 5"] = "OK done"
    door = at(script, own_settings)
    for _ in range(REFUSALS - 1):
        with pytest.raises(UnavailableError, match="left out"):
            await asyncio.wait_for(door.run(reception, asyncio.Event()), 20)

    async with open_door(door, reception):
        await until(lambda: keys(store))

    (one,) = await listed(store.runs.database, AGENT)
    assert one.event_key == f"{door.name}:7:5"


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED"])
async def test_a_mail_that_the_server_cannot_give_out_now_is_waited_for(
    script: Script, reception: Reception, store: Store, own_settings: Settings, code: str
) -> None:
    script.mails = {5: mail(1)}
    script.answers["UID FETCH 5"] = f"NO [{code}] not now"
    door = at(script, own_settings)
    for _ in range(2 * REFUSALS):
        with pytest.raises(UnavailableError, match="not now"):
            await asyncio.wait_for(door.run(reception, asyncio.Event()), 20)
    assert not await listed(store.runs.database, AGENT)

    script.answers.clear()
    async with open_door(door, reception):
        await until(lambda: keys(store))

    assert await keys(store) == keys_of(1)


async def test_what_could_not_be_read_is_never_marked_as_seen(
    script: Script, reception: Reception, own_settings: Settings
) -> None:
    """A mail that is no mail, one that the server holds back, and one of a person."""
    script.mails = {5: b"\x00 no mail", 6: mail(1), 7: mail(2)}
    script.answers["UID FETCH 6"] = "NO it is damaged"
    door = at(script, own_settings)
    door.refusals[6] = REFUSALS

    async def marked() -> bool:
        return any(command.startswith("UID STORE") for command in script.heard)

    async with open_door(door, reception):
        await until(marked)

    (store,) = [command.split()[2] for command in script.heard if command.startswith("UID STORE")]
    assert store == "7"


async def test_where_nothing_may_be_marked_mail_is_taken_all_the_same_and_once(
    script: Script,
    reception: Reception,
    store: Store,
    own_settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script.mails = {5: mail(1)}
    script.answers["UID STORE"] = "NO it is read-only"
    door = at(script, own_settings)
    door.pause = 0.01

    async def asked_again() -> bool:
        return sum(command.startswith("UID SEARCH") for command in script.heard) > 2

    async with open_door(door, reception):
        await until(asked_again)

    assert await keys(store) == keys_of(1)
    assert sum(command.startswith("UID FETCH") for command in script.heard) == 1
    assert [record.message for record in caplog.records if "marked" in record.message] != []


async def test_a_mail_is_read_without_marking_it_and_only_so_far(
    script: Script, reception: Reception, store: Store, own_settings: Settings
) -> None:
    script.mails = {5: mail(1)}

    async with open_door(at(script, own_settings), reception):
        await until(lambda: keys(store))

    (fetch,) = [command for command in script.heard if command.startswith("UID FETCH")]
    assert "BODY.PEEK[]<0." in fetch


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("imap://ann:hunter2@mail.example/INBOX", "FAILSOFT_IMAP_PASSWORD"),
        ("imap://mail.example/INBOX", "names no user"),
        ("imap://ann@/INBOX", "cannot be read"),
        ("imap://ann@mail.example:x/INBOX", "cannot be read"),
        ("imap://ann@mail.example/INBOX?password=hunter2", "cannot be read"),
        ("imap://ann@mail.example/IN%0D%0ABOX", "cannot be read"),
        ("pop3://ann@mail.example/INBOX", "cannot be read"),
    ],
)
def test_an_address_that_cannot_work_is_refused_and_no_password_is_quoted(
    own_settings: Settings, spec: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        ImapDoor.at(spec, own_settings)
    assert "hunter2" not in str(caught.value)


def test_without_a_password_or_a_token_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PASSWORD", "OAUTH_TOKEN"):
        monkeypatch.delenv(f"FAILSOFT_IMAP_{name}", raising=False)
    with pytest.raises(MissingSettingError, match="FAILSOFT_IMAP_PASSWORD"):
        ImapDoor.at("imaps://ann@mail.example", load_settings())


def test_the_folder_is_the_inbox_and_the_port_the_usual_one(own_settings: Settings) -> None:
    door = ImapDoor.at("imaps://ann%40x.example@mail.example", own_settings)
    assert door.name == "imap:ann@x.example@mail.example/INBOX"
    assert (door.account.port, door.account.tls) == (993, True)
