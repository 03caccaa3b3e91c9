"""The log: the entries of a time window, in pieces small enough for PagerDuty's limit of 10,000."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from connectors.cursor import Window
from connectors.pagerduty.client import LARGEST_PAGE, PagerDutyClient
from connectors.payload import text_in
from countersign.errors import Permanent

LAST_ENTRY = 10_000
# Far below PagerDuty's limit: a piece is held in memory, and more entries may come in while we page.
_MOST = 2_000
_SHORTEST = timedelta(seconds=5)
_LONGEST = timedelta(days=30)


def entries(client: PagerDutyClient, window: Window, *, most: int = _MOST) -> Iterator[list[Any]]:
    """The log entries of the window in lists, oldest first. A piece with more than `most` entries is halved.

    Pieces overlap by a second, so that it does not matter whether PagerDuty counts their ends in. Raises
    OutsideError.
    """
    todo = [window]
    while todo:
        piece = todo.pop()
        length = piece.until - piece.since
        found = (
            None if length > _LONGEST else _read(client, piece, most if length > _SHORTEST else LAST_ENTRY)
        )
        if found is not None:
            yield sorted(found, key=_created)
            continue
        if length <= _SHORTEST:
            raise Permanent(
                f"PagerDuty has more than {LAST_ENTRY} log entries from {piece.since} to {piece.until}, and does not "
                "give more; move the cursor past that time.",
                where="pagerduty",
            )
        middle = (piece.since + length / 2).replace(microsecond=0)
        todo.append(Window(since=middle - timedelta(seconds=1), until=piece.until))
        todo.append(Window(since=piece.since, until=middle))


def _read(client: PagerDutyClient, piece: Window, most: int) -> list[Any] | None:
    """All entries of a piece, as they came but reversed (oldest first), or None for more than `most`."""
    found: list[Any] = []
    while True:
        page = client.log_page(piece.since, piece.until, offset=len(found))
        shown, total = page["log_entries"], page.get("total")
        if page.get("offset", len(found)) != len(found):
            raise Permanent(
                "PagerDuty gave a page of its log that was not asked for; the next pull goes on from where this one "
                "stopped.",
                where="pagerduty",
            )
        if isinstance(total, int) and total > most:
            return None
        found += shown
        if not page.get("more") or not shown:
            return found[::-1]
        if len(found) + LARGEST_PAGE > most:
            return None


def _created(entry: object) -> str:
    return text_in(entry, "created_at")
