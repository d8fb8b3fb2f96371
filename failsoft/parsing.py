"""Strict readers for JSON and YAML that come from outside: size, depth, duplicate keys, NaN.

The limits follow the measured input bombs: deep nesting ends in RecursionError, which is no
ValueError; duplicate keys let two readers see two documents; NUL and lone surrogates are refused
by Postgres; YAML aliases expand without bound.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import yaml

from failsoft.errors import InvalidDataError

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
JSONObject: TypeAlias = dict[str, JSON]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_YAML_BYTES = 256 * 1024


def clean_text(text: str) -> str:
    """Return `text` as Postgres and JSON take it: no NUL, no lone surrogate."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def clean_json(value: JSON) -> JSON:
    """Apply `clean_text` to every string and key of a JSON value."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): clean_json(item) for key, item in value.items()}
    return value


def parse_json(
    text: str | bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
) -> JSON:
    """Read one JSON document.

    Raises:
        InvalidDataError: too large, too deep, a duplicate key, NaN or Infinity, or no JSON at all.
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if len(raw) > max_bytes:
        raise InvalidDataError(f"The JSON has {len(raw)} bytes; {max_bytes} are allowed.")
    try:
        value: JSON = json.loads(
            raw, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise InvalidDataError(_too_deep(max_depth)) from None
    except ValueError as error:
        raise InvalidDataError(f"This is not JSON: {error}") from None
    if _depth(value, max_depth) > max_depth:
        raise InvalidDataError(_too_deep(max_depth))
    return clean_json(value)


def parse_object(text: str | bytes, **limits: int) -> JSONObject:
    """Read one JSON document that must be an object."""
    value = parse_json(text, **limits)
    if not isinstance(value, dict):
        raise InvalidDataError(f"A JSON object is needed, not {_kind(value)}.")
    return value


def load_yaml(path: Path) -> JSONObject:
    """Read a YAML data file that holds a mapping: no aliases, no tags, at most 256 KiB."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"{path} cannot be read: {error}") from None
    if len(text) > MAX_YAML_BYTES:
        raise InvalidDataError(f"{path} has {len(text)} characters; {MAX_YAML_BYTES} are allowed.")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InvalidDataError(f"{path} uses a YAML alias (*name): write the value out.")
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: no such date
        raise InvalidDataError(f"{path} is not YAML{_problem(error)}.") from None
    if not isinstance(value, dict):
        raise InvalidDataError(f"{path} must hold a mapping, not {_kind(value)}.")
    return {str(key): item for key, item in value.items()}


def _problem(error: Exception) -> str:
    """Return what the parser found, and where, on one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line = error.problem_mark.line + 1
        return f", line {line}: {error.problem or error.context}"
    if isinstance(error, RecursionError):
        return ": it is nested too deeply"
    return f": {' '.join(str(error).split())}"


def _unique_keys(pairs: list[tuple[str, JSON]]) -> JSONObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _no_constant(name: str) -> JSON:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    """Read a number; 1e999 would become Infinity, which is no JSON and Postgres refuses."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is beyond what a number can be")
    return number


def _depth(value: object, limit: int) -> int:
    """Return the nesting depth, counted no further than one beyond `limit`."""
    layer: list[object] = [value]
    depth = 0
    while layer and depth <= limit:
        depth += 1
        layer = [child for item in layer for child in _children(item)]
    return depth


def _children(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, Mapping) else []


def _too_deep(limit: int) -> str:
    return f"The JSON is nested deeper than {limit} levels."


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
