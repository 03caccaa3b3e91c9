"""Drafts as Atlassian documents, and documents as text."""

from __future__ import annotations

from connectors.jira.markup import document, lines, said_in, text_of
from countersign.drafts import Block, Draft

MARKER = "countersign:0123456789abcdef"
DRAFT = Draft(
    headline="Disk of db-3 is full",
    blocks=(
        Block(title="Likely cause", lines=("Logs <b>grew</b> [x|http://evil]",)),
        Block(title="Evidence", style="bullets", lines=("97 % used",)),
        Block(
            title="What next",
            style="commands",
            lines=("/countersign approve 7f3a - closes it", "Reopen it: that is all"),
        ),
    ),
    provenance="policy alert-triage v3",
)


def _text(text: str, *marks: str) -> dict[str, object]:
    node: dict[str, object] = {"type": "text", "text": text}
    return node | {"marks": [{"type": mark} for mark in marks]} if marks else node


def _paragraph(*inline: object) -> dict[str, object]:
    return {"type": "paragraph", "content": list(inline)}


def _heading(text: str) -> dict[str, object]:
    return {"type": "heading", "attrs": {"level": 4}, "content": [_text(text)]}


def _bullets(*items: object) -> dict[str, object]:
    return {"type": "bulletList", "content": [{"type": "listItem", "content": [item]} for item in items]}


def test_a_draft_looks_like_this() -> None:
    """The exact document: a strong headline, headings, bullets, commands as code, the marker in the last line."""
    assert document(DRAFT, MARKER) == {
        "type": "doc",
        "version": 1,
        "content": [
            _paragraph(_text("Disk of db-3 is full", "strong")),
            _heading("Likely cause"),
            _paragraph(_text("Logs <b>grew</b> [x|http://evil]")),
            _heading("Evidence"),
            _bullets(_paragraph(_text("97 % used"))),
            _heading("What next"),
            _bullets(
                _paragraph(_text("/countersign approve 7f3a", "code"), _text(" - closes it")),
                _paragraph(_text("Reopen it: that is all")),
            ),
            _paragraph(_text(f"policy alert-triage v3 · {MARKER}", "em")),
        ],
    }


def test_a_document_reads_as_lines() -> None:
    """What a person reads, a line per paragraph; the marker ends the last one."""
    text = text_of(document(DRAFT, MARKER))
    assert text.splitlines()[0] == "Disk of db-3 is full"
    assert "/countersign approve 7f3a - closes it" in text.splitlines()
    assert text.endswith(MARKER)


def test_commands_are_read_however_they_were_typed() -> None:
    """Hard breaks and mentions are text; an unknown node is read through; wiki text stays as it is."""
    typed = {
        "type": "doc",
        "content": [
            {
                "type": "paragraph",
                "content": [
                    {"type": "mention", "attrs": {"id": "1", "text": "@dana"}},
                    _text(" ok"),
                    {"type": "hardBreak"},
                    {"type": "novelty", "content": [_text("/countersign wrong")]},
                ],
            }
        ],
    }
    assert text_of(typed) == "@dana ok\n/countersign wrong"
    assert text_of("h1. old") == "h1. old"
    assert text_of(None) == ""


def test_no_text_node_is_empty() -> None:
    """Jira refuses a document with an empty text node."""
    assert lines(["a", "", "b"])["content"][1] == {"type": "paragraph", "content": []}
    assert document(Draft(headline="", blocks=(), provenance=""), "m")["content"][0] == _paragraph(
        _text(" ", "strong")
    )


def test_what_a_comment_shows_is_not_what_it_says() -> None:
    """A quote, a list and a code block can be told from words of the author's own; what is struck out is gone."""
    command = _paragraph(_text("/countersign approve 7f3a", "code"))
    shown = {
        "blockquote": {"type": "blockquote", "content": [command, command]},
        "list": _bullets(command),
        "code": {"type": "codeBlock", "content": [_text("/countersign approve 7f3a")]},
        "struck": _paragraph(_text("/countersign approve 7f3a", "strike")),
        "said": command,
    }
    read = {name: said_in({"type": "doc", "version": 1, "content": [node]}) for name, node in shown.items()}
    assert read == {
        "blockquote": "> /countersign approve 7f3a\n> /countersign approve 7f3a",
        "list": "- /countersign approve 7f3a",
        "code": "```\n/countersign approve 7f3a\n```",
        "struck": "",
        "said": "/countersign approve 7f3a",
    }
