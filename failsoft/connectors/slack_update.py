"""Change a message of ours that stands in Slack."""

from typing import TYPE_CHECKING

from typing_extensions import override

from failsoft.connectors.contract import Absent, Consistency, Found, Operation, Outcome
from failsoft.parsing import JSONObject

if TYPE_CHECKING:  # it imports this module
    from failsoft.connectors.slack import Slack


class Update(Operation["Slack"]):
    """Put other content into a message: `channel` (its id), `ts`, `text`, and maybe `blocks`.

    Doing it twice changes nothing. The message keeps its transaction id.
    """

    connector = "slack"
    name = "update"
    consistency = Consistency.IDEMPOTENT
    settle_seconds = 0.0

    @override
    def gate_key(self, request: JSONObject) -> str:
        return "slack:chat.update"

    @override
    async def send(
        self, client: "Slack", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        body: JSONObject = {name: request.get(name) for name in ("channel", "ts", "text")}
        if blocks := request.get("blocks"):  # left out, those of before would stay
            body["blocks"] = blocks
        return await client.write("chat.update", body, within=within)

    @override
    async def find(
        self, client: "Slack", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        return Absent(certain=True)  # sending it again is the way to find out
