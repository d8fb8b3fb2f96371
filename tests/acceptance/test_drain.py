"""A worker that is told to stop, and one that was frozen: nobody's run is lost or done twice."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from failsoft.cli.private_sandbox import variables

if TYPE_CHECKING:
    from failsoft.cli.private_sandbox import Place
    from tests.acceptance.conftest import Station

TICKET = "POST /jira/rest/api/3/issue"
SEND = 2.0  # seconds; the sandbox profile
A_LITTLE = 4.0  # seconds; an interpreter with LangChain takes one to end, on a busy machine more
RUNS = 12


async def stopped(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """SIGTERM; return the exit code and the seconds that it took."""
    before = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(process.wait, 20)
    return code, time.monotonic() - before


@pytest.mark.parametrize("answer", ["in time", "never"])
async def test_a_worker_that_is_told_to_stop_gives_its_runs_back(
    answer: str, station: "Station"
) -> None:
    late = 0.5 if answer == "in time" else 60
    await station.reset({"match": TICKET, "kind": "hold", "seconds": late, "times": 8})
    nonces = [(await station.admit())[1] for _ in range(RUNS)]
    with station.cli_worker() as process:
        assert await station.executed(TICKET, 3)
        code, seconds = await stopped(process)
    assert code == 0
    assert seconds <= SEND + A_LITTLE
    states = await station.states()
    assert states["queued"] + states["done"] + states["parked"] == RUNS
    assert not await station.query("SELECT 1 FROM runs WHERE crash_count > 0")
    station.fork_worker()
    await station.all_rest()
    assert (await station.states())["done"] == RUNS
    for nonce in nonces:
        assert len(await station.tickets(nonce)) == 1
    await station.chains_verify()


async def test_a_worker_that_was_declared_gone_stops_driving_and_registers_anew(
    station: "Station",
) -> None:
    await station.reset({"match": TICKET, "kind": "hold", "seconds": 1, "nth": [1]})
    with station.cli_worker() as frozen:
        first, nonce = await station.admit()
        assert await station.executed(TICKET, 1)
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            other = station.fork_worker()

            async def taken_over() -> bool:
                return bool((await station.row(first))["state"] == "done")

            await station.until(taken_over, "the other worker ends the run")
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        name = f"%:{frozen.pid}"
        rows = "SELECT 1 FROM workers WHERE name LIKE %s AND gone_at IS {} NULL"

        async def anew() -> bool:
            return len(await station.query(rows.format(""), name)) == 1

        await station.until(anew, "the frozen worker is back under a new id")
        assert len(await station.query(rows.format("NOT"), name)) == 1
        await station.kill(other)
        second, later = await station.admit()
        await station.all_rest()
    for run_id, text in ((first, nonce), (second, later)):
        assert (await station.row(run_id))["state"] == "done"
        assert len(await station.tickets(text)) == 1
    assert len((await station.world())["slack"]["messages"]) == 2
    await station.chains_verify()


def test_a_worker_ends_with_its_parent(tmp_path: Path, sandboxes: "list[Place]") -> None:
    """A parent that is killed can tell nobody; its end of the pipe closes."""
    command = [sys.executable, "-m", "failsoft.cli.main", "worker", "slack-jira", "--with-parent"]
    place = sandboxes[0]
    with tempfile.TemporaryDirectory(prefix="failsoft-") as home:
        Path(home).chmod(0o711)
        own = {"FAILSOFT_HOME": home}
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | variables(place.url, place.smtp) | own,
            cwd=tmp_path,
        ) as worker:
            assert worker.stdin is not None
            assert worker.stderr is not None
            said = worker.stderr.readline()
            worker.stdin.close()
            assert worker.wait(20) == 0
    assert b"working on" in said
