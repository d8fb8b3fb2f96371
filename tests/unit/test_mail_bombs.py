"""Whatever comes as a mail ends as an event or is listed with its reason: soon, and in bounds."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from failsoft.events import MAX_RAW, Event
from failsoft.intake.mail import MailRules, read_mail
from failsoft.intake.mail_limits import Reason
from tests.unit.mail_bombs import MIB, Bomb, corpus
from tests.unit.mail_bombs_of_structure import BOUNDARIES, CHARSETS, LARGE, NESTED, NOTHING
from tests.unit.mail_bombs_of_text import HEADERS, HTML, IDS, INJECTED, TEXTS, WORDS

ROOT = Path(__file__).parents[2]
SECONDS = 1.0  # of processor time
BYTES = 100 * MIB  # more than before, the mail included
SETS = (NESTED, LARGE, NOTHING, CHARSETS, BOUNDARIES, IDS, INJECTED, HEADERS, WORDS, HTML, TEXTS)
BOMBS = {name: bomb for each in SETS for name, bomb in each.items()}
ONE_LINE = ("subject", "from", "from_name", "message_id", "date")
RULES = MailRules(mailbox="inbox", own=frozenset())
# The others are events.
LISTED = {
    "msg_05.txt": Reason.BOUNCE,
    "msg_16.txt": Reason.BOUNCE,
    "msg_19.txt": Reason.NO_HEADERS,
    "msg_25.txt": Reason.BOUNCE,
    "msg_32.txt": Reason.BULK,
    "msg_33.txt": Reason.BULK,
    "msg_43.txt": Reason.BOUNCE,
}

Measure = Callable[[str, bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """Read a mail, once for each name, in a process of its own: what it became, what it took."""
    path = tmp_path_factory.mktemp("mail") / "mail.eml"
    known: dict[str, dict[str, Any]] = {}
    command = [sys.executable, "-m", "tests.unit.mail_measure"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        orders, answers = process.stdin, process.stdout

        def measuring(name: str, raw: bytes) -> dict[str, Any]:
            if name not in known:
                path.write_bytes(raw)
                orders.write(f"{path}\n")
                orders.flush()
                known[name] = json.loads(answers.readline())
            assert "died" not in known[name], known[name]
            return known[name]

        yield measuring
    path.unlink(missing_ok=True)


def is_storable(value: object) -> bool:
    """Tell whether Postgres and JSON take every string of it."""
    text = json.dumps(value, ensure_ascii=False)
    return "\\u0000" not in text and text.encode("utf-8", "ignore").decode() == text


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_bounds_as_an_event_or_with_its_reason(name: str, measure: Measure) -> None:
    bomb: Bomb = BOMBS[name]
    raw = bomb.make()

    found = measure(name, raw)

    assert found["seconds"] < SECONDS
    assert found["bytes"] < BYTES
    assert found["reason"] == bomb.reason
    assert (found["event"] is None) == (bomb.reason is not None)
    assert found["key"].startswith("mail:inbox:")
    if bomb.reason is not None:  # a person can look at it
        assert found["kept"] == min(len(raw), MAX_RAW)


@pytest.mark.parametrize("name", [name for name, bomb in BOMBS.items() if bomb.reason is None])
def test_an_event_from_a_bomb_can_be_stored_and_none_of_its_fields_adds_a_line(
    name: str, measure: Measure
) -> None:
    event = measure(name, BOMBS[name].make())["event"]

    assert is_storable(event)
    facts = event["facts"]
    shown = [facts[field] for field in ONE_LINE] + [*facts["to"], *facts["cc"], *event["refs"]]
    shown += [attached[field] for attached in facts["attachments"] for field in ("name", "type")]
    assert [text for text in [event["key"], *shown] if len(text.splitlines()) > 1] == []
    assert not any(ord(letter) < 32 for text in shown for letter in text)


@pytest.mark.parametrize("name", corpus())
def test_each_mail_of_cpythons_own_tests_is_an_event_or_listed(name: str, measure: Measure) -> None:
    found = measure(name, corpus()[name])

    assert found["reason"] == LISTED.get(name)
    assert found["seconds"] < SECONDS
    assert found["bytes"] < BYTES
    assert is_storable(found["event"])


@pytest.mark.parametrize("name", [name for name in corpus() if name not in LISTED])
def test_what_the_standard_library_finds_of_text_in_a_mail_is_in_its_event(name: str) -> None:
    """Another parser, which may take its time, reads the same."""
    raw = corpus()[name]
    event = read_mail(raw, RULES)
    assert isinstance(event, Event)

    whole = message_from_bytes(raw)
    if whole.defects or any(part.defects for part in whole.walk()):
        return  # then there is more than one way to read it
    for part in whole.walk():
        if part.get_content_type() == "text/plain" and not is_inside_an_attachment(whole, part):
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            for line in payload.decode(part.get_content_charset("latin-1"), "replace").split("\n"):
                assert line.strip() in event.text


def is_inside_an_attachment(whole: Any, part: Any) -> bool:
    if part.get_content_disposition() == "attachment":
        return True
    attached = [each for each in whole.walk() if each.get_content_maintype() == "message"]
    return any(inner is part for each in attached for inner in each.walk())
