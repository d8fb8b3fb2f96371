"""One line of the doctor's: what was looked at, how it is, and what to do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from failsoft.errors import FailsoftError


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line: what was looked at, and what is wrong and what to do."""

    name: str
    health: Health
    detail: str


async def checked(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    """Turn what a look raises into its line."""
    try:
        return Check(name=name, health=Health.OK, detail=await look())
    except FailsoftError as error:
        return Check(name=name, health=Health.WRONG, detail=str(error))
