"""The second agent is small, and what both are built of knows neither by name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "agents" / "email_salesforce"
OUTSIDE = re.compile("slack|jira|salesforce|mail", re.IGNORECASE)


def source_lines(path: Path) -> int:
    """Count what is neither blank nor a comment, as the formatter alone would write it."""
    text = path.read_text("utf-8").replace("# fmt: skip", "")
    command = [str(Path(sys.executable).with_name("ruff")), "format", "--line-length", "100", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    lines = (line.strip() for line in done.stdout.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_the_second_agent_needs_at_most_60_lines_of_graph_and_150_in_all() -> None:
    counts = {path.name: source_lines(path) for path in AGENT.rglob("*.py")}
    assert counts["graph.py"] <= 60, counts
    assert sum(counts.values()) <= 150, counts


@pytest.mark.parametrize("folder", ["nodes", "graphs"])
def test_no_node_or_graph_knows_a_system_outside_by_name(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".sql", ".md"}]
    assert len(files) > 1
    named = {
        f"{path.relative_to(ROOT)}:{number}": line
        for path in files
        for number, line in enumerate([path.name, *path.read_text("utf-8").splitlines()])
        if OUTSIDE.search(line)
    }
    assert named == {}
