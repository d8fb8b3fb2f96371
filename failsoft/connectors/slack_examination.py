"""What `failsoft doctor` looks at in Slack: whose token it is, its scopes, the channels to read."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from failsoft.connectors.contract import Finding
from failsoft.errors import RefusedError
from failsoft.parsing import JSONObject

SCOPES = {  # and what we need each for
    "chat:write": "to answer, to post and to show questions to people",
    "channels:history": "to find what we wrote when an answer is lost, and to read after a pause",
    "metadata.message:read": "to see our mark in a message: without it what is there looks absent",
}
USEFUL = {  # needed by some agents only
    "reactions:write": "for Slack.react",
    "groups:history": "for private channels",
}
WHERE = "api.slack.com/apps > OAuth & Permissions > Bot Token Scopes, then install the app again"
CURES = {
    "not_in_channel": "invite the bot there: /invite @the-bot",
    "channel_not_found": "give the id (C…), and invite the bot if the channel is private",
}

Ask = Callable[[str, Mapping[str, str | int | bool]], Awaitable[JSONObject]]


def token(answer: JSONObject, own_bot_id: str | None) -> list[Finding]:
    """Say whose token it is, and whether we would know our own messages again."""
    named = f"{answer.get('user')} in {answer.get('team')} ({answer.get('team_id')})"
    bot_id = answer.get("bot_id")
    if bot_id is None:
        mend = "it is a person's token; take the Bot User OAuth Token (xoxb-)"
        return [Finding(name="token", detail=named, mend=mend)]
    findings = [Finding(name="token", detail=f"{named}, bot {bot_id}")]
    if own_bot_id is not None and own_bot_id != bot_id:
        mend = f"set it to {bot_id}, or our own messages are somebody else's to us"
        found = Finding(name="FAILSOFT_SLACK_BOT_ID", detail=f"is {own_bot_id}", mend=mend)
        findings.append(found)
    return findings


def scopes(header: str | None) -> list[Finding]:
    """Say which scopes are missing, from the header that Slack gives with every answer."""
    if header is None:
        return [Finding(name="scopes", detail="Slack did not tell them")]
    granted = {scope.strip() for scope in header.split(",")}
    findings = [
        Finding(name=scope, detail="is not granted", mend=f"add it, {purpose}: {WHERE}")
        for scope, purpose in SCOPES.items()
        if scope not in granted
    ]
    lacks = [f"{scope} (only {why})" for scope, why in USEFUL.items() if scope not in granted]
    more = f"; not granted: {', '.join(lacks)}" if lacks else ""
    return [Finding(name="scopes", detail=", ".join(sorted(granted)) + more), *findings]


async def channels(ask: Ask, names: Iterable[str]) -> list[Finding]:
    """Read one message of each channel whose history is read after a pause."""
    return [await _channel(ask, name) for name in names]


async def _channel(ask: Ask, name: str) -> Finding:
    try:
        await ask("conversations.history", {"channel": name, "limit": 1})
    except RefusedError as error:
        code = str(error).rpartition(": ")[2]
        mend = CURES.get(code, code)
        return Finding(name=f"channel {name}", detail="cannot be read", mend=mend)
    return Finding(name=f"channel {name}", detail="can be read")
