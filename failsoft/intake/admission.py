"""The one way in: admit or list, and only then may the source be told so."""

from dataclasses import dataclass, replace
from typing import Self

from failsoft.checkpoints.cursors import Cursor
from failsoft.checkpoints.runs import JOINED, Admission, Runs
from failsoft.events import Event, Ignored
from failsoft.graphs.resilient_graph import ResilientGraph
from failsoft.nodes.policy import Replies

HOUR = 3600.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Reception:
    """Where every door of an agent brings what came in.

    Whatever `admit` returned for is on disk: only then may a source be acknowledged. It may be
    called any number of times with the same thing.
    """

    runs: Runs
    agent: str
    lane: str
    replies: Replies = Replies.LIST

    @classmethod
    def of(cls, graph: ResilientGraph, runs: Runs) -> Self:
        return cls(runs=runs, agent=graph.agent, lane=graph.lane, replies=graph.replies)

    async def admit(self, event: Event | Ignored, *, dry_run: bool = False) -> Admission | Ignored:
        """Make an event durable, whatever door it came through; what starts nothing is listed.

        Raises:
            UnavailableError: the database is away; nothing was written, so acknowledge nothing.
        """
        if isinstance(event, Ignored):
            await self.runs.ignore(self.agent, event)
            return event
        root = await self.runs.root_of(self.agent, event)
        listed = root is not None and self.replies is Replies.LIST
        if root and listed and await self.runs.join(self.agent, event, root):
            return Ignored(key=event.key, reason=JOINED)
        # Which run it joins, and how many came, is found here, whatever the event says of itself.
        event = replace(event, joins=str(root) if root and not listed else None)
        event = await self._counted(event)
        taken = await self.runs.admit(self.agent, self.lane, event, dry_run=dry_run)
        if taken.new:
            await self.runs.ring()
        return taken

    def cursor(self, door: str) -> Cursor:
        """Return how far the door of that name has read."""
        return Cursor(database=self.runs.database, agent=self.agent, door=door)

    async def _counted(self, event: Event) -> Event:
        """Note how many events of this sender came within the hour before."""
        facts = {name: fact for name, fact in event.facts.items() if name != "recent"}
        if event.sender is not None:
            facts["recent"] = await self.runs.recent(self.agent, event.sender, HOUR)
        return replace(event, facts=facts)
