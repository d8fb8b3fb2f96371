"""Starts workers quickly: imports failsoft once, then forks a worker for every line it reads.

The children run the code of `failsoft worker` (failsoft.cli.worker.work) and are killed -9 one by
one. This process has no thread, no event loop and no connection, so a fork copies none. A program,
not a test module: `python zygote.py`, one JSON order a line on standard input, one pid a line back.
"""

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading
from typing import Any, NoReturn


def main() -> None:
    import failsoft.workers.worker  # noqa: F401 - what a worker would import at its start
    from failsoft.agents.load import load_graph
    from failsoft.cli.private_sandbox import variables
    from failsoft.connectors.models import ChatModel
    from failsoft.settings import load_settings

    os.environ |= variables("http://127.0.0.1:9")
    ChatModel(str(load_settings().model), load_settings())  # for the sake of its imports
    load_graph("slack-jira")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel takes dead children away at once
    children = []
    while line := sys.stdin.readline():
        if threading.active_count() != 1:
            sys.exit("a fork would copy a thread")
        child = os.fork()
        if child == 0:
            live(json.loads(line))
        children.append(child)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def live(order: dict[str, Any]) -> NoReturn:
    """Be one worker until told to stop."""
    from failsoft.cli.environment import prepare
    from failsoft.cli.worker import work
    from failsoft.settings import load_settings

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    try:
        prepare(dsn=None, home=None, verbose=False)
        asyncio.run(work(order["agents"], load_settings()))
    except BaseException:  # noqa: BLE001 - nothing may get back into the parent's loop
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
