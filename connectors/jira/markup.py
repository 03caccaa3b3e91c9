"""Drafts as Atlassian documents, and documents as text. Text stands in text nodes: it is never markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from countersign.drafts import Block, Draft

Node = dict[str, Any]
_BLOCKS = frozenset(
    {"paragraph", "heading", "listItem", "codeBlock", "panel", "blockquote", "tableRow", "rule"}
)
_LEVEL = 4


def document(draft: Draft, marker: str) -> Node:
    """A draft as a comment's body; its last line ends with the marker."""
    content = [_paragraph(_text(draft.headline, "strong"))]
    for block in draft.blocks:
        if block.title:
            content.append({"type": "heading", "attrs": {"level": _LEVEL}, "content": [_text(block.title)]})
        content.extend(_block(block))
    content.append(_paragraph(_text(f"{draft.provenance} · {marker}", "em")))
    return _document(content)


def lines(texts: Iterable[str]) -> Node:
    """Plain lines as a document, a paragraph each."""
    return _document([_paragraph(_text(text)) if text.strip() else _paragraph() for text in texts])


def text_of(body: object) -> str:
    """What a person reads in a document; wiki text of an old comment stays as it is."""
    if isinstance(body, str):
        return body
    return _read(body).strip("\n") if isinstance(body, Mapping) else ""


def said_in(body: object) -> str:
    """What the author of a comment says, as plain text: a quote behind >, a list behind -, code between fences.

    What is struck out is not said.
    """
    if isinstance(body, str):
        return body
    return _read(body, dressed=True).strip("\n") if isinstance(body, Mapping) else ""


def _block(block: Block) -> list[Node]:
    if block.style == "text":
        return [_paragraph(_text(line)) for line in block.lines if line.strip()]
    shape = _command if block.style == "commands" else _line
    items = [
        {"type": "listItem", "content": [_paragraph(*shape(line))]} for line in block.lines if line.strip()
    ]
    return [{"type": "bulletList", "content": items}] if items else []


def _line(line: str) -> Sequence[Node]:
    return (_text(line),)


def _command(line: str) -> Sequence[Node]:
    """`/command - what it does`: what is to be typed stands in code, and nothing else."""
    if not line.startswith("/"):
        return (_text(line),)
    typed, dash, what = line.partition(" - ")
    code = _text(typed.rstrip(), "code")
    return (code, _text(f" - {what.lstrip()}")) if dash else (code,)


def _document(content: list[Node]) -> Node:
    return {"type": "doc", "version": 1, "content": content}


def _paragraph(*inline: Node) -> Node:
    return {"type": "paragraph", "content": list(inline)}


def _text(text: str, *marks: str) -> Node:
    node: Node = {"type": "text", "text": text or " "}
    return node | {"marks": [{"type": mark} for mark in marks]} if marks else node


def _read(node: Mapping[str, Any], *, dressed: bool = False) -> str:
    kind = str(node.get("type"))
    if kind == "text":
        return "" if dressed and _is_struck(node) else str(node.get("text", ""))
    if kind == "hardBreak":
        return "\n"
    if kind in ("mention", "emoji", "inlineCard"):
        attrs = node.get("attrs")
        return str(attrs.get("text") or attrs.get("url") or "") if isinstance(attrs, Mapping) else ""
    content = node.get("content")
    children = content if isinstance(content, list) else []
    inner = "".join(_read(child, dressed=dressed) for child in children if isinstance(child, Mapping))
    if kind not in _BLOCKS:
        return inner
    text = inner.rstrip("\n")
    return (_DRESSED[kind](text) if dressed and kind in _DRESSED else text) + "\n"


_DRESSED: Mapping[str, Callable[[str], str]] = {
    "blockquote": lambda text: "\n".join(f"> {line}" for line in text.split("\n")),
    "listItem": lambda text: f"- {text}",
    "codeBlock": lambda text: f"```\n{text}\n```",
}


def _is_struck(node: Mapping[str, Any]) -> bool:
    marks = node.get("marks")
    return isinstance(marks, list) and {"type": "strike"} in marks
