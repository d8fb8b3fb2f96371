"""Where an agent's labels lead: `routes.yaml`, read once and checked against `schema.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from failsoft.connectors.clients import Clients
from failsoft.errors import InvalidDataError
from failsoft.graphs.resilient_graph import Check
from failsoft.parsing import JSON, JSONObject, load_yaml, parse_object


class Route(Protocol):
    """Where one label leads: a frozen dataclass of names. No model chooses any of them."""

    async def check(self, clients: Clients) -> str:
        """Say where it leads.

        Raises:
            ConfigurationError: the other side has not what the route names.
            TransientError: the other side cannot be asked now.
        """


Kind = TypeVar("Kind", bound=Route)


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes(Generic[Kind]):
    """The routes of an agent, by label, in the order of the file."""

    by_label: Mapping[str, Kind]

    def __getitem__(self, label: str) -> Kind:
        return self.by_label[label]

    @property
    def checks(self) -> dict[str, Check]:
        """What a graph takes as its `checks`: every route, looked up on the other side."""
        return {f"route {label}": route.check for label, route in self.by_label.items()}

    @classmethod
    def load(cls, folder: Path, kind: type[Kind], *, extra: frozenset[str] = frozenset()) -> Self:
        """Read `routes.yaml` of an agent's folder.

        `extra` are names that stand in it and are no labels of the model's.

        Raises:
            InvalidDataError: a route misses a field or has an unknown one, or the labels are not
                those of `schema.json`; the message names the file and the label.

        """
        path = folder / "routes.yaml"
        found = {
            label: _route(path, label, value, kind) for label, value in load_yaml(path).items()
        }
        allowed = labels_of(folder / "schema.json") | extra
        for label in sorted(allowed ^ found.keys()):
            has, lacks = (path.name, "schema.json") if label in found else ("schema.json", path)
            raise InvalidDataError(f"{label!r} stands in {has} but not in {lacks}.")
        return cls(by_label=found)


def _route(path: Path, label: str, value: JSON, kind: type[Kind]) -> Kind:
    if not isinstance(value, dict):
        raise InvalidDataError(f"{path}: {label!r} must be a mapping.")
    # Any: a dataclass, which no protocol can demand
    wanted: Any = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    for name in sorted(wanted.keys() ^ value.keys()):
        problem = "misses" if name in wanted else "has an unknown field"
        raise InvalidDataError(f"{path}: {label!r} {problem} {name!r}.")
    return kind(**{name: _read(path, label, name, value[name], of) for name, of in wanted.items()})


def _read(path: Path, label: str, name: str, value: JSON, of: object) -> str | tuple[str, ...]:
    if of is str:
        return _name(path, label, value)
    if not isinstance(value, list):
        raise InvalidDataError(f"{path}: `{name}` of {label!r} must be a list.")
    return tuple(_name(path, label, item) for item in value)


def _name(path: Path, label: str, value: JSON) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidDataError(f"{path}: {label!r} needs names, not {value!r}.")
    return value


def labels_of(path: Path) -> set[str]:
    """Return the labels that an agent's schema allows.

    Raises:
        InvalidDataError: the file cannot be read or names none.

    """
    try:
        schema = parse_object(path.read_bytes())
    except OSError as error:
        raise InvalidDataError(f"{path} cannot be read: {error.strerror}.") from None
    except InvalidDataError as error:
        raise InvalidDataError(f"{path}: {error}") from None
    label = _object(_object(schema, "properties"), "label")
    allowed = label.get("enum")
    if not isinstance(allowed, list) or not allowed:
        raise InvalidDataError(f"{path} has no enum of labels at properties.label.enum.")
    return {str(name) for name in allowed}


def _object(value: JSONObject, key: str) -> JSONObject:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
