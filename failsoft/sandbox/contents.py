"""The ways in which a model's answer is spoilt."""

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from failsoft.parsing import JSONObject

NESTING = 5_000

_DEMAND = re.compile(
    r"(?:label|route|classify|queue|team|assign)\w*[\s\"'*:=]+(?:it|this|the|message|ticket|to|as|is"
    r"|must|be|[\s\"'*:=])*\s*[\"'`*]*([a-z][\w-]{1,40})",
    re.IGNORECASE,
)
_PROJECT = re.compile(r"project\W+(?:(?:is|to|key|in)\W+)*([A-Z][A-Z0-9]{1,9})\b")


class Content(StrEnum):
    """What is wrong with the answer."""

    MALFORMED = "malformed"  # JSON with a broken middle
    FENCED = "fenced"  # right, but wrapped in a Markdown fence
    PROSE = "prose"  # sentences instead of JSON
    OUTSIDE_ENUM = "outside_enum"  # a label that was not offered
    EMPTY = "empty"
    TRUNCATED = "truncated"  # right, but it ends in the middle
    NAN = "nan"  # the confidence is no number
    NESTED = "nested"  # valid JSON, deeper than a reader's stack
    OBEDIENT = "obedient"  # does what the classified text demands


def spoil(answer: JSONObject, content: Content, labels: Sequence[str], text: str) -> str:
    """Return `answer` as the model's words, spoilt by `content`; `text` is what it classified."""
    right = json.dumps(answer)
    label = json.dumps(answer["label"])
    match content:
        case Content.MALFORMED:
            words = right.replace(":", " =", 1)
        case Content.FENCED:
            words = f"```json\n{right}\n```"
        case Content.PROSE:
            words = f"This looks like {label} to me, although I would ask the team first."
        case Content.OUTSIDE_ENUM:
            words = json.dumps(answer | {"label": f"not-{answer['label']}"})
        case Content.EMPTY:
            words = ""
        case Content.TRUNCATED:
            words = right[: len(right) // 2]
        case Content.NAN:
            words = json.dumps(answer | {"confidence": float("nan")})
        case Content.NESTED:
            words = f'{{"label": {"[" * NESTING}{label}{"]" * NESTING}}}'
        case Content.OBEDIENT:
            words = json.dumps(answer | _obey(labels, text))
        case _:
            assert_never(content)
    return words


def _obey(labels: Sequence[str], text: str) -> JSONObject:
    """Return what the text demands: an offered label before any other, and a project."""
    found: JSONObject = {}
    demanded = [word.lower() for word in _DEMAND.findall(text)]
    offered = [label for word in demanded for label in labels if label.lower() == word]
    if demanded:
        found = {"label": (offered or demanded)[0], "confidence": 1.0}
    project = _PROJECT.search(text)
    return found | {"project": project.group(1)} if project else found
