"""failsoft rules: propose, measure and change the keyword rules of an agent."""

import asyncio
import csv
import io
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from failsoft.cli.table import confirm, show_json, show_table, when
from failsoft.errors import UsageError

if TYPE_CHECKING:
    from failsoft.agents.labelled import Labelled
    from failsoft.agents.suggestion import Suggestion
    from failsoft.checkpoints.examples import Example
    from failsoft.cli.rules_file import RuleFile

COLUMNS = ("id", "when", "label", "instead of", "by", "run", "text")
MANY = 50_000  # examples that are read
NAMED = 5  # rows that a complaint names


@click.group("rules")
def command() -> None:
    """Propose, measure and change the keyword rules of an agent.

    The rules stand in keywords.yaml and classify when no model can. AGENT is a shipped name,
    package.module:attribute, or a folder that holds the file.
    """


@command.command()
@click.argument("agent")
@click.option(
    "--from",
    "sources",
    metavar="CSV",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Columns text and label; several add up. Default: corrections.",
)
@click.option(
    "--max-rules",
    type=click.IntRange(1, 100),
    default=15,
    show_default=True,
    help="For each label.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Below it the rules abstain.",
)
@click.option("--accept", is_flag=True, help="Write the file without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; ask nothing.")
def suggest(
    agent: str, sources: tuple[Path, ...], max_rules: int, precision: float, *, accept: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Propose rules from labelled texts, as a change of keywords.yaml that you accept or not.

    What people wrote in the file stays. The figures are of texts that the rules have not seen.
    """
    from failsoft.agents.folder import folder_of  # noqa: PLC0415  # not for --help
    from failsoft.agents.suggestion import suggest as propose  # noqa: PLC0415
    from failsoft.cli.rules_file import RuleFile  # noqa: PLC0415

    folder = folder_of(agent)
    file = RuleFile.read(folder / "keywords.yaml")
    rows = _known(folder, _rows(agent, sources))
    found = propose(
        file.text, file.keywords, rows, max_rules=max_rules, precision=precision,
        progress=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    _offer(file, found, accept=accept, as_json=as_json)


@command.command()
@click.argument("agent")
@click.option(
    "--from",
    "source",
    metavar="CSV",
    required=True,
    type=click.Path(path_type=Path),
    help="Columns text and label.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(agent: str, source: Path, *, as_json: bool) -> None:
    """Measure the rules of keywords.yaml on labelled texts.

    coverage: the share of a label's texts that get an answer. precision: the share of the answers
    with that label that are right.
    """
    from failsoft.agents.folder import allowed_labels, folder_of  # noqa: PLC0415  # not for --help
    from failsoft.agents.labelled import read_csv  # noqa: PLC0415
    from failsoft.agents.measuring import curve, figures, judge  # noqa: PLC0415
    from failsoft.cli.rules_show import measures, show_measures  # noqa: PLC0415
    from failsoft.nodes.keywords import Keywords  # noqa: PLC0415

    folder = folder_of(agent)
    keywords, rows = Keywords.load(folder), read_csv(source)
    allowed = allowed_labels(folder) or {rule.label for rule in keywords.rules}
    judged = judge(keywords, [row for row in rows if row.label in allowed])
    measured = (*figures(judged, keywords.least), curve(judged))
    unknown = [row for row in rows if row.label not in allowed]
    if as_json:
        strange = [{"line": row.line, "label": row.label} for row in unknown]
        show_json({**measures(*measured), "unknown": strange})
        return
    show_measures(*measured)
    if unknown:
        click.echo(f"\n{_strange(unknown)} They are left out.")


@command.command()
@click.argument("agent")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print all of them as CSV, for --from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def examples(agent: str, limit: int, *, as_csv: bool, as_json: bool) -> None:
    """List what people corrected, the newest first: the examples of the agent's prompt."""
    if as_csv and as_json:
        raise UsageError("Give either --csv or --json.")
    found = asyncio.run(_examples(agent, MANY if as_csv else limit))
    if as_json:
        show_json([asdict(each) for each in found])
    elif as_csv:
        click.echo(_csv(found), nl=False)
    else:
        rows = [_columns(each) for each in found]
        show_table(COLUMNS, rows, empty="Nobody has corrected anything.")


@command.command()
@click.argument("example_id", metavar="ID", type=int)
def forget(example_id: int) -> None:
    """Delete an example: a wrong correction, or a text that must not be kept."""
    asyncio.run(_forget(example_id))
    click.echo(f"Example {example_id} is deleted.")


def _offer(file: "RuleFile", found: "Suggestion", *, accept: bool, as_json: bool) -> None:
    """Show what is proposed, and write it if a person says so."""
    from failsoft.cli.rules_show import facts_of, show_suggestion  # noqa: PLC0415

    diff = file.diff(found.text)
    if not as_json:
        show_suggestion(found, diff)
    accepted = bool(diff) and (accept or (not as_json and _agreed(file.path)))
    if accepted:
        file.replace(found.text)
    if as_json:
        facts = {"file": str(file.path), "diff": diff, "accepted": accepted}
        show_json(facts | facts_of(found))
    elif accepted:
        click.echo(f"wrote {file.path}")


def _rows(agent: str, sources: tuple[Path, ...]) -> "list[Labelled]":
    from failsoft.agents.labelled import Labelled, read_csv  # noqa: PLC0415

    if sources:
        return [row for source in sources for row in read_csv(source)]
    if Path(agent).is_dir():
        raise UsageError("A folder has no examples: give --from CSV, or the agent's name.")
    found = asyncio.run(_examples(agent, MANY))
    if not found:
        raise UsageError(f"Nobody has corrected {agent} yet: give --from CSV.")
    return [Labelled(text=each.text, label=each.label) for each in found]


def _known(folder: Path, rows: "list[Labelled]") -> "list[Labelled]":
    """Return the rows if the agent has their labels.

    Raises:
        UsageError: a label is not in its `schema.json`: no route would lead anywhere.
    """
    from failsoft.agents.folder import allowed_labels  # noqa: PLC0415

    allowed = allowed_labels(folder)
    if allowed is not None and (unknown := [row for row in rows if row.label not in allowed]):
        raise UsageError(f"{_strange(unknown)} The labels are {', '.join(sorted(allowed))}.")
    return rows


def _strange(unknown: "list[Labelled]") -> str:
    """Name rows whose label the agent does not have."""
    named = ", ".join(
        f"{row.label!r} in line {row.line}" if row.line else repr(row.label)
        for row in unknown[:NAMED]
    )
    more = f", and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
    return f"{len(unknown)} rows have a label that the agent does not know: {named}{more}."


def _agreed(path: Path) -> bool:
    """Ask, where somebody is there."""
    if not sys.stdin.isatty():
        click.echo("Nothing was written: --accept takes it.")
        return False
    confirm(f"Write this to {path}?", yes=False)
    return True


async def _examples(agent: str, limit: int) -> "list[Example]":
    from failsoft.agents.load import load_graph  # noqa: PLC0415  # not for --help
    from failsoft.checkpoints.database import connect  # noqa: PLC0415
    from failsoft.checkpoints.store import Store  # noqa: PLC0415
    from failsoft.settings import load_settings  # noqa: PLC0415

    name = load_graph(agent).agent
    async with connect(load_settings()) as database:
        return list(await Store.of(database).examples.list(name, limit=limit))


async def _forget(example_id: int) -> None:
    from failsoft.checkpoints.database import connect  # noqa: PLC0415  # not for --help
    from failsoft.checkpoints.store import Store  # noqa: PLC0415
    from failsoft.settings import load_settings  # noqa: PLC0415

    async with connect(load_settings()) as database:
        await Store.of(database).examples.forget(example_id)


def _columns(each: "Example") -> tuple[object, ...]:
    run = str(each.run_id)[:8] if each.run_id else None
    text = " ".join(each.text.split())[:200]
    return each.example_id, when(each.at), each.label, each.proposed, each.actor, run, text


def _csv(found: "list[Example]") -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["text", "label", "instead_of", "by", "at", "run"])
    for each in found:
        at = each.at.isoformat(timespec="seconds")
        writer.writerow([each.text, each.label, each.proposed, each.actor, at, each.run_id])
    return written.getvalue()
