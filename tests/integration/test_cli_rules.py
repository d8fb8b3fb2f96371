"""`failsoft rules` on what people corrected, and with somebody at the terminal."""

import asyncio
import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from failsoft.agents.labelled import read_csv
from failsoft.checkpoints.database import Database
from failsoft.checkpoints.reviews import review_id_of
from failsoft.checkpoints.store import Store
from failsoft.cli.rules import command
from failsoft.errors import FailsoftError
from failsoft.events import Event
from failsoft.parsing import JSON

LABELS: list[JSON] = ["bug", "access"]
TEXTS = ('die Schaltfläche,\n"Sichern"', "=1+1", "the vpn is gone")


@pytest.fixture
def corrections(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which a person has labelled three texts of slack-jira."""
    monkeypatch.setenv("FAILSOFT_DSN", dsn)
    monkeypatch.setenv("FAILSOFT_HOME", str(tmp_path))
    asyncio.run(correct(dsn))
    return dsn


async def correct(dsn: str) -> None:
    async with Database(dsn) as database:
        store = Store.of(database)
        worker = await store.workers.register("test", 60)
        for text in TEXTS:
            event = Event(key=text[:9], source="test", text=text)
            await store.runs.admit("slack-jira", "lane", event)
            [claim] = await store.runs.claim(worker, ["lane"], 1)
            review_id = review_id_of(claim.lease.run_id, "t")
            await store.reviews.open(
                claim.lease, review_id=review_id, node="classify", channels=(), step_seconds=60,
                question={"labels": LABELS, "text": text}, allowed=["respond"], escalations=(),
            )  # fmt: skip
            await store.reviews.answer(review_id, choice="respond", value="bug", by="ann")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(command, arguments)
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.mark.usefixtures("corrections")
def test_what_people_corrected_is_listed_the_newest_first() -> None:
    assert [each["text"] for each in json.loads(run("examples", "slack-jira", "--json"))] == list(
        reversed(TEXTS)
    )
    assert "the vpn is gone" in run("examples", "slack-jira")


@pytest.mark.usefixtures("corrections")
def test_the_export_is_read_back_as_it_was(tmp_path: Path) -> None:
    exported = run("examples", "slack-jira", "--csv")
    (tmp_path / "rows.csv").write_text(exported, "utf-8", newline="")
    assert [row.text for row in read_csv(tmp_path / "rows.csv")] == list(reversed(TEXTS))
    assert [row["by"] for row in csv.DictReader(io.StringIO(exported))] == ["ann"] * 3


@pytest.mark.usefixtures("corrections")
def test_a_forgotten_example_is_listed_no_more() -> None:
    [newest, *_] = json.loads(run("examples", "slack-jira", "--json"))
    run("forget", str(newest["example_id"]))
    assert len(json.loads(run("examples", "slack-jira", "--json"))) == 2
    with pytest.raises(FailsoftError, match="There is no example"):
        run("forget", str(newest["example_id"]))


@pytest.mark.usefixtures("corrections")
def test_a_few_corrections_propose_nothing() -> None:
    told = run("suggest", "slack-jira")
    assert "No label has 5 texts" in told


def rows_of_two() -> str:
    lines = [
        f"{who} has a wrong invoice {n},billing\n{who} says the shop is gone {n},outage\n"
        for n in range(15)
        for who in ("she", "he")
    ]
    return "".join(["text,label\n", *lines])


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 130)])
def test_somebody_at_the_terminal_is_asked(answer: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(rows_of_two())
    (tmp_path / "agent").mkdir()
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [Path(sys.executable).parent / "failsoft", "rules", "suggest", "agent", "--from",
             "rows.csv"],
            stdin=theirs, capture_output=True, text=True, cwd=tmp_path, check=False,
            env={"PATH": os.environ["PATH"], "FAILSOFT_HOME": str(tmp_path), "LANG": "C.UTF-8"},
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code
    assert "keywords.yaml?" in done.stdout
    assert (tmp_path / "agent" / "keywords.yaml").exists() == (answer == "y")


NOISE = ("it is what it is", "see below", "as discussed", "please advise", "thank you", "any news")


def noise(folder: Path) -> Path:
    """Write texts whose words say nothing about their labels."""
    path = folder / "noise.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        for number in range(60):
            rows.writerow((f"{NOISE[number // 2 % 6]} {number // 12}", LABELS[number % 2]))
    return path


def test_rules_that_would_never_abstain_are_not_proposed_even_if_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "schema.json").write_text(
        json.dumps({"properties": {"label": {"enum": LABELS}}, "type": "object"})
    )
    asked = ("suggest", str(folder), "--from", str(noise(tmp_path)), "--precision", "0.9")
    said = run(*asked, "--accept")
    assert "No score is proven to be precise enough: nothing is proposed." in said
    assert not (folder / "keywords.yaml").exists()
