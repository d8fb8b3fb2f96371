"""Where an agent's labels lead: `routes.yaml`, read once and checked against `schema.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject, load_yaml, parse_object


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where the tickets of one label go. No model chooses any of this."""

    project: str
    issue_type: str
    components: tuple[str, ...]
    assignee: str
    priority: str


FIELDS = frozenset(field.name for field in fields(Route))


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """The routes of an agent, by label, in the order of the file."""

    by_label: Mapping[str, Route]

    def __getitem__(self, label: str) -> Route:
        return self.by_label[label]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `routes.yaml` of an agent's folder.

        Raises:
            InvalidDataError: a route misses a field or has an unknown one, or the labels are not
                those of `schema.json`; the message names the file and the label.

        """
        path = folder / "routes.yaml"
        found = {label: _route(path, label, value) for label, value in load_yaml(path).items()}
        allowed = _labels(folder / "schema.json")
        for label in sorted(allowed ^ found.keys()):
            has, lacks = (path.name, "schema.json") if label in found else ("schema.json", path)
            raise InvalidDataError(f"{label!r} stands in {has} but not in {lacks}.")
        return cls(by_label=found)


def _route(path: Path, label: str, value: JSON) -> Route:
    if not isinstance(value, dict):
        raise InvalidDataError(f"{path}: {label!r} must be a mapping.")
    for name in sorted(FIELDS ^ value.keys()):
        problem = "misses" if name in FIELDS else "has an unknown field"
        raise InvalidDataError(f"{path}: {label!r} {problem} {name!r}.")
    components = value["components"]
    if not isinstance(components, list):
        raise InvalidDataError(f"{path}: `components` of {label!r} must be a list.")
    return Route(
        project=_name(path, label, value["project"]),
        issue_type=_name(path, label, value["issue_type"]),
        components=tuple(_name(path, label, item) for item in components),
        assignee=_name(path, label, value["assignee"]),
        priority=_name(path, label, value["priority"]),
    )


def _name(path: Path, label: str, value: JSON) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidDataError(f"{path}: {label!r} needs names, not {value!r}.")
    return value


def _labels(path: Path) -> set[str]:
    """Return the labels that an agent's schema allows."""
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
