"""The environment is read strictly, and what is wrong is named by its variable."""

import pytest

from failsoft.errors import ConfigurationError
from failsoft.settings import load_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FAILSOFT_SLACK_TOKEN", "xoxb-abc…"),
        ("FAILSOFT_JIRA_TOKEN", "two\nlines"),
        ("FAILSOFT_LOG_LEVEL", "LOUD"),
        ("FAILSOFT_CONCURRENCY", "0"),
        ("FAILSOFT_TIMING__LEASE", "-5"),
        ("FAILSOFT_TIMING__LEASE", "nan"),
        ("FAILSOFT_TIMING__LEESE", "3"),
        ("FAILSOFT_TIMING", "abc"),
        ("FAILSOFT_LIMITS", "abc"),
    ],
)
def test_a_wrong_value_is_named_and_never_shown(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert (
        variable.partition("__")[0].removeprefix("FAILSOFT_").lower() in str(refused.value).lower()
    )
    assert "xoxb" not in str(refused.value)


def test_a_heartbeat_must_fit_twice_into_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILSOFT_TIMING__HEARTBEAT", "15")
    with pytest.raises(ConfigurationError, match="twice into a lease"):
        load_settings()


def test_the_line_end_of_a_token_from_a_file_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILSOFT_JIRA_TOKEN", "token-from-a-file\n")
    token = load_settings().jira_token
    assert token is not None
    assert token.get_secret_value() == "token-from-a-file"


def test_one_time_can_be_set_beside_those_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILSOFT_PROFILE", "sandbox")
    monkeypatch.setenv("FAILSOFT_TIMING__LEASE", "7")
    timing = load_settings().timing
    assert (timing.lease, timing.send) == (7.0, 2.0)


@pytest.mark.parametrize("variable", ["FAILSOFT_CONTACTS", "FAILSOFT_WEBHOOKS", "FAILSOFT_TIMING"])
def test_a_group_that_is_no_json_is_named_by_its_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "x-secret")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"{variable}: ")
    assert "x-secret" not in str(refused.value)
