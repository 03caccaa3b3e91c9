"""What we write into ServiceNow's journals: plain text that no reader's browser takes for markup."""

from __future__ import annotations

import re
from collections.abc import Mapping

from countersign.drafts import Draft, plain

# ServiceNow renders what stands between [code] and [/code] as HTML; some mails render tags anyway.
_CODE = re.compile(r"\[\s*(/?)\s*code\s*\]", re.IGNORECASE)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_BEFORE = re.compile(r"^Before: (\w+) = (.*)$", re.MULTILINE)


def neutral(text: str) -> str:
    """The text with [code] and the beginnings of tags made harmless; `a < b` and `> file` stay."""
    return _TAG.sub("‹", _CODE.sub(r"(\1code)", text))


def note(draft: Draft, marker: str) -> str:
    """A draft as a work note; its last line ends with the marker."""
    return neutral(plain(draft, marker))


def remark(sentence: str, marker: str, before: Mapping[str, str] | None = None) -> str:
    """A short work note on what we did: the sentence, what the fields were before, the marker."""
    lines = [_one_line(sentence)]
    lines += [f"Before: {name} = {_one_line(value)}" for name, value in sorted((before or {}).items())]
    return neutral("\n".join([*lines, marker]))


def before_in(text: str) -> dict[str, str]:
    """The before-image that `remark` wrote into a note."""
    return dict(_BEFORE.findall(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())
