"""The picture shows the nodes that handle failure."""

import json

import pytest
from click.testing import CliRunner

from failsoft.cli.graph import command

PLUMBING = {"retry_tool", "fallback_classifier", "notify_human"}


def drawn(*options: str) -> str:
    result = CliRunner().invoke(command, ["slack-jira", *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize(
    "edge",
    [
        "classify -.-> retry_tool",
        "classify -.-> fallback_classifier",
        "fallback_classifier -.-> notify_human",
        "create_ticket -.-> retry_tool",
        "create_ticket -.-> notify_human",
        "retry_tool -.-> notify_human",
        "retry_tool -.-> wait",
        "notify_human -.-> create_ticket",
    ],
)
def test_mermaid_shows_the_edges_of_failure(edge: str) -> None:
    assert f"{edge};" in drawn("--mermaid")


def test_the_text_lists_where_each_node_may_go() -> None:
    lines = {line.split("->")[0].strip(): line.split("->")[1] for line in drawn().splitlines()[1:]}
    assert lines.keys() >= PLUMBING | {"START", "classify", "create_ticket"}
    assert {"retry_tool", "notify_human"} <= {end.strip() for end in lines["reply"].split(",")}


def test_both_pictures_are_the_same_each_time() -> None:
    assert drawn("--mermaid") == drawn("--mermaid")
    assert drawn("--ascii") == drawn()


def test_json_names_nodes_edges_and_the_lane() -> None:
    data = json.loads(drawn("--json"))
    assert set(data["nodes"]) >= PLUMBING
    assert {"from": "classify", "to": "retry_tool", "chosen": True} in data["edges"]
    assert data["lane"].startswith("slack-jira@")
