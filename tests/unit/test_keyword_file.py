"""Learned rules are written into keywords.yaml; what people wrote in it stays as it is."""

import difflib
from pathlib import Path

import pytest

from failsoft.agents.keyword_file import with_learned
from failsoft.agents.learning import Learned
from failsoft.cli.rules_file import RuleFile
from failsoft.errors import InvalidDataError, UsageError
from failsoft.nodes.keywords import Keywords, Rule

BY_HAND = """\
# what we know
outage:   # loud
  any:
    - is down   # since 2019
  # not yet: slow
  all:
    - [api, error]

# money
billing:
  any: [invoice, "503"]
"""


def learned(label: str, *words: str, points: float = 0.75, in_order: bool = False) -> Learned:
    rule = Rule(label=label, words=words, in_order=in_order, learned=points)
    return Learned(rule=rule, hits=10, right=9)


def read(folder: Path, text: str) -> Keywords:
    (folder / "keywords.yaml").write_text(text, "utf-8", newline="")
    return Keywords.load(folder)


def removed(old: str, new: str) -> list[str]:
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    return [line for line in lines if line.startswith("- ")]


def test_what_a_person_wrote_stays_to_the_letter(tmp_path: Path) -> None:
    new = with_learned(BY_HAND, {"outage": [learned("outage", "shop", "dead")]}, 0.4)
    assert removed(BY_HAND, new) == []
    assert "    shop + dead: 0.75  # 9 of 10\n  least: 0.4\n\n# money\n" in new
    assert len(read(tmp_path, new).rules) == len(read(tmp_path, BY_HAND).rules) + 1


@pytest.mark.parametrize(
    "words",
    [("503",), ("yes",), ("null",), ("1e3",), ("don't",), ("grösse",), ("保存",), ("é", "0x1f")],
    ids=" ".join,
)
def test_every_rule_is_read_back_as_it_was(words: tuple[str, ...], tmp_path: Path) -> None:
    each = [learned("a: b", *words, in_order=True), learned("a: b", "x", *words)]
    keywords = read(tmp_path, with_learned("", {"a: b": each}, 0.25))
    assert list(keywords.rules) == [one.rule for one in each]
    assert keywords.least == {"a: b": 0.25}


def test_the_next_proposal_replaces_the_last_one() -> None:
    first = with_learned(BY_HAND, {"billing": [learned("billing", "vat")]}, 0.4)
    again = with_learned(first, {"billing": [learned("billing", "tax")]}, None)
    assert "vat" not in again
    assert "least" not in again
    assert with_learned(again, {"billing": [learned("billing", "vat")]}, 0.4) == first


def test_labels_without_new_rules_keep_their_old_ones() -> None:
    first = with_learned(BY_HAND, {"billing": [learned("billing", "vat")]}, 0.4)
    assert removed(first, with_learned(first, {"outage": [learned("outage", "dead")]}, 0.3)) == []


def test_a_new_label_comes_last_and_a_missing_line_end_is_added(tmp_path: Path) -> None:
    new = with_learned(BY_HAND.rstrip(), {"access": [learned("access", "vpn")]}, None)
    keywords = read(tmp_path, new)
    assert [rule.label for rule in keywords.rules][-2:] == ["billing", "access"]


def test_line_ends_of_windows_stay(tmp_path: Path) -> None:
    new = with_learned(BY_HAND.replace("\n", "\r\n"), {"outage": [learned("outage", "dead")]}, 0.4)
    assert new.count("\n") == new.count("\r\n")
    assert read(tmp_path, new).least == {"outage": 0.4}


@pytest.mark.parametrize("text", ["{a: {any: [x]}}\n", "a: {any: [x]}\n"])
def test_a_form_that_cannot_be_changed_line_by_line_is_refused(text: str) -> None:
    with pytest.raises(InvalidDataError, match=r"without \{\}"):
        with_learned(text, {"a": [learned("a", "y")]}, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: {learned: [x]}", "must give points"),
        ("a: {learned: {x: 0}}", "no points"),
        ("a: {learned: {x: .inf}}", "number from 0 up"),
        ("a: {learned: {x: yes}}", "number from 0 up"),
        ("a: {learned: {x: -1}}", "number from 0 up"),
        ("a: {learned: {503: 1}}", "without a word"),
        ("a: {any: [x], least: 1.5}", "from 0 to 1"),
        ("a: {any: [x], most: 1}", "nothing else"),
    ],
)
def test_learned_rules_of_another_form_are_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=says):
        read(tmp_path, text)


def test_a_file_that_somebody_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(BY_HAND, "utf-8")
    file = RuleFile.read(path)
    path.write_text("mine: {any: [x]}\n", "utf-8")
    with pytest.raises(UsageError, match="changed in between"):
        file.replace(BY_HAND)
    assert path.read_text("utf-8") == "mine: {any: [x]}\n"


def test_what_is_no_file_of_rules_replaces_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(BY_HAND, "utf-8")
    with pytest.raises(InvalidDataError):
        RuleFile.read(path).replace("outage: 1\n")
    assert [each.name for each in tmp_path.iterdir()] == ["keywords.yaml"]
    assert path.read_text("utf-8") == BY_HAND


def test_a_link_stays_a_link_and_its_file_keeps_its_rights(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "keywords.yaml"
    real.write_text(BY_HAND, "utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    RuleFile.read(link).replace(BY_HAND + "access:\n  any: [vpn]\n")
    assert link.is_symlink()
    assert real.read_text("utf-8").endswith("access:\n  any: [vpn]\n")
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("text", ["", "\n\n", "# rules come later\n", "  # a\r\n\r\n"])
def test_a_file_that_says_nothing_has_no_rules_and_can_be_written(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(text, "utf-8", newline="")
    file = RuleFile.read(path)
    assert (file.text, file.keywords.rules) == (text, ())
    file.replace("billing:\n  any: [invoice]\n")
    assert [str(rule) for rule in RuleFile.read(path).keywords.rules] == ["invoice"]
