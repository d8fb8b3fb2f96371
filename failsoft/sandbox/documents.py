"""The Atlassian Document Format, as far as Jira checks it."""

from failsoft.parsing import JSON

MAX_TEXT = 32_767


def is_document(value: JSON) -> bool:
    """Say whether `value` is a version 1 document of well-formed nodes."""
    if not isinstance(value, dict) or value.get("type") != "doc" or value.get("version") != 1:
        return False
    content = value.get("content")
    return isinstance(content, list) and all(_is_node(node) for node in content)


def document_text(value: JSON) -> str:
    """Return the text of a document or of a list of nodes."""
    if isinstance(value, list):
        return "".join(document_text(node) for node in value)
    if not isinstance(value, dict):
        return ""
    text = value.get("text")
    return (text if isinstance(text, str) else "") + document_text(value.get("content"))


def _is_node(value: JSON) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    text = value.get("text")
    if value["type"] == "text" and (not isinstance(text, str) or not text):
        return False
    content = value.get("content", [])
    return isinstance(content, list) and all(_is_node(node) for node in content)
