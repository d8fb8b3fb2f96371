"""The folder in which an agent's data files stand: prompt, schema, routes, keyword rules."""

import sys
from pathlib import Path

from failsoft.agents.load import SHIPPED, load_graph
from failsoft.agents.routes import labels_of
from failsoft.errors import UnknownAgentError


def folder_of(name: str) -> Path:
    """Return the folder that `name` is, or that its agent stands in.

    Raises:
        UnknownAgentError: it is neither.
    """
    if Path(name).is_dir():
        return Path(name)
    load_graph(name)
    module = sys.modules[SHIPPED.get(name, name).partition(":")[0]]
    if module.__file__ is None:
        raise UnknownAgentError(f"{name} stands in no file: give the folder of its keywords.yaml.")
    return Path(module.__file__).parent


def allowed_labels(folder: Path) -> set[str] | None:
    """Return the labels of the folder's `schema.json`; None when it has none."""
    path = folder / "schema.json"
    return labels_of(path) if path.exists() else None
