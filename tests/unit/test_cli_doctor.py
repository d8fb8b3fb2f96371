"""The doctor says what is wrong in one line each, and never shows a secret."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from failsoft.cli.check import Check, Health
from failsoft.cli.doctor import command, examine
from failsoft.errors import UnknownAgentError
from failsoft.settings import load_settings

SECRET = "a-secret-that-nobody-may-see"  # noqa: S105  # no real one


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    # Nobody listens at port 1: every look-up fails at once.
    monkeypatch.setenv("FAILSOFT_HOME", str(tmp_path))
    monkeypatch.setenv("FAILSOFT_PROFILE", "sandbox")
    monkeypatch.setenv("FAILSOFT_DSN", f"postgresql://user:{SECRET}@127.0.0.1:1/x")
    monkeypatch.setenv("FAILSOFT_SLACK_BASE_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("FAILSOFT_SLACK_TOKEN", SECRET)
    monkeypatch.setenv("FAILSOFT_JIRA_BASE_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("FAILSOFT_JIRA_EMAIL", "me@example.com")
    monkeypatch.setenv("FAILSOFT_JIRA_TOKEN", SECRET)
    monkeypatch.setenv("FAILSOFT_MODEL", "openai")
    monkeypatch.setenv("FAILSOFT_MODEL_API_KEY", SECRET)
    return monkeypatch


async def found(agent: str | None = None) -> dict[str, Check]:
    return {check.name: check for check in await examine(agent, load_settings())}


@pytest.mark.usefixtures("environment")
async def test_everything_that_is_away_is_named_and_no_secret_is_shown() -> None:
    checks = await found()
    wrong = {name for name, check in checks.items() if check.health is Health.WRONG}
    assert wrong == {"database", "slack", "jira", "model"}
    assert SECRET not in repr(checks)


@pytest.mark.usefixtures("environment")
async def test_a_secret_is_only_said_to_be_set() -> None:
    assert (await found())["FAILSOFT_JIRA_TOKEN"].detail == "set"


async def test_what_an_agent_does_not_need_may_be_missing(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("FAILSOFT_SLACK_TOKEN")
    assert (await found())["slack"].health is Health.SKIPPED
    assert (await found("slack-jira"))["slack"].detail.startswith("FAILSOFT_SLACK_TOKEN is not set")


async def test_the_channels_of_an_agents_desk_are_needed_too(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("FAILSOFT_SLACK_TOKEN")
    checks = await found("email-salesforce")
    assert checks["slack"].health is Health.WRONG
    assert "FAILSOFT_SLACK_TOKEN" in checks["channel slack:#support-review"].detail


@pytest.mark.parametrize("agent", ["nobody", "no.such:graph", "json:dumps"])
@pytest.mark.usefixtures("environment")
def test_an_unknown_agent_is_refused_before_anything_is_looked_at(agent: str) -> None:
    used = CliRunner().invoke(command, [agent])
    assert isinstance(used.exception, UnknownAgentError)
    assert used.exception.exit_code == 2
    assert used.output == ""
    assert "\n" not in str(used.exception)
