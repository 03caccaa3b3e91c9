"""Jira's two forms of rich text: wiki text on v2, an Atlassian document on v3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
_BLOCKS = frozenset(
    {"paragraph", "heading", "listItem", "codeBlock", "panel", "blockquote", "tableRow", "rule"}
)


@dataclass(frozen=True, slots=True)
class RichText:
    """`text` is what a person reads; `document` is the same as an Atlassian document."""

    text: str
    document: Document = field(repr=False)


def rich(body: object) -> RichText:
    """From what a client sent: a string or a document. Raises ValueError if it is neither."""
    if isinstance(body, str):
        return RichText(body, _document(body))
    if isinstance(body, dict) and body.get("type") == "doc" and isinstance(body.get("content"), list):
        return RichText(_read(body).strip("\n"), body)
    raise ValueError("Comment body is not valid!")


def _document(text: str) -> Document:
    return {"type": "doc", "version": 1, "content": [_paragraph(line) for line in text.split("\n")]}


def _paragraph(line: str) -> Document:
    return {"type": "paragraph", "content": [{"type": "text", "text": line}] if line else []}


def _read(node: Document) -> str:
    if node.get("type") == "text":
        return str(node.get("text", ""))
    if node.get("type") == "hardBreak":
        return "\n"
    inner = "".join(_read(child) for child in node.get("content", ()))
    return inner.rstrip("\n") + "\n" if node.get("type") in _BLOCKS else inner
