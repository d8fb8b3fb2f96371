"""The scaffold is small, whole, and never in anybody's way."""

import ast
from pathlib import Path

import pytest

from failsoft.cli.new import FILES, TEMPLATES, write
from failsoft.errors import UsageError


def test_the_scaffold_has_at_most_sixty_lines_of_python(tmp_path: Path) -> None:
    python = [path for path in write("my_agent", tmp_path) if path.suffix == ".py"]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in python) <= 60


def test_the_name_is_everywhere_where_the_template_says_my_agent(tmp_path: Path) -> None:
    for path in write("parcel_desk", tmp_path):
        text = path.read_text("utf-8")
        assert "my_agent" not in text
        assert "my-agent" not in text
        if path.suffix == ".py":
            ast.parse(text)


def test_every_template_is_used() -> None:
    assert sorted(file.name for file in TEMPLATES.iterdir()) == sorted(FILES.values())


@pytest.mark.parametrize(
    "name", ["", "9lives", "my-agent", "a.b", "../up", "class", "größe", "x\n"]
)
def test_a_name_that_no_package_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a package"):
        write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["json", "failsoft", "tests"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another package"):
        write(name, tmp_path)


@pytest.mark.parametrize("there", ["my_agent", "tests/test_my_agent.py"])
def test_nothing_is_overwritten_or_half_written(there: str, tmp_path: Path) -> None:
    path = tmp_path / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine", "utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="there already"):
        write("my_agent", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert path.read_text("utf-8") == "mine"
