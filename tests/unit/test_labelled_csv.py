"""A CSV of labelled texts is read, or refused with the line and what to do."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from failsoft.agents.labelled import Labelled, read_csv
from failsoft.cli.rules import command
from failsoft.errors import FailsoftError, InvalidDataError

GOOD = b"text,label\nthe site is down,outage\nan invoice,billing\n"


def written(folder: Path, raw: bytes) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(raw)
    return path


def agent(folder: Path) -> Path:
    """Make the data files of an agent with two labels."""
    schema = {"properties": {"label": {"enum": ["billing", "outage"]}}}
    (folder / "schema.json").write_text(json.dumps(schema))
    (folder / "keywords.yaml").write_text("outage:\n  any:\n    - is down\n")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])


def refusal(result: Result) -> str:
    assert isinstance(result.exception, FailsoftError)
    return str(result.exception)


@pytest.mark.parametrize(
    "raw",
    [GOOD, b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"),
     b"id,category,text\n1,outage,the site is down\n2,billing,an invoice\n"],
    ids=["plain", "byte order mark", "Windows", "other columns"],
)  # fmt: skip
def test_a_csv_is_read_with_its_lines(raw: bytes, tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, raw)) == [
        Labelled(text="the site is down", label="outage", line=2),
        Labelled(text="an invoice", label="billing", line=3),
    ]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b"text,label\n", "no row"),
        (b"words,label\nx,y\n", "needs the columns"),
        (b"text;label\nx;y\n", "with commas"),
        ("text,label\nüber,y\n".encode("latin-1"), "line 2: this is not UTF-8"),
        ("text,label\nx,y\n".encode("utf-16"), "not UTF-8"),
        (b"text,label\nx\n", "line 2: a text or its label is empty"),
        (b"text,label\n,y\n", "line 2: a text or its label is empty"),
        (b'text,label\n"x,y\n', "line 2"),
        (b"text,label\nx,a\x07b\n", "line 2: this is no label"),
        (b"text,label\n" + b"x" * 200_000 + b",y\n", "line 2"),
        (b"text,label\n" + b"".join(b"x,l%d\n" % n for n in range(301)), "has 301 labels"),
        (b"text,label\n" + b"x,y\n" * 50_001, "more than 50000 rows"),
    ],
    ids=["empty", "header only", "no text", "semicolons", "latin-1", "utf-16", "short row",
         "no words", "open quote", "control", "huge field", "many labels", "many rows"],
)  # fmt: skip
def test_a_csv_of_another_form_is_refused(raw: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=says):
        read_csv(written(tmp_path, raw))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"rows\.csv cannot be read"):
        read_csv(tmp_path / "rows.csv")


def test_rows_of_a_label_without_a_route_are_named_and_teach_nothing(tmp_path: Path) -> None:
    source = written(tmp_path, GOOD + b"my badge,badge\n")
    says = refusal(run("suggest", agent(tmp_path), "--from", source))
    assert "1 rows have a label that the agent does not know: 'badge' in line 4." in says
    assert "billing, outage" in says


def test_an_evaluation_names_rows_of_unknown_labels_and_leaves_them_out(tmp_path: Path) -> None:
    source = written(tmp_path, GOOD + b"my badge is down,badge\n")
    told = run("evaluate", agent(tmp_path), "--from", source, "--json")
    facts = json.loads(told.stdout)
    assert facts["unknown"] == [{"line": 4, "label": "badge"}]
    assert (facts["total"]["rows"], facts["total"]["precision"]) == (2, 1.0)
    assert "'badge' in line 4" in run("evaluate", agent(tmp_path), "--from", source).stdout


def rows_of_two() -> bytes:
    lines = [f"{who} has a wrong invoice {n},billing\n{who} says the shop is gone {n},outage\n"
             for n in range(15) for who in ("she", "he")]  # fmt: skip
    return "".join(["text,label\n", *lines]).encode()


def test_nothing_is_written_unless_somebody_accepts(tmp_path: Path) -> None:
    folder, source = agent(tmp_path), written(tmp_path, rows_of_two())
    before = (folder / "keywords.yaml").read_bytes()
    told = run("suggest", folder, "--from", source)
    assert told.exit_code == 0
    assert "+    invoice:" in told.stdout
    assert "--accept takes it" in told.stdout
    assert (folder / "keywords.yaml").read_bytes() == before


def test_an_accepted_proposal_is_in_the_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder, source = agent(tmp_path), written(tmp_path, rows_of_two())
    told = run("suggest", folder, "--from", source, "--accept", "--json")
    facts = json.loads(told.stdout)
    assert facts["accepted"]
    assert facts["rules"]["billing"][0]["precision"] == 1.0
    assert (facts["by_hand"]["named"], facts["total"]["named"]) == (0, 60)
    assert "invoice" in (folder / "keywords.yaml").read_text()
    assert sorted(path.name for path in folder.iterdir()) == [
        "keywords.yaml", "rows.csv", "schema.json",
    ]  # fmt: skip
    measured = json.loads(run("evaluate", folder, "--from", source, "--json").stdout)
    assert measured["total"]["precision"] == 1.0


def test_the_same_data_twice_change_nothing(tmp_path: Path) -> None:
    folder, source = agent(tmp_path), written(tmp_path, rows_of_two())
    run("suggest", folder, "--from", source, "--accept")
    told = run("suggest", folder, "--from", source)
    assert "The file would not change." in told.stdout


def test_a_folder_has_no_examples(tmp_path: Path) -> None:
    assert "give --from CSV" in refusal(run("suggest", agent(tmp_path)))


def test_an_unknown_agent_is_named() -> None:
    assert "There is no agent 'nobody'" in refusal(run("examples", "nobody"))
