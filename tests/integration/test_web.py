"""What is served at all: doors whose secret is set, health, and how errors are told."""

import pytest

from failsoft.agents.load import load_graph
from failsoft.checkpoints.database import Database
from failsoft.errors import ConfigurationError
from failsoft.intake.admission import Reception
from failsoft.settings import Settings
from failsoft.web.app import build_app
from failsoft.web.serving import Serving
from tests.integration.served import TOKEN, serving, with_secrets

CLOSED = {
    "slack_signing_secret": None, "slack_old_signing_secret": None, "mail_token": None,
    "answer_secret": None,
}  # fmt: skip
KNOWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    del settings  # it has set the environment
    return with_secrets(monkeypatch)


def without(settings: Settings, *names: str) -> Settings:
    return settings.model_copy(update={name: CLOSED[name] for name in names})


async def test_without_any_secret_there_is_nothing_to_serve(
    own_settings: Settings, database: Database
) -> None:
    bare = Serving.of([load_graph("slack-jira")], database, without(own_settings, *CLOSED))
    with pytest.raises(ConfigurationError, match="FAILSOFT_MAIL_TOKEN"):
        build_app(bare)


@pytest.mark.parametrize(
    ("closed", "path"),
    [
        (("slack_signing_secret", "slack_old_signing_secret"), "/slack/events"),
        (("slack_signing_secret", "slack_old_signing_secret"), "/slack/interactive"),
        (("mail_token",), "/mail"),
        (("answer_secret",), "/reviews/aaaaaaaaaaaa"),
    ],
)
async def test_without_its_secret_a_door_is_not_there(
    own_settings: Settings, database: Database, closed: tuple[str, ...], path: str
) -> None:
    async with serving(own_settings, database) as served:
        assert (await served.http.post(path, content=b"{}")).status_code in {400, 401}
    async with serving(without(own_settings, *closed), database) as served:
        assert (await served.http.post(path, content=b"{}")).status_code == 404


async def test_ready_says_what_is_open(own_settings: Settings, database: Database) -> None:
    async with serving(own_settings, database) as served:
        assert (await served.http.get("/healthz")).status_code == 200
        answer = await served.http.get("/readyz")
    assert (answer.status_code, answer.json()["agents"]) == (200, ["slack-jira"])
    assert {"/slack/events", "/slack/interactive", "/mail", "/reviews/{review_id}"} <= set(
        answer.json()["doors"]
    )


async def test_a_database_that_lacks_a_migration_is_not_ready(
    own_settings: Settings, database: Database
) -> None:
    async with serving(own_settings, database) as served:
        await database.all("DELETE FROM failsoft_migrations WHERE name = '0002_doors.sql'")
        answer = await served.http.get("/readyz")
    assert (answer.status_code, answer.json()["error"]) == (
        503, "The database lacks 0002_doors.sql.",
    )  # fmt: skip


async def test_when_the_database_is_away_the_process_lives_and_is_not_ready(
    own_settings: Settings, dsn: str
) -> None:
    database = Database(dsn, lease=1.0)  # it is never opened
    async with serving(own_settings, database) as served:
        assert (await served.http.get("/healthz")).status_code == 200
        assert (await served.http.get("/readyz")).status_code == 503
        answer = await served.http.post("/mail", content=b"Subject: x\n\nx", headers=KNOWN)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_bug_shows_nothing_of_ours_to_whoever_calls(
    own_settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"a bug that knows {TOKEN}")

    monkeypatch.setattr(Reception, "admit", broken)
    async with serving(own_settings, database) as served:
        answer = await served.http.post("/mail", content=b"Subject: x\n\nx", headers=KNOWN)
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert (await served.http.get("/healthz")).status_code == 200
