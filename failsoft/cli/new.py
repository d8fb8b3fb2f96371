"""failsoft new: a package of one's own that runs in the sandbox at once."""

import keyword
import sys
from importlib.resources import files
from pathlib import Path

import click

from failsoft.cli.table import show_json
from failsoft.errors import UsageError

TEMPLATES = files("failsoft.cli").joinpath("templates")
PLACEHOLDER = "my_agent"  # the name in the templates
FILES = {
    "{name}/__init__.py": "init.py.txt",
    "{name}/graph.py": "graph.py.txt",
    "{name}/prompt.md": "prompt.md.txt",
    "{name}/schema.json": "schema.json.txt",
    "{name}/routes.yaml": "routes.yaml.txt",
    "{name}/keywords.yaml": "keywords.yaml.txt",
    "tests/test_{name}.py": "test_agent.py.txt",
}
SHAPES = ("slack-jira", "email-salesforce")  # each is a folder of templates
MORE = {"email-salesforce": {"{name}/sample.eml": "sample.eml.txt"}}  # files of one shape only
HINTS = {
    "slack-jira": "--text 'The checkout is down for everyone'",
    "email-salesforce": "--mail {name}/sample.eml",
}
TAKEN = sys.stdlib_module_names | {"failsoft", "tests"}  # importing them would find another one


@click.command("new")
@click.argument("name")
@click.option(
    "--shape",
    type=click.Choice(SHAPES),
    default=SHAPES[0],
    show_default=True,
    help="What comes in and where it goes.",
)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Default: here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, shape: str, folder: Path, *, as_json: bool) -> None:
    """Make a package NAME with an agent of your own, and a test of it.

    Of the shape slack-jira it classifies a message, has a tool with a second one behind it, and
    opens one Jira ticket; of the shape email-salesforce it sorts a mail, opens one Salesforce case
    and thanks the sender. Either runs in the sandbox at once.
    """
    written = write(name, folder, shape)
    agent = f"{name}.graph:graph"
    if as_json:
        show_json({"agent": agent, "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")
    there = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"\nTry it: {there}failsoft run {agent} {HINTS[shape].format(name=name)}")
    click.echo(f"Test it: {there}pytest tests/test_{name}.py")


def write(name: str, folder: Path, shape: str = SHAPES[0]) -> list[Path]:
    """Write the files, and return their paths.

    Raises:
        UsageError: the name is no package name, something is in the way, or it cannot be written.
    """
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
        raise UsageError(f"{name!r} cannot name a package: use letters, digits and _.")
    if name in TAKEN:
        raise UsageError(f"{name!r} is the name of another package: choose your own.")
    texts = {
        folder / path.format(name=name): _filled(shape, template, name)
        for path, template in files_of(shape).items()
    }
    for path in (folder / name, *texts):
        if path.exists():
            raise UsageError(f"{path} is there already: nothing was written.")
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from None
    return list(texts)


def files_of(shape: str) -> dict[str, str]:
    """Return the template of each file that a shape has."""
    return FILES | MORE.get(shape, {})


def _filled(shape: str, template: str, name: str) -> str:
    text = TEMPLATES.joinpath(shape.replace("-", "_"), template).read_text("utf-8")
    dashed = PLACEHOLDER.replace("_", "-")
    return text.replace(PLACEHOLDER, name).replace(dashed, name.replace("_", "-"))
