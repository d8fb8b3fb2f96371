"""Wait without holding a worker: a short wait sleeps in place, a longer one parks the run."""

from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from failsoft.nodes.context import Context, services_of
from failsoft.nodes.state import Call
from failsoft.nodes.verb import Step, enter

SHORT = 2.0  # seconds


async def wait(call: Call, runtime: Runtime[Context]) -> Step:
    """Go back to the node that asked, not before its time."""
    clock = services_of(runtime).clock
    due_at = call["record"]["not_before"]
    left = due_at - clock.now()
    if left > SHORT:
        # A tick is given only when the database's clock says that it is due. Asking our own clock
        # again would park the run in a circle wherever that one is behind.
        interrupt({"kind": "timer", "due_at": due_at, "node": call["asking"]})
    elif left > 0:
        await clock.sleep(left)
    return Command(goto=enter(call["asking"], call))
