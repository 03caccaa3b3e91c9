"""Edits: how much of a draft people changed before it was sent."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from countersign.drafts import Draft

# Comparing costs the product of the lengths: a draft has some hundred words, and nobody reads thousands.
_MOST = 2000
_WORD = re.compile(r"\w+|[^\w\s]")
# Neither starts in the middle of a run of spaces: tried at each of them, a long one would take for ever.
_BULLET = re.compile(r"(?m)^[^\S\n]*[-*•]\s+")
_MARKER = re.compile(r"(?<!\s)\s*(?:·\s*)?countersign:[0-9a-f]{16}\s*$")


def distance(before: str, after: str) -> float:
    """Share of words that differ, 0 (the same) to 1 (nothing in common). White space and bullets don't count."""
    old, new = _words(before), _words(after)
    if old == new:
        return 0.0
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return round(1.0 - matcher.ratio(), 4)


def text_of(draft: Draft) -> str:
    """A draft as a reader sees it, without any desk's markup and without our marker."""
    lines = [draft.headline]
    for block in draft.blocks:
        lines += [block.title] if block.title else []
        lines += [line for line in block.lines if line.strip()]
    return "\n".join([*lines, draft.provenance])


def without_marker(text: str) -> str:
    """A text of ours as it stands in a desk, without the marker at its end."""
    return _MARKER.sub("", text)


def _words(text: str) -> list[str]:
    return _WORD.findall(_BULLET.sub("", text).casefold())[:_MOST]
