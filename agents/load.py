"""Find an agent by its shipped name, or by `package.module:attribute`."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from langgraph.graph.state import CompiledStateGraph

from failsoft.errors import UnknownAgentError
from failsoft.graphs.resilient_graph import ResilientGraph

SHIPPED = {"slack-jira": "failsoft.agents.slack_jira.graph:graph"}


def load_graph(name: str) -> ResilientGraph:
    """Return the graph that `name` stands for, not yet compiled with a checkpointer.

    The attribute may be a ResilientGraph, what `compile()` made of one, or a function without
    arguments that returns either.

    Raises:
        UnknownAgentError: there is no such name, module or attribute, or it is no such graph.
    """
    path = SHIPPED.get(name, name)
    if ":" not in path:
        shipped = ", ".join(SHIPPED)
        raise UnknownAgentError(
            f"There is no agent {name!r}. Shipped: {shipped}; your own: package.module:attribute."
        )
    module, attribute = path.split(":", 1)
    found = getattr(_import(module), attribute, None)
    if found is None:
        raise UnknownAgentError(f"The module {module} has no attribute {attribute!r}.")
    return _graph(found, path)


def _import(module: str) -> ModuleType:
    """Import from where the command was given, as `python -m` would."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnknownAgentError(
                f"There is no module {module!r}: is the package installed, or in this folder?"
            ) from None
        raise


def _graph(found: object, path: str) -> ResilientGraph:
    made = found() if callable(found) and not isinstance(found, CompiledStateGraph) else found
    graph = made.builder if isinstance(made, CompiledStateGraph) else made
    if not isinstance(graph, ResilientGraph):
        raise UnknownAgentError(f"{path} is {type(graph).__name__}, not a ResilientGraph.")
    return graph
