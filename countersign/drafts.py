"""Drafts: what an engineer reads in the ticket, as structure; each desk renders it in its own markup."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A titled part of a draft. `commands` are lines to type in the ticket, each with what it does after ` - `."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str = ""
    style: Literal["text", "bullets", "commands"] = "text"
    lines: tuple[str, ...]


class Draft(BaseModel):
    """A note in a ticket: one headline, a few blocks, one line of provenance. Plain text without markup."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    headline: str
    blocks: tuple[Block, ...]
    provenance: str

    def naming_change(self, change_key: str) -> Draft:
        """The same draft with the change request's number where it was still to come."""
        return self.model_copy(
            update={
                "blocks": tuple(
                    block.model_copy(
                        update={"lines": tuple(line.replace(CHANGE, change_key) for line in block.lines)}
                    )
                    for block in self.blocks
                )
            }
        )


# Stands in a draft for the number of a change request that is drafted before the note is written.
CHANGE = "{change}"


def plain(draft: Draft, marker: str) -> str:
    """The draft as plain text, for ServiceNow work notes and PagerDuty notes. The marker ends the last line."""
    parts = [draft.headline, ""]
    for block in draft.blocks:
        if block.title:
            parts.append(block.title.upper())
        prefix = "  " if block.style == "text" else "  - "
        parts.extend(f"{prefix}{line}" for line in block.lines)
        parts.append("")
    parts.append(f"{draft.provenance} · {marker}")
    return "\n".join(parts)
