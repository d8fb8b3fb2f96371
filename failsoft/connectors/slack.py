"""Slack: answer in a thread, post, react.

Slack keeps no idempotency key, so a message carries its transaction id in its metadata, where a
reading of the thread or channel finds it. Refusals come with status 200 and `ok: false`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar, Self

from pydantic import SecretStr
from typing_extensions import override

from failsoft.clock import Clock
from failsoft.connectors import slack_examination
from failsoft.connectors.answers import MAX_REASON, attempt, judge, read
from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Finding,
    Found,
    NotSent,
    Operation,
    Outcome,
    Unknown,
)
from failsoft.connectors.slack_message import carries, cursor_of, message_of
from failsoft.connectors.slack_update import Update
from failsoft.errors import (
    InvalidDataError,
    MissingSettingError,
    RateLimitedError,
    RefusedError,
    TransientError,
)
from failsoft.http import Http, Parameters, Response
from failsoft.parsing import JSONObject
from failsoft.settings import Settings, Timing

PAGE = 200  # messages
LOOK_BACK = 3600.0  # seconds before the claim: far more than two clocks may differ

RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
# Refused before anything happened. What is in neither set may have been executed: Slack says of
# internal_error, fatal_error, request_timeout and service_unavailable that parts of it may have.
REFUSED = frozenset(
    """
    access_denied account_inactive as_user_not_supported bad_timestamp block_mismatch
    cannot_reply_to_message cant_update_message channel_not_found duplicate_channel_not_found
    edit_window_closed ekm_access_denied enterprise_is_restricted external_channel_migrating
    invalid_arg_name invalid_arguments invalid_array_arg invalid_auth invalid_blocks
    invalid_blocks_format invalid_charset invalid_cursor invalid_form_data invalid_json
    invalid_limit invalid_metadata_format invalid_metadata_schema invalid_name invalid_post_type
    invalid_thread_ts invalid_ts_latest invalid_ts_oldest is_archived is_inactive json_not_object
    message_not_found messages_tab_disabled metadata_must_be_sent_from_app metadata_too_large
    method_deprecated missing_charset missing_post_type missing_scope msg_blocks_too_long
    msg_too_long no_item_specified no_permission no_text no_text_or_blocks not_allowed_token_type
    not_authed not_in_channel not_reactable org_login_required restricted_action
    restricted_action_non_threadable_channel restricted_action_read_only_channel
    restricted_action_thread_locked restricted_action_thread_only_channel
    slack_connect_blocked_file_type slack_connect_canvas_sharing_blocked team_access_not_granted
    team_added_to_org team_not_found thread_locked thread_not_found token_expired token_revoked
    too_many_attachments too_many_contact_cards too_many_emoji too_many_reactions
    two_factor_setup_required unknown_method user_not_in_channel
    """.split()  # noqa: SIM905 - seventy words are read best as words
)


def escape(text: str) -> str:
    """Return untrusted `text` so that Slack reads no mention and no link in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Post(Operation["Slack"]):
    """Post a message in a channel: `channel`, `text`."""

    connector = "slack"
    name = "post"
    consistency = Consistency.DIRECT_PROBE
    settle_seconds = 30.0

    @override
    def gate_key(self, request: JSONObject) -> str:
        return f"slack:chat.postMessage:{request.get('channel')}"  # about one a second for each

    @override
    async def mark(self, client: "Slack", request: JSONObject) -> JSONObject:
        return {"oldest": client.look_back()}

    @override
    async def send(
        self, client: "Slack", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        body = message_of(request, transaction_id)
        return await client.write("chat.postMessage", body, within=within)

    @override
    async def find(
        self, client: "Slack", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        place = {"channel": str(request.get("channel")), "oldest": str(mark.get("oldest", "0"))}
        return await client.look("conversations.history", place, transaction_id)


class Reply(Post):
    """Answer in a thread: `channel`, `thread_ts`, `text`."""

    name = "reply"

    @override
    async def mark(self, client: "Slack", request: JSONObject) -> JSONObject:
        return {}  # a thread is read as a whole

    @override
    async def send(
        self, client: "Slack", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        thread_ts = request.get("thread_ts")
        if not thread_ts:
            return Failed(reason="A reply needs `thread_ts`.")
        body = message_of(request, transaction_id) | {"thread_ts": thread_ts}
        return await client.write("chat.postMessage", body, within=within)

    @override
    async def find(
        self, client: "Slack", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        place = {"channel": str(request.get("channel")), "ts": str(request.get("thread_ts"))}
        return await client.look("conversations.replies", place, transaction_id)


class React(Operation["Slack"]):
    """Add a reaction to a message: `channel`, `ts`, `name`. Adding it twice adds nothing."""

    connector = "slack"
    name = "react"
    consistency = Consistency.IDEMPOTENT
    settle_seconds = 0.0

    @override
    def gate_key(self, request: JSONObject) -> str:
        return "slack:reactions.add"

    @override
    async def send(
        self, client: "Slack", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        body = {name: request.get(name) for name in ("channel", "name")}
        body["timestamp"] = request.get("ts")
        return await client.write("reactions.add", body, within=within)

    @override
    async def find(
        self, client: "Slack", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return Absent(certain=True)  # sending it again is the way to find out


class Slack:
    """The client: one workspace, one bot."""

    reply: ClassVar[Reply] = Reply()
    post: ClassVar[Post] = Post()
    react: ClassVar[React] = React()
    update: ClassVar[Update] = Update()

    def __init__(
        self,
        base_url: str,
        *,
        token: SecretStr,
        timing: Timing,
        channels: Sequence[str] = (),
        bot_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take `channels` and `bot_id` as they are set, to be looked at by `examine`."""
        authorization = SecretStr(f"Bearer {token.get_secret_value()}")
        self.http = Http(base_url, timing=timing, headers={"Authorization": authorization})
        self._timing = timing
        self._channels = channels
        self._bot_id = bot_id
        self._clock = clock or Clock()

    def __repr__(self) -> str:
        return f"Slack({self.http.host!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Raise MissingSettingError when there is no token."""
        if settings.slack_token is None:
            raise MissingSettingError("FAILSOFT_SLACK_TOKEN", "the bot token of the Slack app")
        return cls(
            settings.slack_base_url,
            token=settings.slack_token,
            timing=settings.timing,
            channels=settings.slack_channels,
            bot_id=settings.slack_bot_id,
        )

    async def close(self) -> None:
        await self.http.close()

    async def examine(self) -> list[Finding]:
        """Look at the token, its scopes and the channels.

        Raises:
            RefusedError: the token is not taken.
            TransientError: Slack cannot be read now.
        """
        answer, response = await self._ask("auth.test", {})
        return [
            *slack_examination.token(answer, self._bot_id),
            *slack_examination.scopes(response.headers.get("x-oauth-scopes")),
            *await slack_examination.channels(self._read, self._channels),
        ]

    def look_back(self) -> str:
        return f"{self._clock.now() - LOOK_BACK:.6f}"

    async def write(self, method: str, body: JSONObject, *, within: float) -> Outcome:
        """Call a writing method once and sort what it says."""
        sent = await attempt(self.http.request("POST", method, json=body, within=within))
        if not isinstance(sent, Response):
            return sent
        if sent.status != 200:
            return judge(sent, f"Slack {method}", "", now=self._clock.now())
        try:
            answer = sent.object()
        except InvalidDataError:
            return Unknown(reason=f"Slack {method}: status 200 without a readable body")
        if answer.get("ok") is True:
            return _done(method, answer, body)
        return self._refused(method, answer, sent, body)

    async def look(
        self, method: str, place: Mapping[str, str], transaction_id: str
    ) -> Found | Absent:
        """Read a thread or channel to its end for the message with our transaction id."""
        async for message in self._messages(method, place):
            if carries(message, transaction_id) and isinstance(ts := message.get("ts"), str):
                return Found(external_id=ts, response={"channel": place["channel"], "ts": ts})
        return Absent(certain=True)

    async def _messages(self, method: str, place: Mapping[str, str]) -> AsyncIterator[JSONObject]:
        params: dict[str, str | int | bool] = {
            **place, "limit": PAGE, "include_all_metadata": True,
        }  # fmt: skip
        while True:
            answer = await self._read(method, params)
            messages = answer.get("messages")
            if not isinstance(messages, list):
                raise TransientError(f"Slack {method}: an answer without messages")
            for message in messages:
                if isinstance(message, dict):
                    yield message
            if not (cursor := cursor_of(answer)):
                return
            params["cursor"] = cursor

    async def _read(self, method: str, params: Parameters) -> JSONObject:
        return (await self._ask(method, params))[0]

    async def _ask(self, method: str, params: Parameters) -> tuple[JSONObject, Response]:
        within, what = self._timing.send, f"Slack {method}"
        response = await self.http.request("GET", method, params=params, within=within)
        answer = read(response, what, "", now=self._clock.now())
        if answer.get("ok") is True:
            return answer, response
        code = str(answer.get("error"))
        if code in RATE_LIMITED:
            raise RateLimitedError(f"{what}: {code}", response.retry_after(self._clock.now()))
        raise (
            RefusedError(f"{what}: {code}")
            if code in REFUSED
            else TransientError(f"{what}: {code}")
        )

    def _refused(
        self, method: str, answer: JSONObject, response: Response, body: JSONObject
    ) -> Outcome:
        code = str(answer.get("error"))
        reason = f"Slack {method}: {code}"[:MAX_REASON]
        if code == "already_reacted":
            return _done(method, answer, body)
        if code in RATE_LIMITED:
            after = response.retry_after(self._clock.now())
            return NotSent(reason=reason, retry_after=after, rate_limited=True)
        return Failed(reason=reason) if code in REFUSED else Unknown(reason=reason)


def _done(method: str, answer: JSONObject, body: JSONObject) -> Outcome:
    ts = answer.get("ts", body.get("timestamp"))
    if not isinstance(ts, str):
        return Unknown(reason=f"Slack {method}: ok without the ts of the message")
    channel = answer.get("channel", body.get("channel"))
    return Done(external_id=ts, response={"channel": channel, "ts": ts})
