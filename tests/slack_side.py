"""What tests tell the sandbox's Slack: send, click, say."""

import asyncio
from typing import Any

from tests.conftest import Sandbox

SECONDS = 30.0  # for what the sandbox was told, its repeats included


async def tell(sandbox: Sandbox, name: str, **asked: Any) -> dict[str, Any]:
    """Post to `/_sim/slack/<name>`, and return the report."""

    def post() -> dict[str, Any]:
        answer = sandbox.http.post(f"/_sim/slack/{name}", json=asked, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        report: dict[str, Any] = answer.json()
        return report

    return await asyncio.to_thread(post)


async def say(sandbox: Sandbox, text: str, **more: Any) -> str:
    """Let a person say something in C1, and return its ts."""
    said = await tell(sandbox, "messages", **({"channel": "C1", "text": text} | more))
    return str(said["ts"])
