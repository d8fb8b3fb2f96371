"""What goes wrong, and for which requests.

A fault names its requests by `match`: `"POST /jira/rest/api/3/issue"` is that route and no other,
`"POST /jira/*"` every one that begins so. Without `nth`, `every` or `p` each matching request is
hit, at most `times` of them.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from failsoft.errors import InvalidDataError
from failsoft.sandbox.contents import Content


class Kind(StrEnum):
    """What happens to a request."""

    LATENCY = "latency"  # wait `seconds`, then go on
    STATUS = "status"  # answer `status` without executing
    DROP_BEFORE = "drop_before"  # close the connection without executing
    LATE_COMMIT = "late_commit"  # close the connection now, execute `seconds` later
    CONTENT = "content"  # the model answers with spoilt `content`
    HOLD = "hold"  # execute, keep the answer back for `seconds`: time to kill the caller
    LATENCY_AFTER = "latency_after"  # execute, answer `seconds` later
    STATUS_AFTER = "status_after"  # execute, then answer `status` (a gateway that gave up)
    DROP_AFTER = "drop_after"  # execute, then close the connection without an answer
    MALFORMED = "malformed"  # execute, answer with JSON that ends in the middle
    TRUNCATE = "truncate"  # execute, send half of the promised bytes, close
    SLOW_BODY = "slow_body"  # execute, send the body in small pieces over `seconds`


class Fault(BaseModel):
    """One rule of what goes wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: str = Field(min_length=1)
    kind: Kind
    nth: tuple[int, ...] = ()  # ordinals of matching requests since the reset, from 1
    every: int | None = Field(default=None, ge=1)
    p: float | None = Field(default=None, ge=0, le=1)
    times: int | None = Field(default=None, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    status: int = Field(default=500, ge=200, le=599)
    headers: dict[str, str] = Field(default_factory=dict)
    body: object = None  # any JSON, or text; None: as the real service answers such a status
    content: Content | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum((bool(self.nth), self.every is not None, self.p is not None)) > 1:
            raise ValueError("give one of nth, every and p")
        if (self.kind is Kind.CONTENT) != (self.content is not None):
            raise ValueError("content belongs to the kind content, which needs it")
        return self

    def covers(self, route: str) -> bool:
        """Say whether `route` ("METHOD /path") is meant."""
        return matches(self.match, route)

    def selects(self, ordinal: int, seed: str) -> bool:
        """Say whether the matching request number `ordinal` is hit; `seed` decides for `p`."""
        if self.nth:
            return ordinal in self.nth
        if self.every is not None:
            return ordinal % self.every == 0
        if self.p is not None:
            return random.Random(f"{seed}:{self.match}:{ordinal}").random() < self.p
        return True


_FAULTS = TypeAdapter(list[Fault])


def read_faults(value: object) -> list[Fault]:
    """Read a list of faults as JSON has it.

    Raises:
        InvalidDataError: a fault breaks a rule; the message names its place and field.
    """
    try:
        return _FAULTS.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidDataError(f"{place}: {first['msg']}") from None


def matches(pattern: str, route: str) -> bool:
    """Compare a route with a pattern: exact, or a prefix that ends with `*`."""
    if pattern.endswith("*"):
        return route.startswith(pattern[:-1])
    return route == pattern


@dataclass(kw_only=True)
class FaultPlan:
    """The faults in force and how often each kind occurred."""

    seed: int
    faults: list[Fault] = field(default_factory=list)
    occurred: Counter[Kind] = field(default_factory=Counter)
    _ordinals: Counter[str] = field(default_factory=Counter)  # by match
    _used: Counter[int] = field(default_factory=Counter)  # by place in the list

    def replace(self, faults: Sequence[Fault], arrived: Counter[str]) -> None:
        """Put `faults` in force; `arrived` holds the requests since the reset, by route."""
        self.faults = list(faults)
        self._used.clear()
        self._ordinals = Counter()
        for pattern in {fault.match for fault in faults}:
            self._ordinals[pattern] = sum(
                count for route, count in arrived.items() if matches(pattern, route)
            )

    def strike(self, route: str) -> list[Fault]:
        """Return the faults that hit this request, and count them."""
        for pattern in {fault.match for fault in self.faults if fault.covers(route)}:
            self._ordinals[pattern] += 1
        hits = []
        for place, fault in enumerate(self.faults):
            if self._hits(place, fault, route):
                self._used[place] += 1
                self.occurred[fault.kind] += 1
                hits.append(fault)
        return hits

    def _hits(self, place: int, fault: Fault, route: str) -> bool:
        if not fault.covers(route):
            return False
        if fault.times is not None and self._used[place] >= fault.times:
            return False
        return fault.selects(self._ordinals[fault.match], f"{self.seed}:{place}")
