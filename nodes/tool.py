"""Any callable that reads or computes, with a time-out, and a second one for when it fails."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langgraph.runtime import Runtime

from failsoft.errors import PermanentError, ToolTimeoutError, TransientError
from failsoft.nodes.context import Context, services_of
from failsoft.nodes.failures import PASS_THROUGH, judge, note_of
from failsoft.nodes.state import Record, RunState
from failsoft.nodes.verb import Step, Verb
from failsoft.parsing import JSON

Work = Callable[[RunState], Awaitable[Any] | Any]  # JSON

TIMEOUT = 30.0  # seconds


@dataclass(kw_only=True)
class Tool(Verb):
    """Transient errors go to retry_tool; a refusal goes to the second tool, then to a person.

    `call` returns JSON. It must only read or compute: it may run more than once. `result_key` lets
    a second tool leave its result where the first one would have.
    """

    call: Work
    timeout: float = TIMEOUT  # seconds
    fallback: str = ""
    result_key: str = ""

    def key(self, state: RunState) -> str:
        name = self.result_key or self.name
        return f"{name}/{state['item']}" if "item" in state else name

    async def work(self, state: RunState, runtime: Runtime[Context]) -> Step:
        record = self.record(state)
        if "result" in record:
            return self.onward(state)
        try:
            result = await self.perform(state, runtime)
        except TransientError as error:
            return self.hand_over(state, {**record, "error": note_of(error)}, "retry_tool")
        except PermanentError as error:
            return self.refused(state, {**record, "error": note_of(error)})
        return self.onward(state, {**record, "error": None, "result": result})

    async def perform(self, state: RunState, runtime: Runtime[Context]) -> JSON:
        """Call once, behind the gate, for at most `timeout` seconds.

        Raises:
            TransientError: trying again may help.
            PermanentError: it will not.
        """
        services, limit = services_of(runtime), asyncio.timeout(self.timeout)
        try:
            async with services.passing(f"tool:{self.name}", within=self.timeout), limit:
                result: JSON = await self.called(state)
                return result
        except PASS_THROUGH:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise ToolTimeoutError(self.name, self.timeout) from error
            raise judge(error, self.name) from error

    async def called(self, state: RunState) -> Any:  # noqa: ANN401  # whatever the user returns
        """Run a plain function in a thread: it would hold up every other run and the heartbeat.

        A thread cannot be stopped, so after a time-out it works on; a tool only reads.
        """
        if inspect.iscoroutinefunction(inspect.unwrap(self.call)):
            return await self.call(state)
        made = await asyncio.to_thread(self.call, state)
        return await made if inspect.isawaitable(made) else made

    def refused(self, state: RunState, record: Record) -> Step:
        if not self.fallback:
            return self.ask(state, record)
        return self.again(state, Record(of=record["of"]), self.fallback)

    @property
    def spent(self) -> str:
        return self.fallback or "notify_human"

    @property
    def ends(self) -> tuple[str, ...]:
        ends = (self.next, "retry_tool", "notify_human")
        return (*ends, self.fallback) if self.fallback else ends
