"""The minute that is the product: `failsoft demo` in its own process, counted by the sandbox."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)

FIGURES = {
    "events", "deliveries", "ignored", "joined", "runs", "tickets", "cases", "duplicates", "lost",
    "dead", "unclassified", "waiting_human", "retries", "resent", "fallbacks", "reprompts",
    "llm_calls", "tokens", "usd", "kills", "kills_at_worst", "answers", "duplicate_answers",
    "wrong_answers", "faults", "misrouted", "faults_missed", "faulty_creations", "chains", "rested",
    "messages", "seconds", "seed", "home", "told",
}  # fmt: skip
ZEROS = (
    "duplicates", "lost", "misrouted", "dead", "duplicate_answers", "wrong_answers",
    "faults_missed",
)  # fmt: skip
KINDS = {
    "latency", "status", "drop_before", "drop_after", "late_commit", "content", "hold",
    "latency_after", "status_after", "malformed", "truncate", "slow_body",
}  # fmt: skip


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder that the database's own account may enter when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="failsoft-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def failsoft(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name[:9] != "FAILSOFT_"}
    return subprocess.run(  # our own command
        [sys.executable, "-m", "failsoft.cli.main", "--home", str(home), *arguments],
        env=clean, text=True, capture_output=True, check=False, timeout=280,
    )  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[
        pytest.param([], id="slack-jira"),
        pytest.param(["email-salesforce", "--messages", "30"], id="email-salesforce"),
    ],
)
def demo(home: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each demo with one seed, played once."""
    ended = failsoft(home, "demo", *request.param, "--json", "--seed", "1")
    assert ended.returncode == 0, ended.stderr + ended.stdout
    (line,) = ended.stdout.splitlines()
    figures: dict[str, Any] = json.loads(line)
    return figures


def test_the_last_line_holds_the_same_figures_for_both(demo: dict[str, Any]) -> None:
    assert demo.keys() == FIGURES


def test_each_counts_what_it_makes(demo: dict[str, Any]) -> None:
    assert sorted(bool(demo[made]) for made in ("tickets", "cases")) == [False, True]


def test_nothing_is_there_twice_or_lost_or_dead(demo: dict[str, Any]) -> None:
    assert {name: demo[name] for name in ZEROS} == dict.fromkeys(ZEROS, 0)


def test_every_event_is_a_run_or_is_listed(demo: dict[str, Any]) -> None:
    assert demo["events"] == demo["runs"] + demo["ignored"]


def test_every_run_has_what_it_makes_or_joins_one_or_waits_for_a_person(
    demo: dict[str, Any],
) -> None:
    # A reply in Slack is listed under the run of its thread; a mail joins its case in its own run.
    joined = demo["joined"] if demo["cases"] else 0
    assert demo["runs"] == demo["tickets"] + demo["cases"] + joined + demo["waiting_human"]


def test_replies_join_what_they_answer(demo: dict[str, Any]) -> None:
    assert demo["joined"] > 0


def test_people_are_answered(demo: dict[str, Any]) -> None:
    assert demo["answers"] > 0


def test_messages_come_more_than_once(demo: dict[str, Any]) -> None:
    assert demo["deliveries"] > demo["events"]


def test_workers_are_killed_with_runs_in_flight(demo: dict[str, Any]) -> None:
    assert demo["kills"] >= 3


def test_a_worker_dies_between_their_commit_and_our_record(demo: dict[str, Any]) -> None:
    assert demo["kills_at_worst"] >= 1


def test_every_kind_of_fault_happens(demo: dict[str, Any]) -> None:
    assert demo["faults"].keys() >= KINDS


def test_a_quarter_of_the_creations_is_faulty(demo: dict[str, Any]) -> None:
    assert demo["faulty_creations"] >= 0.25


def test_every_audit_chain_verifies(demo: dict[str, Any]) -> None:
    assert demo["chains"] == f"{demo['runs']}/{demo['runs']}"


def test_what_the_model_did_not_decide_comes_with_a_trace(demo: dict[str, Any]) -> None:
    traces = Path(demo["home"]) / "traces"
    nobodys = demo["unclassified"] if demo["cases"] else 0  # without a question: they have a queue
    assert len(demo["told"]) == demo["fallbacks"] + demo["waiting_human"] + nobodys
    assert all((traces / f"{one['trace']}.jsonl").is_file() for one in demo["told"])


def test_the_database_is_gone_afterwards(demo: dict[str, Any]) -> None:
    assert not (Path(demo["home"]) / "pg").exists()


def test_a_plain_graph_makes_duplicates_of_the_same(home: Path) -> None:
    ended = failsoft(home, "demo", "--naive", "--json", "--messages", "30", "--seed", "1")
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert figures["kills"] >= 3
    assert figures["duplicates_of_thread"] > 0


def test_there_is_no_plain_graph_of_the_mails(home: Path) -> None:
    ended = failsoft(home, "demo", "email-salesforce", "--naive")
    assert ended.returncode == 2
    assert "slack-jira only" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_too_few_messages_are_refused_in_a_sentence(home: Path) -> None:
    ended = failsoft(home, "demo", "--messages", "3")
    assert ended.returncode == 2
    assert "30" in ended.stderr
    assert "Traceback" not in ended.stderr
