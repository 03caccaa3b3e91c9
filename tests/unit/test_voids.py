"""Voids: what has happened in a ticket decides whether an approval holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from countersign.tickets import ChangeKind, TicketChange
from countersign.voids import Approval, Void, expired, voided
from tests.unit.builders import NOW, TICKET

COMMENT = TicketChange(
    id="c1", ref=TICKET.ref, kind=ChangeKind.COMMENT, author="lena", at=NOW, text="It is down again"
)
NONE = frozenset[str]()


def _voids(*changes: TicketChange, bot: bool = False, known: frozenset[str] = NONE) -> bool:
    seen = [(change, bot) for change in changes]
    return _voided(*seen, known=known) is not None


def _voided(
    *seen: tuple[TicketChange, bool], change: str = "approval", known: frozenset[str] = NONE
) -> Void | None:
    return voided(seen, approver="dana", change=change, known=known, code="7f3a")


def test_words_that_were_not_enough_do_not_approve_when_they_are_heard_again() -> None:
    """A worker that died after voiding hears the same words anew; only new words count."""
    first = _voided((COMMENT, False))
    assert first is not None
    assert set(first.known) == {"approval", "c1"}
    assert _voids(known=frozenset(first.known))
    assert _voided((COMMENT, False), change="later", known=frozenset(first.known)) is None


def test_our_own_notes_and_a_bots_void_nothing() -> None:
    """What we write in the ticket while it waits is no news, nor is a bot's remark; a bot's edit is."""
    assert not _voids(replace(COMMENT, by_us=True))
    assert not _voids(COMMENT, bot=True)
    assert _voids(replace(COMMENT, kind=ChangeKind.FIELD, field="priority"), bot=True)


def test_an_approval_expires_with_its_offer() -> None:
    """It holds as long as the policy says, counted from the offer, and not a moment longer."""
    day = timedelta(days=1)
    approval = Approval(by="dana", change="approval", offered_at=NOW, age=day)
    assert expired(approval, day) is None
    late = expired(replace(approval, age=day + timedelta(seconds=1)), day)
    assert late is not None
    assert late.expired
