"""Write learned rules into the text of a `keywords.yaml`; what people wrote in it stays."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from failsoft.agents.learning import Learned
from failsoft.errors import InvalidDataError

OURS = ("learned", "least")  # the keys of a label that are written by us
NOTE = "# by `failsoft rules suggest`, which replaces it"
WIDE = 1_000  # characters: no line is folded


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """The lines of a label: the `last` one, and those in `ours` that we wrote."""

    last: int
    indent: int
    ours: frozenset[int]


def with_learned(text: str, learned: Mapping[str, Sequence[Learned]], least: float | None) -> str:
    """Return the text with the learned rules of each label in the place of its earlier ones.

    Each rule has a comment that says how often it is right. Labels that are not in `learned` stay
    as they are.

    Raises:
        InvalidDataError: the file's form is not what can be changed line by line.
    """
    spans = _spans(text)
    dropped: set[int] = set()
    added: dict[int, Iterable[str]] = {}
    for label in learned.keys() & spans.keys():
        span = spans[label]
        dropped |= span.ours
        added[span.last] = _block(learned[label], least, " " * span.indent)
    end = "\r\n" if "\r\n" in text else "\n"
    kept: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True)):
        if number not in dropped:
            kept.append(line if line.endswith(("\n", "\r")) else line + end)
        kept += [f"{new}{end}" for new in added.get(number, ())]
    for label in sorted(learned.keys() - spans.keys()):
        new = (f"{_scalar(label)}:", *_block(learned[label], least, "  "))
        kept += [f"{line}{end}" for line in new]
    return "".join(kept)


def _block(learned: Sequence[Learned], least: float | None, indent: str) -> Iterator[str]:
    yield f"{indent}learned: {NOTE}"
    for each in learned:
        evidence = f"# {each.right} of {each.hits}"
        yield f"{indent}  {_scalar(str(each.rule))}: {each.rule.points:g}  {evidence}"
    if least is not None:
        yield f"{indent}least: {least:g}"


def _scalar(text: str) -> str:
    """Return a text as YAML writes it on one line, quoted where it must be."""
    dumped: str = yaml.safe_dump(text, allow_unicode=True, width=WIDE)
    return dumped.removesuffix("...\n").rstrip("\n")


def _spans(text: str) -> dict[str, _Span]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise InvalidDataError("keywords.yaml needs each label on lines of its own, without {}.")
    return {key.value: _span(key, value) for key, value in root.value}


def _span(key: yaml.Node, value: yaml.Node) -> _Span:
    if not isinstance(value, yaml.MappingNode) or value.flow_style or not value.value:
        raise InvalidDataError(
            f"keywords.yaml, line {key.start_mark.line + 1}: give each key of {key.value!r} a line "
            "of its own, without {}: then rules can be added."
        )
    ours = {
        line
        for name, held in value.value
        if name.value in OURS
        for line in range(name.start_mark.line, _last(held) + 1)
    }
    return _Span(
        last=_last(value),
        indent=value.value[0][0].start_mark.column,
        ours=frozenset(ours),
    )


def _last(node: yaml.Node) -> int:
    """Return the last line of a node; the parser's own end of a block is where the next begins."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _last(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return _last(node.value[-1])
    end: int = node.end_mark.line
    return end - 1 if node.end_mark.column == 0 and end > node.start_mark.line else end
