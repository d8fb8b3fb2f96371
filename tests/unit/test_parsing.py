"""What comes from outside is read strictly, or refused with a sentence."""

from pathlib import Path

import pytest

from failsoft.errors import InvalidDataError
from failsoft.parsing import clean_text, load_yaml, parse_json, parse_object


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": NaN}', id="NaN"),
        pytest.param('{"a": 1e999}', id="a number that would be Infinity"),
        pytest.param('{"a": 1, "a": 2}', id="a key twice"),
        pytest.param("[" * 100_000, id="a hundred thousand brackets"),
        pytest.param("[" * 40 + "]" * 40, id="deeper than allowed"),
        pytest.param('{"a": ', id="cut off"),
        pytest.param("", id="empty"),
        pytest.param('"' + "x" * 2_000_000 + '"', id="two megabytes"),
    ],
)
def test_json_that_breaks_a_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidDataError):
        parse_json(text)


def test_nul_and_lone_surrogates_are_replaced() -> None:
    assert parse_object('{"a\\u0000": "\\ud800b"}') == {"a\N{REPLACEMENT CHARACTER}": "?b"}
    assert clean_text("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"


def test_an_object_is_no_list() -> None:
    with pytest.raises(InvalidDataError, match="object is needed"):
        parse_object("[1]")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &x [1]\nb: *x", id="alias"),
        pytest.param("- 1", id="list"),
        pytest.param("a: !!python/object/apply:os.system [ls]", id="tag"),
        pytest.param("a: [", id="broken"),
        pytest.param("a: " + "x" * 300_000, id="too large"),
    ],
)
def test_yaml_that_breaks_a_rule_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InvalidDataError, match=r"data\.yaml"):
        load_yaml(tmp_path / "data.yaml")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: 1\nb: [1, 2\nc: 3\n", id="a list without end"),
        pytest.param("a: 1\nb: {c: 3\n  ]\n", id="another bracket"),
        pytest.param("a: 1\n\tb: 2\n", id="a tab"),
        pytest.param("a: 1\nb: *no\u0007pe\n", id="a bell"),
        pytest.param("a: 1\nb: 2001-99-99\n", id="no such date"),
        pytest.param("a: 1\nb: !!python/name:os.system x\n", id="a tag"),
    ],
)
def test_what_is_no_yaml_is_said_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidDataError) as refused:
        load_yaml(path)
    assert "\n" not in str(refused.value)


def test_a_fault_in_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("a: 1\nb: 2\nc: d: e\n", "utf-8")
    with pytest.raises(InvalidDataError, match="line 3: mapping values are not allowed"):
        load_yaml(path)
