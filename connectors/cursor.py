"""Cursors: up to when a source was read, as JSON text, and the window that is read next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from countersign.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How a source is read.

    Again from `overlap` before the cursor (for what arrives late), never nearer to now than `settle`
    (for what is still being sorted in), and from `look_back` ago when there is no cursor yet.
    """

    overlap: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=30)
    look_back: timedelta = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """From `since` to `until`, both aware and absolute, so that paging does not move them."""

    since: datetime
    until: datetime


def window(cursor: str | None, now: datetime, pace: Pace) -> Window | None:
    """What to read now; None when nothing has settled yet."""
    until = now - pace.settle
    since = min(read_until(cursor), until) - pace.overlap if cursor else now - pace.look_back
    return Window(since=since, until=until) if since < until else None


def advanced(cursor: str | None, at: datetime, until: datetime) -> str:
    """The cursor after all up to `at` was read. It goes back only with our clock, to the window's end."""
    known = read_until(cursor) if cursor else at
    return json.dumps({"until": min(max(known, at), until).astimezone(UTC).isoformat()})


def read_until(cursor: str) -> datetime:
    """Raises ConfigError for a cursor that this version can't read."""
    try:
        at = datetime.fromisoformat(json.loads(cursor)["until"])
    except (ValueError, KeyError, TypeError):
        at = None
    if at is None or at.tzinfo is None:
        raise ConfigError(
            f"The cursor {cursor[:80]!r} can't be read; delete it, and the look-back is read again."
        )
    return at
