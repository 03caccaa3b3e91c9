"""Effects that every desk's tests carry out: the names, keys and words that they share."""

from __future__ import annotations

from datetime import UTC, datetime

from countersign.actions import Attach, Close, Effect, Note, Reopen
from countersign.drafts import Block, Draft

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
KEY, UNDO = "0123456789abcdef", "fedcba9876543210"
MARKER = f"countersign:{KEY}"
DRAFT = Draft(
    headline="Disk of db-3 is full",
    blocks=(Block(title="Likely cause", lines=("logs grew",)),),
    provenance="policy alert-triage v3",
)
EVERYWHERE: dict[str, Effect] = {
    "note": Note(draft=DRAFT),
    "close": Close(draft=DRAFT, reason="noise"),
    "reopen": Reopen(reason="still there"),
    "file": Attach(name="timeline.md", media_type="text/markdown", text="# 02:00 disk full"),
}
