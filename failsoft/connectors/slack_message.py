"""A message of ours in Slack: it carries its transaction id in its metadata, where we read it."""

from failsoft.parsing import JSONObject

METADATA = "failsoft_txn"


def message_of(request: JSONObject, transaction_id: str) -> JSONObject:
    """Return the body of a posting call; blocks are shown instead of the text."""
    blocks = request.get("blocks")
    return {
        "channel": request.get("channel"),
        "text": request.get("text"),
        **({"blocks": blocks} if blocks else {}),
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": METADATA, "event_payload": {"txn": transaction_id}},
    }


def carries(message: JSONObject, transaction_id: str) -> bool:
    """Say whether a message, as Slack shows it, belongs to the effect."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != METADATA:
        return False
    payload = metadata.get("event_payload")
    return isinstance(payload, dict) and payload.get("txn") == transaction_id


def cursor_of(answer: JSONObject) -> str:
    """Return what the next page of a reading is asked for with, "" at its end."""
    following = answer.get("response_metadata")
    cursor = following.get("next_cursor") if isinstance(following, dict) else None
    return cursor if isinstance(cursor, str) else ""
