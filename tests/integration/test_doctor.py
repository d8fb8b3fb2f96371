"""The doctor asks each connector about itself: what is well, and each wrong thing with its cure."""

from collections.abc import Mapping
from typing import Any

import pytest

from failsoft.cli.check import Check, Health
from failsoft.cli.doctor_desk import connectors_of, look_at_desk
from failsoft.cli.doctor_outside import look_at
from failsoft.nodes.policy import Desk
from failsoft.settings import Settings, load_settings
from tests.conftest import Sandbox

TOKEN = "GET /slack/api/auth.test"  # noqa: S105 - a route
MYSELF = {"ok": True, "user": "failsoft", "team": "Sandbox", "team_id": "T1", "bot_id": "B1"}


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everything points at the sandbox; a test bends what it is about."""
    assert settings.profile == "sandbox"
    return monkeypatch


async def looked(name: str) -> dict[str, Check]:
    """Return what the doctor says of a connector, by the name of the thing."""
    return {check.name: check for check in await look_at([name], {name}, load_settings())}


async def wrong(name: str) -> Mapping[str, str]:
    found = await looked(name)
    return {check.name: check.detail for check in found.values() if check.health is Health.WRONG}


def answers(route: str, body: object, **headers: str) -> dict[str, Any]:
    return {
        "match": route, "kind": "status", "status": 200, "body": body, "headers": headers,
    }  # fmt: skip


WELL = {
    "slack": {"slack token", "slack scopes"},
    "jira": {"jira site", "jira account", "jira BROWSE_PROJECTS", "jira CREATE_ISSUES",
             "jira projects"},
    "mail": {"mail server", "mail sender"},
    "pagerduty": {"pagerduty address", "pagerduty routing key"},
    "webhook": {"webhook desk"},
}  # fmt: skip


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("name", "things"), WELL.items(), ids=WELL)
async def test_a_connector_that_is_set_up_is_well_and_nothing_is_written(
    sandbox: Sandbox, name: str, things: set[str]
) -> None:
    checks = await looked(name)
    assert {check.name: check.health for check in checks.values()} == dict.fromkeys(
        things, Health.OK
    )
    state = sandbox.state()
    written = [state["slack"]["messages"], state["jira"]["issues"], state["mail"]]
    assert [*written, state["hooks"]["alerts"], state["hooks"]["posts"]] == [[], [], [], [], []]


AWAY = {
    "slack": ("FAILSOFT_SLACK_BASE_URL", "http://127.0.0.1:1/"),
    "jira": ("FAILSOFT_JIRA_BASE_URL", "http://127.0.0.1:1/"),
    "mail": ("FAILSOFT_SMTP_PORT", "1"),
    "pagerduty": ("FAILSOFT_PAGERDUTY_URL", "http://127.0.0.1:1"),
    "webhook": ("FAILSOFT_WEBHOOKS__DESK__URL", "http://127.0.0.1:1/x"),
}


@pytest.mark.parametrize(("name", "setting"), AWAY.items(), ids=AWAY)
async def test_a_connector_that_does_not_answer_is_wrong(
    environment: pytest.MonkeyPatch, name: str, setting: tuple[str, str]
) -> None:
    environment.setenv(*setting)
    (said,) = (await wrong(name)).values()
    assert "127.0.0.1" in said


REFUSED = {
    "slack": ("FAILSOFT_SLACK_TOKEN", "invalid_auth"),
    "jira": ("FAILSOFT_JIRA_TOKEN", "FAILSOFT_JIRA_TOKEN"),
    "mail": ("FAILSOFT_SMTP_PASSWORD", "535"),
    "pagerduty": ("FAILSOFT_PAGERDUTY_ROUTING_KEY", "Events API v2"),
}


@pytest.mark.parametrize(("name", "setting"), REFUSED.items(), ids=REFUSED)
async def test_a_secret_that_is_not_taken_is_named_and_never_shown(
    environment: pytest.MonkeyPatch, name: str, setting: tuple[str, str]
) -> None:
    environment.setenv(setting[0], "bad-token")
    # In clear is allowed to this machine only; a password needs a user.
    environment.setenv("FAILSOFT_SMTP_USER", "bot")
    (said,) = (await wrong(name)).values()
    assert setting[1] in said
    assert "bad-token" not in said


UNSET = {
    "slack": "FAILSOFT_SLACK_TOKEN",
    "jira": "FAILSOFT_JIRA_BASE_URL",
    "mail": "FAILSOFT_MAIL_FROM",
    "pagerduty": "FAILSOFT_PAGERDUTY_ROUTING_KEY",
}


@pytest.mark.parametrize(("name", "variable"), UNSET.items(), ids=UNSET)
async def test_a_connector_that_lacks_a_setting_names_it(
    environment: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    environment.delenv(variable)
    assert variable in (await wrong(name))[name]


@pytest.mark.usefixtures("environment")
async def test_each_missing_scope_is_named_with_what_it_is_for(sandbox: Sandbox) -> None:
    sandbox.faults(answers(TOKEN, MYSELF, **{"x-oauth-scopes": "chat:write.public,users:read"}))
    said = await wrong("slack")
    needed = ("chat:write", "channels:history", "metadata.message:read")
    assert set(said) == {f"slack {scope}" for scope in needed}
    assert "to answer" in said["slack chat:write"]
    assert "when an answer is lost" in said["slack channels:history"]
    assert (
        "reactions:write (only for Slack.react)" in (await looked("slack"))["slack scopes"].detail
    )


@pytest.mark.usefixtures("environment")
async def test_a_persons_token_is_no_bots(sandbox: Sandbox) -> None:
    sandbox.faults(answers(TOKEN, MYSELF | {"bot_id": None}))
    assert "xoxb-" in (await wrong("slack"))["slack token"]


async def test_another_bots_id_in_the_settings_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FAILSOFT_SLACK_BOT_ID", "B0OTHER")
    assert "B0FAILSOFT" in (await wrong("slack"))["slack FAILSOFT_SLACK_BOT_ID"]


async def test_a_channel_without_the_bot_is_named_with_the_cure(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    environment.setenv("FAILSOFT_SLACK_CHANNELS", "C1,C2")
    sandbox.faults(
        answers("GET /slack/api/conversations.history", {"ok": False, "error": "not_in_channel"})
        | {"nth": [2]}
    )
    assert "/invite" in (await wrong("slack"))["slack channel C2"]
    assert set(await wrong("slack")) == set()  # the bot came in


@pytest.mark.usefixtures("environment")
async def test_a_jira_account_that_may_not_create_is_told_where_it_is_granted(
    sandbox: Sandbox,
) -> None:
    known = {"BROWSE_PROJECTS": {"havePermission": True}, "CREATE_ISSUES": {"havePermission": 0}}
    sandbox.faults(answers("GET /jira/rest/api/3/mypermissions", {"permissions": known}))
    said = await wrong("jira")
    assert set(said) == {"jira CREATE_ISSUES"}
    assert "Permissions" in said["jira CREATE_ISSUES"]


@pytest.mark.usefixtures("environment")
async def test_a_jira_account_that_sees_no_project_is_told_so(sandbox: Sandbox) -> None:
    sandbox.faults(answers("GET /jira/rest/api/3/project/search", {"values": []}))
    assert set(await wrong("jira")) == {"jira projects"}


async def test_jira_data_center_is_looked_at_too(
    environment: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    environment.setenv("FAILSOFT_JIRA_FLAVOR", "datacenter")
    environment.setenv("FAILSOFT_JIRA_BASE_URL", f"{sandbox.url}/jira-dc")
    checks = await looked("jira")
    assert set(checks) == WELL["jira"]
    assert {check.health for check in checks.values()} == {Health.OK}
    assert "PAY" in checks["jira projects"].detail


@pytest.mark.parametrize(
    ("flavor", "path", "cure"),
    [
        pytest.param("datacenter", "jira", "FLAVOR to cloud", id="it is Cloud"),
        pytest.param("cloud", "jira-dc", "FAILSOFT_JIRA_FLAVOR", id="it is Data Center"),
    ],
)
async def test_the_wrong_flavor_of_jira_is_named(
    environment: pytest.MonkeyPatch, sandbox: Sandbox, flavor: str, path: str, cure: str
) -> None:
    environment.setenv("FAILSOFT_JIRA_FLAVOR", flavor)
    environment.setenv("FAILSOFT_JIRA_BASE_URL", f"{sandbox.url}/{path}")
    assert cure in (await wrong("jira"))["jira site"]


async def test_a_mail_server_without_the_wanted_encryption_is_wrong(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("FAILSOFT_SMTP_SECURITY", "starttls")
    assert "STARTTLS" in (await wrong("mail"))["mail"]


async def test_a_password_that_would_leave_in_clear_is_refused(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("FAILSOFT_SMTP_HOST", "mail.example.com")
    environment.setenv("FAILSOFT_SMTP_PASSWORD", "s3cret-s3cret")
    said = (await wrong("mail"))["mail"]
    assert "FAILSOFT_SMTP_SECURITY" in said
    assert "s3cret" not in said


async def test_a_webhook_that_anybody_could_read_or_forge_is_wrong(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("FAILSOFT_WEBHOOKS__DESK__SECRET", "short")
    assert "16" in (await wrong("webhook"))["webhook desk"]


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # one of Apprise's plugins
async def test_an_apprise_url_that_cannot_be_read_is_named_and_not_shown(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("FAILSOFT_APPRISE__OPS", "json://127.0.0.1/s3cret")
    environment.setenv("FAILSOFT_APPRISE__ODD", "bogus://s3cret/x")
    checks = await looked("apprise")
    assert checks["apprise ops"].health is Health.OK
    assert "FAILSOFT_APPRISE__ODD" in (await wrong("apprise"))["apprise odd"]
    assert "s3cret" not in repr(checks)


async def of_desk(*channels: str) -> dict[str, Check]:
    desk = Desk(via=channels[:1], escalate=channels[1:])
    return {check.name: check for check in await look_at_desk(desk, load_settings())}


CHANNELS = (
    "slack:#desk",
    "email:ann@example.com",
    "webhook:desk",
    "pagerduty:critical",
    "log:desk",
)


@pytest.mark.usefixtures("environment")
async def test_channels_that_are_set_up_are_well_and_nothing_is_sent(sandbox: Sandbox) -> None:
    checks = await of_desk(*CHANNELS)
    assert {name: check.health for name, check in checks.items()} == {
        f"channel {channel}": Health.OK for channel in CHANNELS
    }
    assert sandbox.state()["requests"] == []


def test_a_desk_needs_the_connectors_of_all_its_channels() -> None:
    desk = Desk(via=("slack:#desk", "log:desk"), escalate=("email:ann", "pagerduty", "apprise:x"))
    assert connectors_of(desk) == {"slack", "mail", "pagerduty", "apprise"}
    assert connectors_of(Desk()) == set()


@pytest.mark.parametrize(
    ("channel", "variable", "missing"),
    [
        pytest.param("slack:#desk", "FAILSOFT_SLACK_TOKEN", "", id="slack"),
        pytest.param("email:ann@example.com", "FAILSOFT_SMTP_HOST", "", id="mail"),
        pytest.param("email:ann", "FAILSOFT_CONTACTS", "", id="contacts"),
        pytest.param("pagerduty", "FAILSOFT_PAGERDUTY_ROUTING_KEY", "", id="pagerduty"),
        pytest.param("apprise:ops", "FAILSOFT_APPRISE", "", id="apprise"),
        pytest.param("webhook:others", "", "FAILSOFT_WEBHOOKS has no 'others'", id="name"),
        pytest.param("pagerduty:loud", "", "severity", id="severity"),
        pytest.param("slack", "", "name the channel", id="no target"),
        pytest.param("pigeon:desk", "", "no channel 'pigeon'", id="no such channel"),
    ],
)
async def test_a_channel_through_which_nothing_can_go_is_wrong_with_its_cure(
    environment: pytest.MonkeyPatch, channel: str, variable: str, missing: str
) -> None:
    if variable:
        environment.delenv(variable, raising=False)
    [check] = (await of_desk(channel)).values()
    assert check.health is Health.WRONG
    assert (variable or missing) in check.detail
