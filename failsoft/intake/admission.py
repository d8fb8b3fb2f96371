"""The one way in: admit or list, and only then may the source be told so."""

from failsoft.checkpoints.runs import Admission, Runs
from failsoft.events import Event, Ignored
from failsoft.intake.slack import normalise
from failsoft.parsing import JSONObject


async def take_in(
    runs: Runs, agent: str, lane: str, payload: JSONObject, *, own_bot_id: str | None
) -> Admission | Ignored:
    """Make what Slack delivered durable: as a run, or in the list of what starts nothing.

    It may be called any number of times with the same delivery; the workers hear of new runs.

    Raises:
        InvalidEventError: it is nothing that Slack sends; nothing was written.
    """
    return await enter(runs, agent, lane, normalise(payload, own_bot_id=own_bot_id))


async def enter(
    runs: Runs, agent: str, lane: str, event: Event | Ignored, *, dry_run: bool = False
) -> Admission | Ignored:
    """Make an event durable, whatever door it came through; what starts nothing is listed."""
    if isinstance(event, Ignored):
        await runs.ignore(agent, event)
        return event
    taken = await runs.admit_or_join(agent, lane, event, dry_run=dry_run)
    if isinstance(taken, Admission) and taken.new:
        await runs.ring()
    return taken
