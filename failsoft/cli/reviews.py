"""failsoft reviews: the questions that wait for a person, and their answers."""

import asyncio
import getpass
import json
import os
import shlex
from dataclasses import asdict

import click

from failsoft.checkpoints.database import connect
from failsoft.checkpoints.reviews import Review, ReviewState
from failsoft.checkpoints.store import Store
from failsoft.cli.private_sandbox import in_sandbox
from failsoft.cli.table import indented, show_facts, show_json, show_table, when
from failsoft.errors import InvalidDataError, UsageError
from failsoft.parsing import JSON, clean_text, parse_json, parse_object
from failsoft.settings import load_settings

CHOICES = ("accept", "respond", "edit", "retry", "undo", "ignore")
SILENT = {"accept", "retry", "undo", "ignore"}  # answers that say all by themselves
COLUMNS = ("review", "state", "node", "kind", "until", "run", "text")
MEANINGS = {
    "accept": "go on",
    "edit": "write this instead",
    "retry": "try it again, with fresh attempts",
    "undo": "take back what the writes before it did, and end here",
    "ignore": "end here, write nothing",
}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


@click.group("reviews")
def command() -> None:
    """List, show and answer the questions that wait for a person."""


@command.command("list")
@click.option("--all", "every", is_flag=True, help="Answered and expired ones too.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(limit: int, *, every: bool, as_json: bool) -> None:
    """List open reviews, the most urgent first."""
    reviews = asyncio.run(_list(tuple(ReviewState) if every else (ReviewState.OPEN,), limit))
    if as_json:
        show_json([asdict(review) for review in reviews])
    else:
        show_table(COLUMNS, [_columns(each) for each in reviews], empty="Nobody is asked anything.")


@command.command()
@click.argument("review_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(review_id: str, *, as_json: bool) -> None:
    """Show a review: the source text, what would be written, and how to answer."""
    review = asyncio.run(_get(review_id))
    if as_json:
        show_json({**asdict(review), "answers": answers(review)})
    else:
        _show(review)


@command.command()
@click.argument("review_id", metavar="ID")
@click.option("--choice", required=True, type=click.Choice(CHOICES))
@click.option("--value", help="JSON or text: the label, the id that was found, the edited request.")
@click.option("--by", default=_user, help="Who answers; default: you.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decide(review_id: str, choice: str, value: str | None, by: str, *, as_json: bool) -> None:
    """Answer a review; the first answer counts, and wakes the run."""
    review, working = asyncio.run(_decide(review_id, choice, value, by))
    if as_json:
        show_json(asdict(review))
        return
    click.echo(f"{review.review_id} is answered: {choice}, by {clean_text(by)}.")
    if not working:
        drives = "the same `failsoft run` is repeated" if in_sandbox() else "`failsoft worker` runs"
        click.echo(f"No worker is alive: the run goes on when {drives}.")


def answers(review: Review) -> dict[str, str]:
    """Return the command for each allowed answer."""
    start = f"failsoft reviews decide {review.review_id} --choice"
    return {choice: f"{start} {choice}{_example(review, choice)}" for choice in review.allowed}


def value_of(review: Review, choice: str, given: str | None) -> JSON:
    """Return what a person gave with the answer, in the form that the review asks for.

    Raises:
        UsageError: it does not fit the question.
    """
    if choice in SILENT:
        if given is not None:
            raise UsageError(f"The answer `{choice}` takes no --value.")
        return None
    if given is None:
        raise UsageError(f"The answer `{choice}` needs --value.")
    if choice == "edit":
        try:
            return parse_object(given)
        except InvalidDataError as error:
            raise UsageError(f"--value must be the edited request: {error}") from None
    return _response(review, given)


def _response(review: Review, given: str) -> JSON:
    labels = review.question.get("labels")
    if isinstance(labels, list):
        if given not in labels:
            raise UsageError(f"The label must be one of {', '.join(map(str, labels))}.")
        return given
    if review.transaction_id is not None:
        return clean_text(given)  # the id under which the write was found
    try:
        return parse_json(given)
    except InvalidDataError:
        return clean_text(given)


async def _list(states: tuple[ReviewState, ...], limit: int) -> list[Review]:
    async with connect(load_settings()) as database:
        reviews = Store.of(database).reviews
        return [
            review for state in states for review in await reviews.list(state=state, limit=limit)
        ][:limit]


async def _get(review_id: str) -> Review:
    async with connect(load_settings()) as database:
        return await Store.of(database).reviews.get(review_id)


async def _decide(review_id: str, choice: str, given: str | None, by: str) -> tuple[Review, bool]:
    async with connect(load_settings()) as database:
        store = Store.of(database)
        review = await store.reviews.get(review_id)
        # Of an answer that is not allowed, or late, the store says what is wrong.
        fits = review.state is ReviewState.OPEN and choice in review.allowed
        value = value_of(review, choice, given) if fits else None
        answered = await store.reviews.answer(review_id, choice=choice, value=value, by=by)
        await store.runs.ring()
        return answered, bool(await store.workers.live())


def _columns(review: Review) -> tuple[object, ...]:
    text = str(review.question.get("text", ""))
    return (
        review.review_id,
        review.state,
        review.node,
        review.question.get("kind"),
        when(review.escalate_at),
        str(review.run_id)[:8],
        " ".join(text.split())[:200],
    )


def _show(review: Review) -> None:
    question = review.question
    show_facts(
        {
            "review": review.review_id,
            "state": review.state,
            "run": review.run_id,
            "node": review.node,
            "kind": question.get("kind"),
            "reason": question.get("reason"),
            "write": review.transaction_id,
            "asked": when(review.created_at),
            "until": when(review.escalate_at),
            "answer": json.dumps(review.answer) if review.answer else None,
            "answered by": review.answered_by,
        }
    )
    click.echo("\nsource text")
    click.echo(indented(str(question.get("text", ""))))
    for name in ("request", "classification", "value"):
        if question.get(name):
            click.echo(f"\n{'what would be written' if name == 'request' else name}")
            click.echo(indented(json.dumps(question[name], indent=2, ensure_ascii=False)))
    if review.state is ReviewState.OPEN:
        click.echo("\nanswers")
        for choice, line in answers(review).items():
            click.echo(f"  {line}")
            click.echo(f"      {_meaning(review, choice)}")


def _meaning(review: Review, choice: str) -> str:
    if choice == "accept" and review.question.get("kind") != "approval":
        return "leave it unwritten, and go on"
    if choice != "respond":
        return MEANINGS.get(choice, "")
    labels = review.question.get("labels")
    if isinstance(labels, list):
        return f"the label is one of {', '.join(map(str, labels))}"
    if review.transaction_id is not None:
        return "it is there, under this id"
    return "take this for the result"


def _example(review: Review, choice: str) -> str:
    if choice == "edit":
        return f" --value {shlex.quote(json.dumps(review.question.get('request')))}"
    if choice != "respond":
        return ""
    return " --value LABEL" if review.question.get("labels") else " --value VALUE"
