"""SQL in .sql files, as statements with names."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString, cast

STATEMENT = re.compile(r"^-- (\w+): [^\n]*\n(.*?)(?=^-- \w+: |\Z)", re.MULTILINE | re.DOTALL)


@cache
def load(noun: str) -> Mapping[str, LiteralString]:
    """Return the statements of `sql/<noun>.sql` by name.

    A statement is introduced by a line `-- name: what it does`.
    """
    text = files("failsoft.checkpoints").joinpath("sql", f"{noun}.sql").read_text("utf-8")
    found = {match[1]: match[2].strip().removesuffix(";") for match in STATEMENT.finditer(text)}
    # The text comes from our own package, so it is as good as a literal.
    return MappingProxyType(cast("dict[str, LiteralString]", found))
