"""The pytest plugin: under each failing test, the trace of every attempt that it began.

It loads with every pytest in the environment, so it imports nothing heavy and leaves passing tests
alone. Attempts of a fixture wider than a function are shown under each failing test that uses it.
"""

import os
from collections.abc import Generator
from itertools import count

import pytest

from failsoft.tracing import Attempt, attempts
from failsoft.tracing.links import flush, link_of
from failsoft.tracing.tree import render

SECTION = "failsoft traces"
PROPERTY = "failsoft_trace"
MAX_SHOWN = 50  # attempts under one test
FLUSH = 5.0  # seconds that a failing test may wait for LangSmith


class Traces:
    """Knows whom an attempt belongs to, and puts its trace into the report."""

    def __init__(self) -> None:
        self._number = count()
        self._fixtures: dict[tuple[str, str], str] = {}  # (where, name): owner of the newest setup

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        with attempts.owned_by(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object]
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        owner = f"fixture {fixturedef.argname} {next(self._number)}"
        self._fixtures[fixturedef.baseid, fixturedef.argname] = owner
        with attempts.owned_by(owner):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            try:
                self._attach(item, report)
            except Exception as error:  # noqa: BLE001  (a report must not cost the report)
                report.sections.append((SECTION, f"(no traces: {type(error).__name__})"))
        return report

    def _attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        begun = self._begun(item)
        if not begun:
            return
        flush(FLUSH)
        texts = []
        for attempt in begun[-MAX_SHOWN:]:
            link = _link(attempt)
            texts.append(f"{link}\n{render(attempt.path)}")
            if (PROPERTY, link) not in item.user_properties:
                item.user_properties.append((PROPERTY, link))
        if len(begun) > MAX_SHOWN:
            texts.insert(0, f"(the last {MAX_SHOWN} of {len(begun)} attempts)")
        report.user_properties = list(item.user_properties)
        report.sections.append((SECTION, "\n\n".join(texts)))

    def _begun(self, item: pytest.Item) -> list[Attempt]:
        names = getattr(item, "fixturenames", ())
        owners = [
            owner
            for (where, name), owner in self._fixtures.items()
            if name in names and item.nodeid.startswith(where)
        ]
        return [attempt for owner in [*owners, item.nodeid] for attempt in attempts.of(owner)]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Traces(), "failsoft-traces")


def _link(attempt: Attempt) -> str:
    template = os.environ.get("FAILSOFT_TRACE_URL_TEMPLATE")
    return link_of(attempt.trace_id, folder=attempt.path.parent, template=template)
