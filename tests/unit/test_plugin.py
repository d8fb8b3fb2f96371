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

    FOLDER = Path(__file__).parent / "traces"

    def begin(name="graph"):
        from failsoft.tracing.recorder import Recorder, new_trace_id

        span = new_trace_id()
        handler = Recorder(FOLDER, run_id=UUID(int=1), event_key="k", agent="slack-jira")
        handler.on_chain_start({"name": name}, {}, run_id=span)
        handler.on_chain_error(RuntimeError("Jira said 503"), run_id=span)
        return FOLDER / f"{span}.jsonl"
"""
TESTS = """
    import threading

    import pytest
    from conftest import begin

    @pytest.fixture(scope="module")
    def anyio_backend():
        return "asyncio"

    @pytest.fixture(scope="module")
    async def shared_loop(anyio_backend):
        yield

    @pytest.fixture(scope="module")
    def filled():
        begin("shared")

    @pytest.fixture
    def broken():
        begin("setup")
        raise RuntimeError

    def test_two_attempts():
        begin("first")
        begin("second")
        assert False

    def test_that_passes():
        begin("passing")

    def test_no_attempt():
        assert False

    @pytest.mark.anyio
    async def test_async_that_passes(shared_loop):
        begin("other")

    @pytest.mark.anyio
    async def test_task_and_thread(shared_loop):
        begin("task")
        thread = threading.Thread(target=begin, args=["thread"])
        thread.start()
        thread.join()
        assert False

    def test_uses_it(filled):
        assert False

    def test_uses_it_too(filled):
        assert False

    def test_setup(broken):
        pass

    def test_trace_is_gone():
        begin().unlink()
        assert 1 == 2
"""
ONE = """
    from conftest import begin

    def test_one():
        begin()
        assert False
"""


def pytest_in(folder: Path, tests: str, *options: str) -> str:
    """Run `tests` with this plugin and no other of this environment; return what it printed."""
    (folder / "conftest.py").write_text(dedent(CONFTEST), encoding="utf-8")
    (folder / "test_it.py").write_text(dedent(tests), encoding="utf-8")
    own = ("LANGSMITH_", "LANGCHAIN_", "FAILSOFT_", "PYTEST_", "COV_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "failsoft.testing.plugin", "-p", "no:cacheprovider",
         "-c", os.devnull, "--rootdir=.", *options, "test_it.py"],
        cwd=folder,
        env=env | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout


def sections(printed: str) -> dict[str, str]:
    """Return what the plugin printed, by test."""
    parts = re.split(r"^_+ (?:ERROR at setup of )?(\w+) _+$", printed, flags=re.MULTILINE)
    tests = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = {name: re.split(r"-+ failsoft traces -+\n", text)[1:] for name, text in tests.items()}
    return {name: texts[0] for name, texts in found.items() if texts}


def roots(section: str) -> list[str]:
    shape = r"^✗ (\w+) \[chain\] \d+ms RuntimeError: Jira said 503$"
    return re.findall(shape, section, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    return pytest_in(folder, TESTS, "-p", "anyio", "-rA", "--junitxml=junit.xml")


def test_a_failing_test_shows_the_tree_of_each_of_its_attempts(printed: str) -> None:
    assert roots(sections(printed)["test_two_attempts"]) == ["first", "second"]


def test_each_tree_stands_under_its_link(printed: str, folder: Path) -> None:
    links = re.findall(r"^(/.*\.jsonl)\n✗ ", sections(printed)["test_two_attempts"], re.MULTILINE)
    assert [Path(link).parent for link in links] == [folder / "traces"] * 2


def test_passing_tests_and_tests_without_attempts_show_nothing(printed: str) -> None:
    assert "2 passed" in printed
    assert sections(printed).keys() == {
        "test_two_attempts", "test_task_and_thread", "test_uses_it", "test_uses_it_too",
        "test_setup", "test_trace_is_gone",
    }  # fmt: skip


def test_attempts_of_tasks_and_threads_belong_to_the_test_that_runs(printed: str) -> None:
    assert roots(sections(printed)["test_task_and_thread"]) == ["task", "thread"]


def test_attempts_of_a_wider_fixture_stand_under_each_test_that_uses_it(printed: str) -> None:
    found = sections(printed)
    assert roots(found["test_uses_it"]) == ["shared"]
    assert found["test_uses_it"].splitlines()[0] == found["test_uses_it_too"].splitlines()[0]


def test_a_setup_that_fails_shows_its_attempts(printed: str) -> None:
    assert roots(sections(printed)["test_setup"]) == ["setup"]


def test_a_trace_that_cannot_be_read_does_not_cost_the_report(printed: str) -> None:
    assert "assert 1 == 2" in printed
    assert "(no traces: NotFoundError)" in sections(printed)["test_trace_is_gone"]


def test_the_junit_file_has_the_links_as_properties(printed: str, folder: Path) -> None:
    assert printed
    cases = ET.parse(folder / "junit.xml").findall(".//testcase")  # noqa: S314
    found = {
        str(case.get("name")): [
            str(one.get("value"))
            for one in case.findall(".//property")
            if one.get("name") == "failsoft_trace"
        ]
        for case in cases
    }
    assert [len(found[name]) for name in ("test_two_attempts", "test_that_passes")] == [2, 0]
    assert found["test_two_attempts"][0] in printed


def test_it_works_in_parallel(tmp_path: Path) -> None:
    assert roots(sections(pytest_in(tmp_path, ONE, "-p", "xdist", "-n", "1"))["test_one"]) == [
        "graph"
    ]


def test_pytest_finds_it_by_itself(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("failsoft")


def test_the_start_of_pytest_imports_no_langchain(tmp_path: Path) -> None:
    tests = """
        import sys

        def test_it():
            assert sys.modules["failsoft.testing.plugin"]
            assert not {"langchain_core", "langgraph"} & sys.modules.keys()
    """
    assert "1 passed" in pytest_in(tmp_path, tests)
