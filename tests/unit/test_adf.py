"""Plain text becomes a document in which nothing is markup."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.connectors.adf import MAX_TEXT, document, one_line
from failsoft.parsing import JSONObject


def nodes(node: JSONObject) -> list[JSONObject]:
    children = node.get("content", [])
    assert isinstance(children, list)
    below = [nodes(child) for child in children if isinstance(child, dict)]
    return [node, *(found for group in below for found in group)]


def test_empty_lines_part_paragraphs_and_line_breaks_stay() -> None:
    assert document("a\nb\n\nc")["content"] == [
        {
            "type": "paragraph",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "hardBreak"},
                {"type": "text", "text": "b"},
            ],
        },
        {"type": "paragraph", "content": [{"type": "text", "text": "c"}]},
    ]


@pytest.mark.parametrize(
    "text",
    ["[x](https://evil.example)", "https://evil.example", "h1. x", "{code}x{code}", "!http://x!"],
)
def test_markup_and_links_in_the_text_stay_text(text: str) -> None:
    assert document(text)["content"] == [
        {"type": "paragraph", "content": [{"type": "text", "text": text}]}
    ]


def test_no_text_is_a_document_without_content() -> None:
    assert document(" \n\n ") == {"type": "doc", "version": 1, "content": []}


def test_the_source_is_the_only_link() -> None:
    url = "https://example.slack.com/archives/C1/p1"
    marks = [
        node["marks"] for node in nodes(document("https://x.y", source_url=url)) if "marks" in node
    ]
    assert marks == [[{"type": "link", "attrs": {"href": url}}]]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x y", "file:///etc/passwd", ""])
def test_a_source_that_is_no_web_address_makes_no_link(url: str) -> None:
    assert "link" not in json.dumps(document("x", source_url=url))


def test_a_long_text_is_cut_below_the_limit_of_jira() -> None:
    text = "".join(str(node.get("text", "")) for node in nodes(document("x" * 1_000_000)))
    assert MAX_TEXT < len(text) < 32_767
    assert text.endswith("[cut]")


@given(st.text(alphabet=st.characters()))
def test_any_text_makes_a_document_that_jira_takes(text: str) -> None:
    made = document(text)
    json.dumps(made).encode()
    for node in nodes(made):
        if node["type"] == "text":
            assert node["text"]
            assert not any(ord(sign) < 32 for sign in str(node["text"]) if sign != "\t")
        if node["type"] == "paragraph":
            assert node["content"]


def test_a_summary_is_one_line_of_limited_length() -> None:
    assert one_line(" a\n b\x07\tc ", 10) == "a b c"
    assert one_line("x" * 300, 255) == "x" * 254 + "…"
