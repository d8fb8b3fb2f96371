"""The Anthropic model goes through our HTTP client. Opt-in: its extra must be installed."""

import asyncio

import pytest

from failsoft.connectors.models import ChatModel
from failsoft.errors import FailsoftError
from failsoft.settings import Settings

pytest.importorskip("langchain_anthropic", reason="pip install 'failsoft[anthropic]'")


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    asked: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(65536))
        writer.close()

    async def here(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        place = f"http://127.0.0.1:{port}/v1/messages"
        writer.write(
            f"HTTP/1.1 307 Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    server = await asyncio.start_server(here, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = Settings.model_validate(
        {
            "profile": "sandbox",
            "model": "anthropic:claude-x",
            "model_base_url": url,
            "model_api_key": "canary-key",
        }
    )
    model = ChatModel("anthropic:claude-x", settings)
    async with server, other:
        with pytest.raises(FailsoftError):
            await model.ask([("user", "hello")], within=3)
    await model.close()
    assert asked == []
