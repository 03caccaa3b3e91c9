"""How changes of ours ended: the newest word of their desk, counted in the period in which they did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.ended_changes import EndedChange
from countersign.tickets import ChangeEnd, TicketPage, TicketRef
from tests.ledger_world import CHANGE, NOTE, START, USE_CASE, World, ticket

HOUR = timedelta(hours=1)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def see(world: World, *ends: ChangeEnd) -> None:
    claimed = world.ledger.intake.claim_feed("watch:jira", worker="watcher", lease=HOUR)
    assert claimed is not None
    page = TicketPage(tickets=(), changes=(), cursor="next", ends=ends)
    world.ledger.watch.record_changes("watch:jira", claimed[0], page)
    world.ledger.intake.release_feed("watch:jira", claimed[0])


def ended(world: World, use_case: str = USE_CASE) -> tuple[EndedChange, ...]:
    return world.ledger.ended_changes(use_case, since=START, until=START + HOUR)


def drafted(world: World) -> tuple[ChangeEnd, str]:
    """How a change ends that we drafted, and the marker of a note of ours."""
    case_id = world.decided(effects=[CHANGE, NOTE], on=ticket())
    markers = {
        one.action.effect.kind: one.action.marker for one in world.ledger.reading.story(case_id).actions
    }
    ref = TicketRef(desk="jira", id="900", key="CHG-1")
    end = ChangeEnd(ref=ref, marker=markers["draft_change"], at=START, code="Failed", failed=True)
    return end, markers["note"]


def test_the_newest_word_of_the_desk_holds(world: World) -> None:
    """A close code is corrected, a change is opened again; told twice it counts once."""
    end, _ = drafted(world)
    see(world, end)
    see(world, end)
    assert [one.failed for one in ended(world)] == [True]
    see(world, replace(end, failed=None, cancelled=True))
    assert [(one.failed, one.cancelled) for one in ended(world)] == [(None, True)]
    see(world, replace(end, at=None))
    assert ended(world) == ()


def test_a_change_counts_in_the_period_in_which_it_ended(world: World) -> None:
    """The first moment belongs to it, the last one to the next; another use case has its own."""
    end, _ = drafted(world)
    for at, count in ((START - HOUR, 0), (START, 1), (START + HOUR, 0)):
        see(world, replace(end, at=at))
        assert len(ended(world)) == count
    see(world, end)
    assert ended(world, "another") == ()


def test_only_drafts_of_ours_are_kept(world: World) -> None:
    """Neither what somebody else marked so, nor another kind of action of ours."""
    end, note = drafted(world)
    see(world, *(replace(end, marker=marker) for marker in (note, "countersign:0123456789abcdef", "", "7")))
    assert ended(world) == ()
