"""What every door is: it reads from one source and brings what came to the reception."""

import asyncio
from abc import ABC, abstractmethod

from failsoft.intake.admission import Reception


class Door(ABC):
    """One way in.

    `name` tells it from the agent's other doors and from what it reads, without a secret: it stands
    in logs, and its cursor is stored under it.
    """

    name: str

    @abstractmethod
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        """Bring in what comes until `stopping` is set; then end what is in hand, and return.

        What came is acknowledged only after `reception.admit` has returned for it.

        Raises:
            UnavailableError: the source, or our database, is away: run it again later.
            ConfigurationError: it can never work as it is set up.
        """
