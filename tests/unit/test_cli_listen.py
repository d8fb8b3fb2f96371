"""What `failsoft listen` says when it cannot listen."""

from pathlib import Path

import pytest

from failsoft.cli.listen import listen
from failsoft.errors import (
    ConfigurationError,
    FailsoftError,
    MissingSettingError,
    UnknownAgentError,
)
from failsoft.intake.doors import DOORS
from failsoft.settings import Settings

BARE = Settings(slack_token=None, slack_app_token=None)


async def test_without_a_door_every_kind_is_named() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        await listen("slack-jira", [], BARE)
    assert refusal.value.exit_code == 3
    assert all(form in str(refusal.value) for form in DOORS)
    assert "FAILSOFT_DOORS" in str(refusal.value)


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (["pigeon"], "'pigeon'"),
        (["pigeon://ann:s3cret@loft"], "pigeon"),
        (["s3cret@loft"], "no door of the kind"),
        (["slack-socket:more"], "slack-socket"),
        (["smtp:nowhere"], "smtp:HOST:PORT"),
        (["smtp:127.0.0.1:0", "smtp:127.0.0.1:0"], "twice"),
        (["amqp://ann:s3cret@localhost/?queue=q"], "FAILSOFT_QUEUE_PASSWORD"),
    ],
)
async def test_a_door_that_cannot_be_is_named_without_a_password(
    specs: list[str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        await listen("slack-jira", specs, BARE)
    assert "\n" not in str(refusal.value)
    assert ":s3cret" not in str(refusal.value)


async def test_a_missing_secret_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    settings = BARE.model_copy(update={"home": tmp_path / "home"})
    with pytest.raises(MissingSettingError, match="FAILSOFT_SLACK_APP_TOKEN"):
        await listen("slack-jira", ["slack-socket"], settings)
    assert not (tmp_path / "home").exists()


async def test_an_agent_that_is_none_is_wrong_use() -> None:
    with pytest.raises(UnknownAgentError) as refusal:
        await listen("slack-jria", ["slack-socket"], BARE)
    assert isinstance(refusal.value, FailsoftError)
    assert refusal.value.exit_code == 2
