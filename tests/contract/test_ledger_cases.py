"""The case book: leases are fenced, and a verdict is written with all it plans or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.assessment import Unassessed
from countersign.cases import Stage
from countersign.context import Found, Missing
from countersign.ledger import CloseLimits
from countersign.tickets import TicketState
from tests.ledger_world import (
    CLOSE,
    CREATE,
    LEASE,
    NOTE,
    ROUTE,
    USE_CASE,
    World,
    firing,
    recovery,
    ticket,
    verdict,
)

NOW = timedelta(0)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def test_a_case_has_one_worker(world: World) -> None:
    """While somebody holds a case nobody else gets it; the rest of what was asked for is left out."""
    (case_id,) = world.record(firing(1)).due
    cases = world.ledger.cases
    (claimed,) = cases.claim_cases([case_id, "c-unknown"], worker="a", lease=LEASE)
    assert (claimed.case.id, claimed.fence, claimed.attempt) == (case_id, 1, 1)
    assert cases.claim_cases([case_id], worker="b", lease=LEASE) == ()
    assert cases.due_cases(limit=5) == ()


def test_a_case_whose_worker_died_is_claimed_again(world: World) -> None:
    """When the lease ran out the next one gets a higher fence and the second attempt."""
    first = world.case()
    world.clock.turn(LEASE)
    second = world.claim_one()
    assert (second.case.id, second.fence, second.attempt) == (first.case.id, first.fence + 1, 2)


def test_who_slept_through_the_lease_writes_nothing(world: World) -> None:
    """The verdict on an old fence is reported as lost, and the newer one counts."""
    slept = world.case()
    world.clock.turn(LEASE)
    awake = world.claim_one()
    assert world.ledger.cases.record_verdicts([verdict(slept, effects=[CREATE])]).lost == (slept.case.id,)
    assert world.states(slept.case.id) == {}
    judged = world.ledger.cases.record_verdicts([verdict(awake, effects=[CREATE])])
    assert (len(judged.ready), judged.lost) == (1, ())


def test_a_late_verdict_counts_while_nobody_else_took_the_case(world: World) -> None:
    """A lease that ran out is still the newest: its work is not thrown away."""
    slow = world.case()
    world.clock.turn(10 * LEASE)
    assert world.ledger.cases.record_verdicts([verdict(slow)]).lost == ()


def test_a_verdict_counts_once(world: World) -> None:
    """Recording it gives the lease back, so the same verdict again is lost."""
    claimed = world.case()
    world.ledger.cases.record_verdicts([verdict(claimed)])
    assert world.ledger.cases.record_verdicts([verdict(claimed)]).lost == (claimed.case.id,)
    assert len(world.ledger.reading.story(claimed.case.id).decisions) == 1


def test_a_verdict_is_kept_with_all_it_rested_on(world: World) -> None:
    """Assessment, decision, calls, context, ticket, actions and audit records can be read back as they were."""
    given = verdict(world.case(), effects=[NOTE, CLOSE], asks=["close"], on=ticket())
    context = replace(given.context, logs=Found(("a line",)), changes=Missing("it did not answer in 3 s"))
    given = replace(given, context=context)
    judged = world.ledger.cases.record_verdicts([given])
    story = world.ledger.reading.story(given.case_id)
    (decision,) = story.decisions
    assert (decision.assessment, decision.decision, decision.calls) == (
        given.assessment,
        given.decision,
        given.calls,
    )
    assert (decision.policy_version, decision.policy_hash, decision.autonomy) == (3, "abc", "act")
    assert (story.stage, story.case.context, story.case.ticket) == (Stage.DECIDED, context, ticket())
    assert [record.action for record in story.actions] == list(given.actions)
    assert [(record.state, record.approved_by) for record in story.actions] == [
        ("approved", "policy:noise"),
        ("planned", ""),
    ]
    assert judged.ready == (given.actions[0].key,)
    assert [record.event for record in story.audit] == ["case.decided", "action.planned", "action.planned"]


def test_no_assessment_is_kept_as_well(world: World) -> None:
    """Why nobody was asked is part of the record."""
    unassessed = Unassessed(reason="model_down", because="no model answered")
    case_id = world.decided(assessment=unassessed)
    assert world.ledger.reading.story(case_id).decisions[0].assessment == unassessed


def test_a_known_action_is_not_planned_again(world: World) -> None:
    """A later revision that plans the same key leaves the action, and what became of it, alone."""
    case_id = world.decided(firing(1), effects=[NOTE], on=ticket())
    world.do_all()
    world.record(recovery(2, key="key-1"))
    judged = world.ledger.cases.record_verdicts([verdict(world.claim_one(), effects=[NOTE])])
    assert judged.ready == ()
    assert world.states(case_id) == {"note": "done"}
    assert world.events(case_id).count("action.planned") == 1


def test_a_newer_decision_replaces_what_nobody_approved(world: World) -> None:
    """What an earlier revision asked for is dropped when the case was looked at again."""
    case_id = world.decided(firing(1), effects=[NOTE, CLOSE], asks=["close"], on=ticket())
    world.do_all()
    world.record(recovery(2, key="key-1"))
    world.ledger.cases.record_verdicts([verdict(world.claim_one(), effects=[ROUTE], event="second")])
    assert world.states(case_id) == {"note": "done", "close": "dropped", "route": "approved"}
    assert "action.dropped" in world.events(case_id)


def test_first_seen_until_one_like_it_was_decided(world: World) -> None:
    """An episode knows whether any before it was decided."""
    first = world.case(firing(1))
    assert first.first_seen
    world.ledger.cases.record_verdicts([verdict(first, on=ticket(state=TicketState.CLOSED))])
    assert not world.case(firing(2)).first_seen


def test_a_case_that_ended_undecided_teaches_nothing(world: World) -> None:
    """People resolved the ticket before anything was decided: the next episode is the first seen."""
    first = world.case(firing(1))
    world.ledger.cases.record_verdicts([verdict(first, on=ticket(1, state=TicketState.RESOLVED))])
    other = world.case(firing(2, rule="other"))
    assert other.first_seen


def test_a_linked_ticket_comes_with_the_case(world: World) -> None:
    """The ticket of a verdict is the case's when it is claimed again, as last read."""
    world.decided(firing(1), on=ticket())
    world.record(recovery(2, key="key-1"))
    assert world.claim_one().case.ticket == ticket()


def test_an_older_reading_of_a_ticket_changes_nothing(world: World) -> None:
    """A verdict with a stale ticket does not bring an earlier state back."""
    newer = ticket(state=TicketState.RESOLVED, version="2", after=60)
    case_id = world.decided(firing(1), on=newer)
    world.decided(firing(2, rule="other"), on=ticket())
    assert world.ledger.reading.story(case_id).case.ticket == newer


def test_given_back_without_blame(world: World) -> None:
    """`count=False` gives the case back as if it had not been tried, as often as need be."""
    for _ in range(5):
        claimed = world.claim_one() if world.ledger.cases.due_cases(limit=1) else world.case()
        assert claimed.attempt == 1
        world.ledger.cases.give_back(
            claimed.case.id, claimed.fence, due_in=NOW, error="no model", count=False
        )


def test_the_third_time_is_a_dead_letter(world: World) -> None:
    """After three attempts people get the case, with the last error; nobody claims it any more."""
    claimed = world.case()
    for attempt in (1, 2, 3):
        assert claimed.attempt == attempt
        world.ledger.cases.give_back(claimed.case.id, claimed.fence, due_in=LEASE, error="it is broken")
        world.clock.turn(LEASE)
        claimed = next(iter(world.claim()), claimed)
    (letter,) = world.ledger.reading.dead_letters(limit=5)
    assert (letter.kind, letter.subject, letter.reason, letter.attempts) == (
        "case",
        claimed.case.id,
        "it is broken",
        3,
    )
    assert world.ledger.reading.story(claimed.case.id).stage == Stage.DEAD
    assert world.events(claimed.case.id) == ["case.dead"]


def test_a_given_back_case_waits(world: World) -> None:
    """It is due again when it was asked to be."""
    claimed = world.case()
    world.ledger.cases.give_back(claimed.case.id, claimed.fence, due_in=LEASE, error="later")
    assert world.ledger.cases.due_cases(limit=1) == ()
    world.clock.turn(LEASE)
    assert world.claim_one().attempt == 2


def test_what_was_given_back_is_not_decided(world: World) -> None:
    """A verdict that comes after giving the case back is lost, though nobody else has it yet."""
    claimed = world.case()
    world.ledger.cases.give_back(claimed.case.id, claimed.fence, due_in=LEASE, error="no model")
    assert world.ledger.cases.record_verdicts([verdict(claimed)]).lost == (claimed.case.id,)


def test_an_old_fence_gives_nothing_back(world: World) -> None:
    """Who slept through the lease can't take the case from its new holder."""
    slept = world.case()
    world.clock.turn(LEASE)
    world.claim_one()
    world.ledger.cases.give_back(slept.case.id, slept.fence, due_in=NOW, error="late")
    assert world.ledger.cases.due_cases(limit=1) == ()


def test_a_case_that_kills_its_workers_is_a_dead_letter(world: World) -> None:
    """Claimed three times and never heard of again: the fourth claim gives it to people."""
    case_id = world.case().case.id
    for _ in range(2):
        world.clock.turn(LEASE)
        world.claim_one()
    world.clock.turn(LEASE)
    assert world.claim() == ()
    assert world.ledger.reading.story(case_id).stage == Stage.DEAD
    assert [letter.subject for letter in world.ledger.reading.dead_letters(limit=5)] == [case_id]


def test_closes_are_counted_by_hour_and_by_day(world: World) -> None:
    """What closed an hour ago no longer counts for the hour, what closed a day ago not for the day."""
    world.decided(firing(1, rule="a"), closes=True)
    world.clock.turn(timedelta(minutes=61))
    world.decided(firing(2, rule="b"), closes=True, service="login")
    world.decided(firing(3, rule="c"))
    closes = world.ledger.cases.closes(USE_CASE)
    assert (closes.last_hour, closes.by_service) == (1, {"checkout": 1, "login": 1})
    world.clock.turn(timedelta(hours=23))
    closes = world.ledger.cases.closes(USE_CASE)
    assert (closes.last_hour, closes.by_service) == (0, {"login": 1})


@pytest.mark.parametrize(
    "limits", [CloseLimits(per_hour=2, per_service_per_day=9), CloseLimits(per_hour=9, per_service_per_day=2)]
)
def test_a_batch_can_not_exceed_a_limit(world: World, limits: CloseLimits) -> None:
    """Of three closes with two allowed, the third is not recorded and can be decided again on the same lease."""
    world.record(*(firing(number, rule=f"rule-{number}") for number in range(3)))
    claimed = world.claim()
    judged = world.ledger.cases.record_verdicts([verdict(one, closes=True, limits=limits) for one in claimed])
    assert len(judged.over_limit) == 1
    (again,) = (one for one in claimed if one.case.id in judged.over_limit)
    assert world.ledger.reading.story(again.case.id).decisions == ()
    assert world.ledger.cases.record_verdicts([verdict(again, limits=limits)]).over_limit == ()


def test_services_have_limits_of_their_own(world: World) -> None:
    """The last close of one service is none of another's business."""
    limits = CloseLimits(per_hour=9, per_service_per_day=1)
    world.decided(firing(1, rule="a"), closes=True, limits=limits)
    claimed = world.case(firing(2, rule="b"))
    judged = world.ledger.cases.record_verdicts(
        [verdict(claimed, closes=True, limits=limits, service="login")]
    )
    assert judged.over_limit == ()


def test_what_a_dead_worker_held_is_due_at_once(world: World) -> None:
    """Its attempt stays counted; what others hold stays held, and once it is claimed an old verdict is lost."""
    left = world.case()
    world.record(firing(2, rule="other"))
    (kept,) = world.claim(worker="alive")
    cases = world.ledger.cases
    assert cases.end_leases(lambda worker: worker != "alive") == (left.case.id,)
    assert cases.due_cases(limit=5, again=True) == (left.case.id,) != (kept.case.id,)
    (second,) = cases.claim_cases([left.case.id], worker="b", lease=LEASE)
    assert (second.attempt, second.fence) == (2, left.fence + 1)
    assert cases.record_verdicts([verdict(left)]).lost == (left.case.id,)


def test_who_was_taken_for_dead_may_still_be_right(world: World) -> None:
    """A lease that was ended wrongly costs nothing: until somebody else claims, its holder's verdict counts."""
    held = world.case()
    assert world.ledger.cases.end_leases(lambda _worker: True) == (held.case.id,)
    assert world.ledger.cases.record_verdicts([verdict(held)]).lost == ()
    assert world.ledger.cases.end_leases(lambda _worker: True) == ()


def test_what_was_begun_before_is_claimed_by_itself_alone(world: World) -> None:
    """A message for several, sent before one of them was begun, takes only those that never were."""
    begun = world.case().case.id
    world.ledger.cases.end_leases(lambda _worker: True)
    world.record(firing(2, rule="other"))
    due = world.ledger.cases.due_cases(limit=5)
    (fresh,) = world.ledger.cases.claim_cases(due, worker="a", lease=LEASE)
    assert sorted(due) == sorted((begun, fresh.case.id))
    (again,) = world.ledger.cases.claim_cases([begun], worker="a", lease=LEASE)
    assert (again.case.id, again.attempt) == (begun, 2)


def test_the_dead_do_not_hide_how_often_a_case_was_begun(world: World) -> None:
    """Three workers that die of it at once after another make a dead letter, without waiting for one lease."""
    case_id = world.case().case.id
    for _ in range(2):
        world.ledger.cases.end_leases(lambda _worker: True)
        world.claim_one()
    world.ledger.cases.end_leases(lambda _worker: True)
    assert world.claim() == ()
    assert world.ledger.reading.story(case_id).stage == Stage.DEAD
