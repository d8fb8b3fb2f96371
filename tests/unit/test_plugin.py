"""The pytest plugin, seen by a pytest of its own in a folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree as ET

import pytest

CONFTEST = """
    from pathlib import Path
    from uuid import UUID

    import pytest

    FOLDER = Path(__file__).parent / "traces"

    @pytest.fixture
    def attempt():
        return begin

    def begin(name="graph"):
        from failsoft.tracing.recorder import Recorder, new_trace_id

        span = new_trace_id()
        handler = Recorder(FOLDER, run_id=UUID(int=1), event_key="k", agent="slack-jira")
        handler.on_chain_start({"name": name}, {}, run_id=span)
        handler.on_chain_error(RuntimeError("Jira said 503"), run_id=span)
"""


def pytest_in(folder: Path, tests: str, *options: str) -> str:
    """Run `tests` with this environment's pytest and return what it printed."""
    (folder / "conftest.py").write_text(dedent(CONFTEST), encoding="utf-8")
    (folder / "test_it.py").write_text(dedent(tests), encoding="utf-8")
    own = ("LANGSMITH_", "LANGCHAIN_", "FAILSOFT_", "PYTEST_", "COV_")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-c", os.devnull, "--rootdir=.",
         "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith(own)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout


def sections(printed: str) -> list[str]:
    """Return the texts under the headings of the plugin."""
    return re.split(r"-+ failsoft traces -+\n", printed)[1:]


def test_a_failing_test_shows_link_and_tree_of_its_attempts(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        def test_it(attempt):
            attempt()
            attempt("second")
            assert False
        """,
    )
    (section,) = sections(printed)
    links = re.findall(r"^/.*/traces/[0-9a-f-]{36}\.jsonl$", section, flags=re.MULTILINE)
    assert len(links) == 2
    assert "✗ graph [chain] " in section
    assert "✗ second [chain] " in section
    assert "RuntimeError: Jira said 503" in section


def test_a_passing_test_shows_nothing(tmp_path: Path) -> None:
    printed = pytest_in(tmp_path, "def test_it(attempt):\n    attempt()\n", "-rA")
    assert "1 passed" in printed
    assert not sections(printed)


def test_a_failing_test_without_an_attempt_shows_nothing(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        def test_one(attempt):
            attempt()

        def test_two():
            assert False
        """,
    )
    assert "1 failed, 1 passed" in printed
    assert not sections(printed)


def test_attempts_of_threads_and_tasks_belong_to_the_test_that_runs(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        import threading

        import pytest

        @pytest.fixture(scope="module")
        def anyio_backend():
            return "asyncio"

        @pytest.fixture(scope="module")
        async def shared(anyio_backend):
            yield

        @pytest.mark.anyio
        async def test_passes(shared, attempt):
            attempt("other")

        @pytest.mark.anyio
        async def test_fails(shared, attempt):
            attempt("task")
            thread = threading.Thread(target=attempt, args=["thread"])
            thread.start()
            thread.join()
            assert False
        """,
    )
    (section,) = sections(printed)
    assert re.findall(r"✗ (\w+) \[chain\]", section) == ["task", "thread"]


def test_attempts_of_a_module_fixture_are_shown_under_each_failing_user(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        import pytest
        from conftest import begin

        @pytest.fixture(scope="module")
        def filled():
            begin("shared")

        def test_uses_it(filled):
            assert False

        def test_uses_it_too(filled):
            assert False

        def test_does_not():
            assert False
        """,
    )
    assert len(sections(printed)) == 2
    assert len(set(re.findall(r"traces/(\S+)\.jsonl", printed))) == 1


def test_a_setup_that_fails_shows_its_attempts(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        import pytest

        @pytest.fixture
        def broken(attempt):
            attempt("setup")
            raise RuntimeError

        def test_it(broken):
            pass
        """,
    )
    assert "1 error" in printed
    assert "✗ setup [chain]" in sections(printed)[0]


def test_the_junit_file_has_the_link_as_a_property(tmp_path: Path) -> None:
    pytest_in(
        tmp_path,
        "def test_it(attempt):\n    attempt()\n    assert False\n",
        "--junitxml=junit.xml",
    )
    found = ET.parse(tmp_path / "junit.xml").findall(".//property")  # noqa: S314
    assert [one.get("name") for one in found] == ["failsoft_trace"]
    assert str(found[0].get("value")).endswith(".jsonl")


@pytest.mark.parametrize("options", [["-n", "2"], ["-p", "no:failsoft"]])
def test_it_works_in_parallel_and_can_be_switched_off(tmp_path: Path, options: list[str]) -> None:
    printed = pytest_in(
        tmp_path, "def test_it(attempt):\n    attempt()\n    assert False\n", *options
    )
    assert len(sections(printed)) == ("-n" in options)


def test_a_trace_that_cannot_be_read_does_not_cost_the_report(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        import shutil
        from conftest import FOLDER

        def test_it(attempt):
            attempt()
            shutil.rmtree(FOLDER)
            assert 1 == 2
        """,
    )
    assert "assert 1 == 2" in printed
    assert sections(printed)[0].startswith("(no traces: NotFoundError)")


def test_the_start_of_pytest_imports_no_langchain(tmp_path: Path) -> None:
    printed = pytest_in(
        tmp_path,
        """
        import sys

        def test_it():
            heavy = {"langchain_core", "langgraph", "langsmith"}
            assert sys.modules["failsoft.testing.plugin"]
            assert not heavy & sys.modules.keys()
        """,
        "-p",
        "no:langsmith_plugin",
    )
    assert "1 passed" in printed
