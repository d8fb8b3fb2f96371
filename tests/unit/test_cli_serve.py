"""What `failsoft serve` says when it cannot serve."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest
from click.testing import CliRunner

from failsoft.cli.serve import command, serve
from failsoft.errors import ConfigurationError, MissingExtraError
from failsoft.settings import Settings


async def test_two_agents_of_one_name_would_share_an_address() -> None:
    with pytest.raises(ConfigurationError, match="one name"):
        await serve(["slack-jira", "slack-jira"], Settings(), "127.0.0.1", 0)


def test_without_its_packages_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec

    def without_uvicorn(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "uvicorn" else found(name, package)

    monkeypatch.setattr("failsoft.cli.serve.find_spec", without_uvicorn)
    done = CliRunner().invoke(command, ["slack-jira"])
    assert isinstance(done.exception, MissingExtraError)
    assert "failsoft[web]" in str(done.exception)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_wrong_use(port: str) -> None:
    assert CliRunner().invoke(command, ["slack-jira", "--port", port]).exit_code == 2


def test_without_an_agent_there_is_nothing_to_serve() -> None:
    assert CliRunner().invoke(command, []).exit_code == 2
