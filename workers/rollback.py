"""Rollback: takes back what was done, newest first, as ordinary actions that the workers do at a limited rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from countersign.actions import Action
from countersign.tickets import TicketRef
from countersign.undo import Review, Selection, Undoable, review, take_back

_log = structlog.get_logger()
AT_ONCE = 200


class UndoBook(Protocol):
    """What a rollback asks of the ledger."""

    def undoable(
        self, which: Selection, *, before: tuple[datetime, str] | None = None, limit: int = AT_ONCE
    ) -> tuple[Undoable, ...]: ...
    def plan(
        self, backs: Sequence[tuple[Action, str]], *, after: Mapping[str, str], by: str, every: timedelta
    ) -> int: ...
    def drop_waiting(self, which: Selection, *, by: str, dry_run: bool = False) -> int: ...
    def uncertain(self, which: Selection) -> tuple[Review, ...]: ...


@dataclass(slots=True)
class Rollback:
    """What a rollback came to: taken back by new actions, by earlier ones, dropped before they began, for people."""

    planned: int = 0
    already: int = 0
    dropped: int = 0
    review: list[Review] = field(default_factory=list)


def roll_back(
    book: UndoBook,
    which: Selection,
    *,
    by: str,
    every: timedelta,
    by_people: Mapping[str, str],
    dry_run: bool = False,
) -> Rollback:
    """Plans what takes the selection back. Killed anywhere, the next run plans the rest; then none plans anything."""
    told = Rollback(dropped=book.drop_waiting(which, by=by, dry_run=dry_run))
    newer: dict[tuple[str, str], str] = {}
    seq = 0
    for page in _pages(book, which):
        backs: list[tuple[Action, str]] = []
        after: dict[str, str] = {}
        for done in page:
            seq += 1
            if done.back and not done.given_up:
                told.already += 1
            if done.given_up:
                told.review.append(review(done.action, done.given_up))
            back = take_back(done, seq=seq, by_people=by_people)
            if isinstance(back, Review):
                told.review += [] if done.back else [back]
                continue
            after[back.key] = _queue(newer, back)
            if not done.back:
                backs.append((back, done.action.key))
        told.planned += len(backs) if dry_run else book.plan(backs, after=after, by=by, every=every)
    told.review += book.uncertain(which)
    _log.info("rollback.planned", planned=told.planned, review=len(told.review), dropped=told.dropped)
    return told


def _pages(book: UndoBook, which: Selection) -> Iterator[tuple[Undoable, ...]]:
    before: tuple[datetime, str] | None = None
    while page := book.undoable(which, before=before, limit=AT_ONCE):
        yield page
        before = page[-1].done_at, page[-1].action.key


def _queue(newer: dict[tuple[str, str], str], back: Action) -> str:
    """Puts an action at the end of its ticket's queue; gives the key of the one before it, or ""."""
    ref: TicketRef | None = back.ticket
    ticket = (ref.desk, ref.id) if ref else (back.desk, back.case_id)
    before, newer[ticket] = newer.get(ticket, ""), back.key
    return before
