"""Find an agent by its shipped name, or by `package.module:attribute`."""

import importlib
import inspect
import sys
from pathlib import Path
from types import FunctionType, ModuleType

from langgraph.graph.state import CompiledStateGraph

from failsoft.errors import FailsoftError, UnknownAgentError
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.nodes.failures import describe

SHIPPED = {
    "slack-jira": "failsoft.agents.slack_jira.graph:graph",
    "email-salesforce": "failsoft.agents.email_salesforce.graph:graph",
    "email-to-case": "failsoft.agents.email_salesforce.graph:routing_graph",
}


def load_graph(name: str) -> ResilientGraph:
    """Return the graph that `name` stands for, not yet compiled with a checkpointer.

    The attribute may be a ResilientGraph, what `compile()` made of one, or a function without
    arguments that returns either.

    Raises:
        UnknownAgentError: there is no such name, module or attribute, or it is no such graph.
    """
    path = SHIPPED.get(name, name)
    module, _, attribute = path.partition(":")
    if not (module and attribute) or module.startswith("."):
        shipped = ", ".join(SHIPPED)
        raise UnknownAgentError(
            f"There is no agent {name!r}. Shipped: {shipped}; your own: package.module:attribute."
        )
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
        raise UnknownAgentError(f"Importing {module} failed: {describe(error)}") from error
    except FailsoftError:
        raise
    except Exception as error:
        raise UnknownAgentError(f"Importing {module} failed: {describe(error)}") from error


def _needs_nothing(function: FunctionType) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return all(parameter.default is not parameter.empty for parameter in parameters)


def _called(function: FunctionType, path: str) -> object:
    try:
        return function()
    except FailsoftError:
        raise
    except Exception as error:
        raise UnknownAgentError(f"Calling {path} failed: {describe(error)}") from error


def _graph(found: object, path: str) -> ResilientGraph:
    made = _called(found, path) if inspect.isfunction(found) and _needs_nothing(found) else found
    graph = made.builder if isinstance(made, CompiledStateGraph) else made
    if not isinstance(graph, ResilientGraph):
        raise UnknownAgentError(f"{path} is {type(graph).__name__}, not a ResilientGraph.")
    return graph
