"""The scaffold is small, whole, and never in anybody's way."""

import ast
from pathlib import Path

import pytest

from failsoft.agents.load import load_graph
from failsoft.cli.new import SHAPES, TEMPLATES, files_of, write
from failsoft.errors import UsageError


@pytest.mark.parametrize("shape", SHAPES)
def test_the_agent_has_at_most_sixty_lines_of_python(tmp_path: Path, shape: str) -> None:
    write("my_agent", tmp_path, shape)
    python = (tmp_path / "my_agent").glob("*.py")
    assert sum(len(path.read_text("utf-8").splitlines()) for path in python) <= 60


@pytest.mark.parametrize("shape", SHAPES)
def test_the_scaffold_is_a_graph_that_compiles(
    tmp_path: Path, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"scaffold_of_{shape.replace('-', '_')}"
    write(name, tmp_path, shape)
    monkeypatch.chdir(tmp_path)
    assert load_graph(f"{name}.graph:graph").agent == name.replace("_", "-")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_name_is_everywhere_where_the_template_says_my_agent(
    tmp_path: Path, shape: str
) -> None:
    for path in write("parcel_desk", tmp_path, shape):
        text = path.read_text("utf-8")
        assert "my_agent" not in text
        assert "my-agent" not in text
        if path.suffix == ".py":
            ast.parse(text)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_template_is_used(shape: str) -> None:
    folder = TEMPLATES.joinpath(shape.replace("-", "_"))
    assert sorted(file.name for file in folder.iterdir()) == sorted(files_of(shape).values())


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
