"""Routes: what the shipped agent's say, and what bad files do."""

import json
import shutil
from pathlib import Path

import pytest

import failsoft.agents.slack_jira
from failsoft.agents.routes import Routes
from failsoft.connectors.jira_routes import JiraRoute
from failsoft.errors import InvalidDataError

HERE = Path(failsoft.agents.slack_jira.__path__[0])
LABELS = ["outage", "bug", "billing", "access", "question", "feature"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped agent's files that may be broken."""
    for name in ("routes.yaml", "schema.json"):
        shutil.copy(HERE / name, tmp_path / name)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_label_leads_to_one_place() -> None:
    assert Routes.load(HERE, JiraRoute)["outage"] == JiraRoute(
        project="OPS",
        issue_type="Incident",
        components=("platform", "on-call"),
        assignee="acc-ops-lead",
        priority="Highest",
    )


def test_the_prompt_lists_the_labels_of_the_schema() -> None:
    schema = json.loads((HERE / "schema.json").read_text(encoding="utf-8"))
    lines = (HERE / "prompt.md").read_text(encoding="utf-8").splitlines()
    assert f"Labels: {', '.join(LABELS)}" in lines
    assert schema["properties"]["label"]["enum"] == LABELS


def test_the_schema_allows_nothing_else_than_label_confidence_and_summary() -> None:
    schema = json.loads((HERE / "schema.json").read_text(encoding="utf-8"))
    assert schema["additionalProperties"] is False
    assert sorted(schema["required"]) == sorted(schema["properties"])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  project: OPS\n", "", "'outage' misses 'project'"),
        ("  priority: Highest", "  priority: Highest\n  queue: x", "an unknown field 'queue'"),
        ("project: OPS", "project: 7", "'outage' needs names, not 7"),
        ("project: OPS", "project: ' '", "'outage' needs names"),
        ("[platform, on-call]", "platform", "`components` of 'outage' must be a list"),
        ("outage:\n", "outage: OPS\nextra:\n", "'outage' must be a mapping"),
    ],
)
def test_a_bad_route_is_refused_with_file_and_label(
    folder: Path, old: str, new: str, problem: str
) -> None:
    replace(folder / "routes.yaml", old, new)
    with pytest.raises(InvalidDataError, match=problem) as caught:
        Routes.load(folder, JiraRoute)
    assert str(folder / "routes.yaml") in str(caught.value)


def test_a_label_without_a_route_is_refused(folder: Path) -> None:
    replace(folder / "schema.json", '"outage"', '"outage", "legal"')
    with pytest.raises(InvalidDataError, match=r"'legal' stands in .*schema\.json but not in"):
        Routes.load(folder, JiraRoute)


def test_a_route_without_a_label_is_refused(folder: Path) -> None:
    replace(folder / "schema.json", '"outage", ', "")
    with pytest.raises(InvalidDataError, match=r"'outage' stands in .*routes\.yaml but not in"):
        Routes.load(folder, JiraRoute)


@pytest.mark.parametrize("schema", ["{}", "[]", '{"properties": {"label": {"type": "string"}}}'])
def test_a_schema_without_labels_is_refused(folder: Path, schema: str) -> None:
    (folder / "schema.json").write_text(schema, encoding="utf-8")
    with pytest.raises(InvalidDataError, match=r"schema\.json"):
        Routes.load(folder, JiraRoute)


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    (folder / "schema.json").unlink()
    with pytest.raises(InvalidDataError, match=r"schema\.json cannot be read"):
        Routes.load(folder, JiraRoute)
