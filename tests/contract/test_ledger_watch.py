"""The watch book: what people do in our tickets is remembered once, for the case it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.errors import LeaseLost
from countersign.ledger import Correction
from countersign.tickets import TicketPage, TicketState
from tests.ledger_world import (
    CLOSE,
    NOTE,
    START,
    USE_CASE,
    World,
    change,
    firing,
    page,
    ticket,
)

DAY = timedelta(days=1)


class Watching(World):
    """A world that also holds the feed of a desk's changes."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        claimed = self.ledger.intake.claim_feed("watch:jira", worker="watcher", lease=DAY)
        assert claimed is not None
        self.watch_fence = claimed[0]

    def see(self, seen: TicketPage) -> list[str]:
        watched = self.ledger.watch.record_changes("watch:jira", self.watch_fence, seen)
        return [one.change.id for one in watched]


@pytest.fixture
def world(ledger_url: str) -> Iterator[Watching]:
    world = Watching(ledger_url)
    yield world
    world.close()


def correction(
    case_id: str, *, verdict: str = "wrong", change_id: str = "change-1", field: str = ""
) -> Correction:
    return Correction(case_id=case_id, change_id=change_id, verdict=verdict, by="ann", at=START, field=field)


def test_a_change_stays_unhandled_until_it_is_marked(world: Watching) -> None:
    """What was given and not marked is given by `unhandled`; what we did ourselves never is."""
    world.decided(on=ticket())
    seen = page(change(1, ticket()), change(2, ticket(), by_us=True), change(3, ticket()))
    given = world.ledger.watch.record_changes("watch:jira", world.watch_fence, seen)
    assert world.ledger.watch.unhandled("jira", [USE_CASE]) == given
    world.ledger.watch.mark_handled(given[:1])
    assert [one.change.id for one in world.ledger.watch.unhandled("jira", [USE_CASE])] == ["change-3"]
    assert world.ledger.watch.unhandled("servicenow", [USE_CASE]) == ()
    assert world.ledger.watch.unhandled("jira", ["another"]) == ()


def test_a_change_is_given_once(world: Watching) -> None:
    """A page that is read again, or overlaps the one before, gives only what is new, oldest first."""
    case_id = world.decided(on=ticket())
    assert world.see(page(change(2, ticket()), change(1, ticket()))) == ["change-1", "change-2"]
    assert world.see(page(change(2, ticket()), change(3, ticket()), change(3, ticket()))) == ["change-3"]
    (watched,) = world.ledger.watch.record_changes("watch:jira", world.watch_fence, page(change(4, ticket())))
    assert (watched.case_id, watched.use_case) == (case_id, USE_CASE)


def test_only_our_tickets_and_only_people(world: Watching) -> None:
    """Other tickets of the desk are none of our business, and our own writes are not news."""
    world.decided(on=ticket(7))
    assert world.see(page(change(1, ticket(8)), change(2, ticket(7), by_us=True))) == []


def test_a_ticket_of_two_cases_speaks_for_the_newest(world: Watching) -> None:
    """Where several cases were linked to one ticket, a change belongs to the last of them."""
    world.decided(firing(1, rule="a"), on=ticket())
    world.clock.turn(timedelta(seconds=1))
    newest = world.decided(firing(2, rule="b"), on=ticket())
    (watched,) = world.ledger.watch.record_changes("watch:jira", world.watch_fence, page(change(1, ticket())))
    assert watched.case_id == newest


def test_a_later_reading_updates_the_ticket(world: Watching) -> None:
    """The state of our ticket is the desk's, so that the next firing opens a new episode."""
    case_id = world.decided(firing(1), on=ticket())
    resolved = ticket(state=TicketState.RESOLVED, version="2", after=60)
    world.see(page(tickets=[resolved]))
    assert world.ledger.reading.story(case_id).case.ticket == resolved
    world.see(page(tickets=[ticket()]))
    assert world.ledger.reading.story(case_id).case.ticket == resolved
    assert world.record(firing(2)).cases_opened == 1


def test_an_unchanged_reading_does_not_undo_what_we_did(world: Watching) -> None:
    """A reading from before our close, with the version known, leaves the ticket resolved; a newer one counts."""
    case_id = world.decided(effects=[CLOSE], on=ticket())
    world.do_all()
    world.see(page(tickets=[ticket()]))
    assert world.ledger.reading.story(case_id).case.ticket == replace(ticket(), state=TicketState.RESOLVED)
    reopened = ticket(version="3", after=90)
    world.see(page(tickets=[reopened]))
    assert world.ledger.reading.story(case_id).case.ticket == reopened


def test_the_cursor_moves_with_the_page(world: Watching) -> None:
    """Changes and cursor are one transaction, and an old fence writes neither."""
    world.decided(on=ticket())
    world.see(page(change(1, ticket()), cursor="after 1"))
    world.ledger.intake.release_feed("watch:jira", world.watch_fence)
    with pytest.raises(LeaseLost):
        world.see(page(change(2, ticket()), cursor="after 2"))
    claimed = world.ledger.intake.claim_feed("watch:jira", worker="b", lease=DAY)
    assert claimed == (world.watch_fence + 1, "after 1")


def test_a_correction_counts_once(world: Watching) -> None:
    """The same verdict from the same change is one correction with one audit record; another field is another."""
    case_id = world.decided(on=ticket())
    watch = world.ledger.watch
    watch.record_corrections([correction(case_id), correction(case_id)])
    watch.record_corrections([correction(case_id), correction(case_id, field="category")])
    story = world.ledger.reading.story(case_id)
    assert [given.field for given in story.corrections] == ["", "category"]
    assert world.events(case_id).count("case.corrected") == 2


def test_an_approval_that_nobody_gives_expires(world: Watching) -> None:
    """Planned actions of the use case that waited too long are dropped; younger and other ones stay."""
    old = world.decided(firing(1, rule="a"), effects=[NOTE, CLOSE], asks=["close"], on=ticket())
    world.clock.turn(DAY)
    young = world.decided(firing(2, rule="b"), effects=[CLOSE], asks=["close"], on=ticket())
    world.clock.turn(timedelta(hours=1))
    watch = world.ledger.watch
    assert (watch.overdue("another", older_than=DAY), watch.overdue(USE_CASE, older_than=DAY)) == ((), (old,))
    assert watch.expire_approvals("another", older_than=DAY) == ()
    assert watch.expire_approvals(USE_CASE, older_than=DAY) == (old,)
    assert watch.expire_approvals(USE_CASE, older_than=DAY) == watch.overdue(USE_CASE, older_than=DAY) == ()
    assert world.states(old) == {"note": "approved", "close": "dropped"}
    assert world.states(young) == {"close": "planned"}


def test_a_schedule_fires_once(world: Watching) -> None:
    """Two schedulers that fire the same name at the same time are one firing."""
    watch = world.ledger.watch
    assert watch.fire_once("report", START)
    assert not watch.fire_once("report", START)
    assert watch.fire_once("report", START + DAY)
    assert watch.fire_once("sweep", START)
