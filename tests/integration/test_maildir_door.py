"""Mail that lies in a folder: durable first, then put away."""

import asyncio
import mailbox
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from failsoft.checkpoints.ignored import listed
from failsoft.checkpoints.store import Store
from failsoft.errors import ConfigurationError, UnavailableError
from failsoft.intake.admission import Reception
from failsoft.intake.maildir import MAX_BYTES, MaildirDoor
from failsoft.settings import Settings, load_settings

AGENT, LANE = "a", "a@1"


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FAILSOFT_PROFILE", "sandbox")
    monkeypatch.setenv("FAILSOFT_TIMING__POLL", "0.02")
    return load_settings()


@pytest.fixture
def reception(store: Store) -> Reception:
    return Reception(runs=store.runs, agent=AGENT, lane=LANE)


@pytest.fixture
def box(tmp_path: Path) -> mailbox.Maildir:
    return mailbox.Maildir(tmp_path / "mail")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drop"
    made.mkdir()
    return made


def mail(number: int) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.com", "support@example.com"
    message["Message-ID"], message["Subject"] = f"<{number}@example.com>", f"mail {number}"
    message.set_content("The invoice is wrong.")
    return bytes(message)


def place_of(box: mailbox.Maildir, name: str) -> Path:
    return Path(box._path, "new", name)


def names_in(box: mailbox.Maildir, folder: str) -> list[str]:
    return os.listdir(Path(box._path, folder))  # noqa: PTH208  # names, not paths


def door_at(path: Path | str, settings: Settings) -> MaildirDoor:
    return MaildirDoor.at(f"maildir:{path}", settings)


@asynccontextmanager
async def running(door: MaildirDoor, reception: Reception) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(door.run(reception, stopping))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 10)


async def keys(store: Store) -> list[str]:
    return sorted([row["event_key"] for row in await store.runs.list()])


async def until_gone(*paths: Path) -> None:
    async with asyncio.timeout(10):
        while any(path.exists() for path in paths):  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.01)


async def take_all(door: MaildirDoor, reception: Reception) -> None:
    for found in door.waiting():
        await door.take(found, reception)


async def test_each_mail_of_a_maildir_is_one_run_and_is_marked_as_seen(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    async with running(door_at(box._path, own_settings), reception):
        names = [box.add(mail(number)) for number in (1, 2, 3)]
        await until_gone(*(place_of(box, name) for name in names))

    assert await keys(store) == [f"mail:inbox:<{number}@example.com>" for number in (1, 2, 3)]
    assert [box[name].get_flags() for name in names] == ["S", "S", "S"]
    assert {box[name].get_subdir() for name in names} == {"cur"}


async def test_the_oldest_mail_comes_first(box: mailbox.Maildir, own_settings: Settings) -> None:
    for age, name in enumerate([box.add(mail(number)) for number in (1, 2, 3)]):
        os.utime(place_of(box, name), (1_000_000 - age, 1_000_000 - age))

    waiting = door_at(box._path, own_settings).waiting()

    assert [found.written for found in waiting] == sorted(found.written for found in waiting)
    assert b"mail 3" in waiting[0].path.read_bytes()


async def test_killed_between_the_commit_and_the_move_it_comes_again_and_is_known(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    name = box.add(mail(1))
    killed = door_at(box._path, own_settings)
    killed.put_away = lambda found: None  # type: ignore[method-assign] # noqa: ARG005 # it got no further
    await take_all(killed, reception)
    assert place_of(box, name).exists()

    await take_all(door_at(box._path, own_settings), reception)

    assert await keys(store) == ["mail:inbox:<1@example.com>"]
    assert box[name].get_subdir() == "cur"


async def test_the_same_mail_in_two_files_is_one_run(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    box.add(mail(1))
    box.add(mail(1))

    await take_all(door_at(box._path, own_settings), reception)

    assert len(await keys(store)) == 1
    assert len(names_in(box, "new")) == 0
    assert len(names_in(box, "cur")) == 2


async def test_without_the_database_the_files_stay_and_the_door_says_so(
    box: mailbox.Maildir, reception: Reception, own_settings: Settings
) -> None:
    name = box.add(mail(1))
    await reception.runs.database.close()

    with pytest.raises(UnavailableError):
        await door_at(box._path, own_settings).run(reception, asyncio.Event())

    assert place_of(box, name).exists()


async def test_a_file_that_another_process_took_is_skipped(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    gone, _ = box.add(mail(1)), box.add(mail(2))
    door = door_at(box._path, own_settings)
    waiting = door.waiting()
    box.remove(gone)

    for found in waiting:
        await door.take(found, reception)

    assert await keys(store) == ["mail:inbox:<2@example.com>"]


async def test_a_file_that_was_written_anew_meanwhile_is_not_put_away_unread(
    folder: Path, own_settings: Settings
) -> None:
    door = door_at(folder, own_settings)
    (folder / "a.eml").write_bytes(mail(1))
    door.waiting()
    (found,) = door.waiting()
    assert door.read(found) == mail(1)
    (folder / "a.eml").write_bytes(mail(22))

    door.put_away(found)

    assert (folder / "a.eml").read_bytes() == mail(22)


async def test_what_may_not_be_read_or_moved_is_said_once_and_left(
    box: mailbox.Maildir, own_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    box.add(mail(1))
    door = door_at(box._path, own_settings)
    (found,) = door.waiting()
    door._leave(found, PermissionError(13, "Permission denied"))

    assert door.waiting() == []
    assert [record.message for record in caplog.records] == [
        f"{found.path} is left where it is: Permission denied"
    ]
    found.path.chmod(0o640)
    assert [each.path for each in door.waiting()] == [found.path]  # it was changed: again


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_without_permission_does_not_hold_up_the_others(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    place_of(box, box.add(mail(1))).chmod(0)
    box.add(mail(2))

    await take_all(door_at(box._path, own_settings), reception)

    assert await keys(store) == ["mail:inbox:<2@example.com>"]


async def test_a_plain_folder_of_eml_keeps_what_was_taken_in_a_subfolder(
    folder: Path, reception: Reception, store: Store, own_settings: Settings
) -> None:
    async with running(door_at(folder, own_settings), reception):
        (folder / "one.eml").write_bytes(mail(1))
        await until_gone(folder / "one.eml")
        (folder / "one.eml").write_bytes(mail(2))  # the same name again
        await until_gone(folder / "one.eml")

    assert len(await keys(store)) == 2
    assert (folder / "handled" / "one.eml").read_bytes() == mail(1)
    assert (folder / "handled" / "one.2.eml").read_bytes() == mail(2)


async def test_a_file_that_still_grows_is_left_until_it_stands_still(
    folder: Path, own_settings: Settings
) -> None:
    door = door_at(folder, own_settings)
    path = folder / "one.eml"
    seen = []
    for part in (b"Subject: a", b"\n\n", b""):
        with path.open("ab") as file:
            file.write(part)
        seen.append([found.path for found in door.waiting()])

    assert seen == [[], [], [path]]


@pytest.mark.parametrize("name", ["one.eml.tmp", "one.eml.part", ".one.eml", "one.txt"])
async def test_what_is_no_finished_mail_is_left(
    folder: Path, own_settings: Settings, name: str
) -> None:
    door = door_at(folder, own_settings)
    (folder / name).write_bytes(mail(1))

    assert door.waiting() + door.waiting() == []


async def test_a_link_is_not_followed_even_when_it_takes_the_place_of_a_file(
    box: mailbox.Maildir, tmp_path: Path, own_settings: Settings
) -> None:
    (tmp_path / "secret").write_bytes(mail(1))
    place_of(box, "link").symlink_to(tmp_path / "secret")
    door = door_at(box._path, own_settings)
    assert door.waiting() == []
    name = box.add(mail(2))
    (found,) = door.waiting()
    assert found.path.name == name

    found.path.unlink()
    found.path.symlink_to(tmp_path / "secret")

    with pytest.raises(UnavailableError):  # a link is no file: the next look does not see it
        door.read(found)
    assert door.waiting() == []


async def test_of_a_file_without_end_a_bounded_part_is_read_and_listed(
    box: mailbox.Maildir, reception: Reception, store: Store, own_settings: Settings
) -> None:
    path = place_of(box, box.add(mail(1)))
    os.truncate(path, 3 * MAX_BYTES)
    door = door_at(box._path, own_settings)
    (found,) = door.waiting()
    raw = door.read(found)
    assert raw is not None
    assert len(raw) == MAX_BYTES + 1

    await door.take(found, reception)

    (one,) = await listed(store.runs.database, AGENT)
    assert one.run_id is None
    assert names_in(box, "new") == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [("maildir:", "names no folder"), ("maildir:/nowhere/at/all", "/nowhere/at/all is no folder")],
)
async def test_a_folder_that_is_not_there_is_named(
    own_settings: Settings, spec: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        MaildirDoor.at(spec, own_settings)
