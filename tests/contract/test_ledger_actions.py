"""The action book: counted before it is done, done in order, told by the newest holder alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.alerts import Alert
from countersign.ledger import Settled
from countersign.tickets import Receipt, TicketRef, TicketState
from tests.ledger_world import (
    CHANGE,
    CLOSE,
    CREATE,
    LEASE,
    NOTE,
    ROUTE,
    USE_CASE,
    World,
    done,
    firing,
    recovery,
    ticket,
    told,
    verdict,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def test_the_intent_is_on_record_before_the_action(world: World) -> None:
    """Claiming counts the attempt and writes who is about to do what, to what, approved by whom."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    claimed = world.take_one()
    assert (claimed.attempt, claimed.in_doubt, claimed.action.ticket) == (1, False, ticket().ref)
    intent = world.ledger.reading.story(case_id).audit[-1]
    assert (intent.event, intent.actor, intent.subject) == ("action.intent", "actor", claimed.action.key)
    assert intent.detail["approved_by"] == "policy:noise"
    assert intent.detail["ticket"] == "OPS-7"


def test_an_action_has_one_worker(world: World) -> None:
    """What is being done is neither due nor claimed by anybody else."""
    world.decided(effects=[NOTE], on=ticket())
    claimed = world.take_one()
    assert world.ledger.actions.due_actions(limit=5) == ()
    assert world.ledger.actions.claim_actions([claimed.action.key], worker="b", lease=LEASE) == ()


def test_a_worker_that_died_leaves_a_doubt(world: World) -> None:
    """Killed between claim and settle: when the lease ends the action is claimed again, in doubt, as attempt 2."""
    world.decided(effects=[NOTE], on=ticket())
    world.take_one()
    world.clock.turn(LEASE)
    again = world.take_one()
    assert (again.attempt, again.in_doubt) == (2, True)


def test_only_the_newest_holder_tells_how_it_went(world: World) -> None:
    """The word of who slept through the lease is skipped; with the newest fence it counts."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    slept = world.take_one()
    world.clock.turn(LEASE)
    awake = world.take_one()
    world.ledger.actions.settle([told(slept, "dead")])
    assert world.states(case_id) == {"note": "posting"}
    world.ledger.actions.settle([done(awake)])
    assert world.states(case_id) == {"note": "done"}
    world.ledger.actions.settle([told(awake, "retry")])
    assert world.states(case_id) == {"note": "done"}


def test_done_keeps_the_receipt(world: World) -> None:
    """The desk's handle and the before-image stay with the action, and in the audit."""
    case_id = world.decided(effects=[ROUTE], on=ticket())
    receipt = Receipt(handle="r1", before={"group": "tier-1"})
    claimed = world.take_one()
    world.ledger.actions.settle(
        [Settled(key=claimed.action.key, fence=claimed.fence, result="done", receipt=receipt)]
    )
    story = world.ledger.reading.story(case_id)
    assert story.actions[0].receipt == receipt
    assert story.actions[0].done_at == world.clock.at
    assert story.audit[-1].event == "action.done"
    assert story.audit[-1].detail["before"] == {"group": "tier-1"}


def test_done_without_a_receipt_is_refused(world: World) -> None:
    """Nothing is told done that can't be undone."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    claimed = world.take_one()
    with pytest.raises(ValueError, match="without its receipt"):
        world.ledger.actions.settle([told(claimed, "done")])
    assert world.states(case_id) == {"note": "posting"}


def test_actions_of_a_case_are_done_in_order(world: World) -> None:
    """Each becomes ready when the one before it is done; its receipt is handed on."""
    world.decided(effects=[CHANGE, NOTE, ROUTE], on=ticket())
    order = []
    while taken := world.take():
        (claimed,) = taken
        order.append(claimed.action.effect.kind)
        world.ledger.actions.settle([done(claimed, handle=f"of {claimed.action.effect.kind}")])
    assert order == ["draft_change", "note", "route"]
    assert {kind: receipt.handle for kind, receipt in claimed.earlier.items()} == {
        "draft_change": "of draft_change",
        "note": "of note",
    }


def test_settling_tells_what_became_ready(world: World) -> None:
    """Whoever settles can wake somebody for the next action at once."""
    world.decided(effects=[CREATE, NOTE])
    claimed = world.take_one()
    (ready,) = world.ledger.actions.settle([done(claimed)])
    assert world.ledger.actions.due_actions(limit=5) == (ready,)


def test_a_created_ticket_is_where_the_rest_is_written(world: World) -> None:
    """The case and its later actions get the ticket that the first one made."""
    case_id = world.decided(effects=[CREATE, NOTE])
    world.ledger.actions.settle([done(world.take_one(), handle="10042|OPS-42")])
    assert world.take_one().action.ticket == TicketRef(desk="jira", id="10042", key="OPS-42")
    case = world.ledger.reading.story("OPS-42").case
    assert case.id == case_id
    assert case.ticket is not None
    assert (case.ticket.title, case.ticket.state) == ("disk full", TicketState.OPEN)


def test_a_receipt_may_name_the_ticket_itself(world: World) -> None:
    """What the desk says it made goes before what its handle looks like."""
    world.decided(effects=[CREATE, NOTE])
    claimed, made = world.take_one(), TicketRef(desk="jira", id="10050", key="OPS-50", url="http://x")
    receipt = Receipt(handle="marker", made=made)
    world.ledger.actions.settle(
        [Settled(key=claimed.action.key, fence=claimed.fence, result="done", receipt=receipt)]
    )
    assert world.take_one().action.ticket == made


def test_a_dead_note_does_not_hold_up_the_route(world: World) -> None:
    """What follows an action that failed for good is done, if it makes sense without it."""
    case_id = world.decided(effects=[NOTE, ROUTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "dead", detail="the desk refuses it")])
    assert world.take_one().action.effect.kind == "route"
    assert world.states(case_id)["note"] == "dead"


def test_a_note_that_is_tried_again_holds_up_the_route(world: World) -> None:
    """The order stands as long as the earlier action may still be done."""
    world.decided(effects=[NOTE, ROUTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "retry", again_in=MINUTE)])
    assert world.take() == ()
    world.clock.turn(MINUTE)
    assert world.take_one().action.effect.kind == "note"


def test_what_waits_for_approval_holds_up_nothing(world: World) -> None:
    """A route goes on while the close before it waits for a person."""
    world.decided(effects=[CLOSE, ROUTE], asks=["close"], on=ticket())
    assert world.take_one().action.effect.kind == "route"


def test_without_its_ticket_the_rest_is_dead_too(world: World) -> None:
    """Each of the actions that need it becomes a dead letter of its own that names it; a replay revives all."""
    case_id = world.decided(effects=[CREATE, NOTE, CLOSE], asks=["close"], on=None)
    claimed = world.take_one()
    world.ledger.actions.settle([told(claimed, "dead", detail="the project is gone")])
    assert set(world.states(case_id).values()) == {"dead"}
    letters = world.ledger.reading.dead_letters(limit=9)
    assert len(letters) == 3
    (first,) = (letter for letter in letters if letter.subject == claimed.action.key)
    assert all("the project is gone" in letter.reason for letter in letters)
    world.ledger.reading.resolve_dead_letter(first.id, how="replayed", by="ann")
    assert world.states(case_id) == {
        claimed.action.effect.kind: "approved",
        "note": "approved",
        "close": "planned",
    }
    assert world.take_one().action.key == claimed.action.key


def test_a_change_that_could_not_be_drafted_holds_up_no_note(world: World) -> None:
    """The note waits while the change is on its way, and is written when the change is a dead letter."""
    world.decided(effects=[CHANGE, NOTE], on=ticket())
    change = world.take_one()
    assert world.take() == ()
    world.ledger.actions.settle([told(change, "dead", detail="the template is gone")])
    assert world.take_one().action.effect.kind == "note"


def test_planned_on_a_ticket_that_was_given_up(world: World) -> None:
    """A later revision can't write on a ticket that was never made: its note is a dead letter, not waiting for ever."""
    case_id = world.decided(firing(1), effects=[CREATE])
    world.ledger.actions.settle([told(world.take_one(), "dead", detail="the project is gone")])
    world.record(recovery(2, key="key-1"))
    world.ledger.cases.record_verdicts([verdict(world.claim_one(), effects=[CREATE, NOTE])])
    assert world.states(case_id) == {"create_ticket": "dead", "note": "dead"}
    assert world.ledger.reading.tally().waiting == 0


def test_a_retry_waits_and_the_third_is_a_dead_letter(world: World) -> None:
    """Each retry is due when it was asked to be; the third is given to people with its reason."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    for attempt in (1, 2, 3):
        claimed = world.take_one()
        assert (claimed.attempt, claimed.in_doubt) == (attempt, False)
        world.ledger.actions.settle([told(claimed, "retry", again_in=MINUTE, detail="busy")])
        assert world.take() == ()
        world.clock.turn(MINUTE)
    assert world.take() == ()
    assert world.states(case_id) == {"note": "dead"}
    (letter,) = world.ledger.reading.dead_letters(limit=5)
    assert (letter.kind, letter.reason, letter.attempts) == ("action", "busy", 3)
    assert "Looks like noise" in letter.payload


def test_an_action_in_doubt_is_held_back(world: World) -> None:
    """It is not probed before the desk's search can have found it, and then it is said to be in doubt."""
    world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "in_doubt", again_in=5 * MINUTE)])
    world.clock.turn(4 * MINUTE)
    assert world.take() == ()
    world.clock.turn(MINUTE)
    assert world.take_one().in_doubt


def test_a_doubt_stays_until_it_is_seen_done(world: World) -> None:
    """Neither a retry nor giving it back untried makes us sure that it did not happen."""
    world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "in_doubt")])
    world.ledger.actions.settle([told(world.take_one(), "withdrawn")])
    claimed = world.take_one()
    assert (claimed.in_doubt, claimed.attempt) == (True, 2)
    world.ledger.actions.settle([told(claimed, "retry")])
    assert world.take_one().in_doubt


def test_a_void_approval_is_asked_for_again(world: World) -> None:
    """It waits as before, its approver forgotten; who approves next is known to know what voided it."""
    case_id = world.decided(effects=[CLOSE], asks=["close"], on=ticket())
    (record,) = world.ledger.reading.story(case_id).actions
    actions, code = world.ledger.actions, record.action.code
    actions.approve(case_id, code, by="dana", change_id="approval-1")
    world.clock.turn(MINUTE)
    claimed = world.take_one()
    assert claimed.approval is not None
    assert (claimed.approval.by, claimed.approval.age) == ("dana", MINUTE)
    actions.settle([replace(told(claimed, "void", detail="why"), known=("approval-1", "c1"))])
    assert (world.take(), world.states(case_id)) == ((), {"close": "planned"})
    actions.void(case_id, code, why="again", known=["c2"])
    actions.approve(case_id, code, by="ann", change_id="approval-2")
    again = world.take_one()
    assert again.approval is not None
    assert (again.approval.by, again.approval.known) == ("ann", {"approval-1", "c1", "c2"})
    assert (again.attempt, world.events(case_id).count("action.void")) == (1, 2)


def test_the_doubt_of_a_crash_outlives_giving_it_back(world: World) -> None:
    """Who finds no time to probe after a crash leaves the doubt to the next."""
    world.decided(effects=[NOTE], on=ticket())
    world.take_one()
    world.clock.turn(LEASE)
    world.ledger.actions.settle([told(world.take_one(), "withdrawn")])
    assert world.take_one().in_doubt


def test_nothing_is_written_before_there_is_a_ticket(world: World) -> None:
    """A later revision's note waits for the ticket that the earlier one is still to create."""
    world.decided(firing(1), effects=[CREATE])
    world.record(recovery(2, key="key-1"))
    world.ledger.cases.record_verdicts([verdict(world.claim_one(), effects=[CREATE, NOTE])])
    (create,) = world.take()
    assert create.action.effect.kind == "create_ticket"
    world.ledger.actions.settle([done(create)])
    assert world.take_one().action.effect.kind == "note"


def test_an_earlier_revision_holds_up_nothing(world: World) -> None:
    """What a former look at the case still has to try again does not delay what the newest decided."""
    world.decided(firing(1), effects=[NOTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "retry", again_in=60 * MINUTE)])
    world.record(recovery(2, key="key-1"))
    again = verdict(world.claim_one(), effects=[NOTE, ROUTE])
    assert world.ledger.cases.record_verdicts([again]).ready == (again.actions[1].key,)


def test_the_fourth_claim_is_a_dead_letter(world: World) -> None:
    """An action whose workers die over it is not tried for ever."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    for attempt in (1, 2, 3):
        assert world.take_one().attempt == attempt
        world.clock.turn(LEASE)
    assert world.take() == ()
    assert world.states(case_id) == {"note": "dead"}
    assert world.events(case_id)[-1] == "action.dead"


def test_withdrawn_is_not_counted(world: World) -> None:
    """What was claimed and not tried is due again when asked for, as the same attempt, as often as need be."""
    world.decided(effects=[NOTE], on=ticket())
    for _ in range(5):
        claimed = world.take_one()
        assert (claimed.attempt, claimed.in_doubt) == (1, False)
        world.ledger.actions.settle([told(claimed, "withdrawn", again_in=MINUTE)])
        assert world.take() == ()
        world.clock.turn(MINUTE)


def test_a_stop_keeps_everything_and_lets_nothing_through(world: World) -> None:
    """While its use case, or everything, is stopped no action is due or claimed; on resuming it goes on."""
    world.decided(effects=[NOTE], on=ticket())
    (key,) = world.ledger.actions.due_actions(limit=5)
    controls = world.ledger.controls
    for scope in (USE_CASE, "*"):
        controls.stop(scope, by="ann")
        assert controls.is_stopped(USE_CASE)
        assert world.ledger.actions.due_actions(limit=5) == ()
        assert world.ledger.actions.claim_actions([key], worker="a", lease=LEASE) == ()
        assert controls.resume(scope, by="ann")
    controls.stop("another", by="ann")
    assert not controls.is_stopped(USE_CASE)
    assert world.take_one().action.key == key


def test_who_may_still_write_is_asked_of_the_ledger(world: World) -> None:
    """The holder of the newest claim may, until it has settled; whoever slept through the lease, or is stopped, not."""
    world.decided(effects=[NOTE], on=ticket())
    refusal, late = world.ledger.actions.refusal, world.take_one()
    world.clock.turn(LEASE)
    newer = world.take_one()
    key = newer.action.key
    assert refusal(key, late.fence) == "Another worker has this action now; it is left to that one."
    assert refusal(key, newer.fence) == ""
    world.ledger.controls.stop(USE_CASE, by="ann")
    assert "was stopped" in refusal(key, newer.fence)
    world.ledger.controls.resume(USE_CASE, by="ann")
    world.ledger.actions.settle([done(newer)])
    assert "Another worker" in refusal(key, newer.fence)
    assert "Another worker" in refusal("no such action", 1)


def test_an_approval_names_the_exact_payload(world: World) -> None:
    """The code of the story approves that action once, whatever its case; a wrong code approves nothing."""
    case_id = world.decided(effects=[NOTE, CLOSE], asks=["close"], on=ticket())
    world.do_all()
    close = world.ledger.reading.story(case_id).actions[1].action
    actions = world.ledger.actions
    assert actions.approve(case_id, "zzzz", by="ann", change_id="1") == ()
    assert actions.approve("c-other", close.code, by="ann", change_id="1") == ()
    assert actions.approve(case_id, close.code.upper(), by="ann", change_id="1") == (close.key,)
    assert actions.approve(case_id, close.code, by="bob", change_id="2") == ()
    assert world.take_one().action == close
    story = world.ledger.reading.story(case_id)
    assert story.actions[1].approved_by == "ann"
    (approval,) = (record for record in story.audit if record.event == "action.approved")
    assert (approval.actor, approval.detail["payload_hash"]) == ("ann", close.payload_hash)


def test_the_code_stays_when_the_ticket_comes_later(world: World) -> None:
    """What was asked before the ticket existed is approved by the code that was shown."""
    claimed = world.case()
    given = verdict(claimed, effects=[CREATE, CLOSE], asks=["close"])
    world.ledger.cases.record_verdicts([given])
    world.do_all()
    keys = world.ledger.actions.approve(given.case_id, given.actions[1].code, by="ann", change_id="1")
    assert keys == (given.actions[1].key,)
    assert world.ledger.reading.story(given.case_id).actions[1].action.code == given.actions[1].code


def test_what_is_dropped_is_not_done(world: World) -> None:
    """By its code or all at once, with the reason on record; a dropped action can't be approved."""
    case_id = world.decided(effects=[NOTE, CLOSE, ROUTE], asks=["close", "route"], on=ticket())
    close = world.ledger.reading.story(case_id).actions[1].action
    actions = world.ledger.actions
    assert actions.drop(case_id, close.code, by="ann", why="it is real") == 1
    assert actions.approve(case_id, close.code, by="ann", change_id="1") == ()
    assert actions.drop(case_id, "", by="ann", why="leave it") == 1
    assert actions.drop(case_id, "", by="ann", why="leave it") == 0
    assert world.states(case_id) == {"note": "approved", "close": "dropped", "route": "dropped"}
    assert world.ledger.reading.story(case_id).actions[1].detail == "it is real"


def test_an_approval_may_be_taken_back_until_it_is_begun(world: World) -> None:
    """What a person approved is dropped as what waits is; what the policy decided, and what is under way, is not."""
    case_id = world.decided(effects=[NOTE, CLOSE, ROUTE], asks=["close", "route"], on=ticket())
    close, route = (one.action for one in world.ledger.reading.story(case_id).actions[1:])
    actions = world.ledger.actions
    actions.approve(case_id, close.code, by="ann", change_id="1")
    world.do_all()
    actions.approve(case_id, route.code, by="ann", change_id="2")
    assert actions.drop(case_id, "", by="ann", why="leave it") == 1
    assert world.states(case_id) == {"note": "done", "close": "done", "route": "dropped"}


@pytest.mark.parametrize(
    ("news", "fired"),
    [
        ([], False),
        ([firing(2)], True),
        ([firing(2), recovery(3, key="key-2")], False),
        ([firing(2, key="key-1", at=-5)], False),
    ],
)
def test_a_claimed_close_says_whether_its_case_has_fired_again(
    world: World, news: list[Alert], fired: bool
) -> None:
    """Since it was decided, and not recovered again; what only comes late is no news."""
    world.decided(firing(1), recovery(9, key="key-1"), effects=[CLOSE], on=ticket())
    world.clock.turn(MINUTE)
    world.record(*news)
    approval = world.take_one().approval
    assert approval is not None
    assert (approval.by, approval.fired) == ("", fired)


def test_a_claimed_close_knows_of_the_next_episode(world: World) -> None:
    """Over for so long that what fires now is another case: it has fired again all the same."""
    world.decided(firing(1), recovery(9, key="key-1"), effects=[CLOSE], on=ticket())
    world.clock.turn(timedelta(days=2))
    assert world.record(firing(2, at=180_000)).cases_opened == 1
    approval = world.take_one().approval
    assert approval is not None
    assert approval.fired


def test_what_needs_a_dropped_ticket_is_dropped_with_it(world: World) -> None:
    """A note on a ticket that a person did not want is not left waiting."""
    case_id = world.decided(effects=[CREATE, NOTE], asks=["create_ticket"])
    assert world.ledger.actions.drop(case_id, "", by="ann", why="no ticket, please") == 2
    assert set(world.states(case_id).values()) == {"dropped"}


def test_a_ticket_that_we_resolved_is_finished(world: World) -> None:
    """What fires after our own close is a new episode, before the desk is read again."""
    world.decided(firing(1), effects=[CLOSE], on=ticket())
    world.do_all()
    assert world.record(firing(2)).cases_opened == 1


def test_every_transition_has_its_record(world: World) -> None:
    """From plan to done the audit tells each step, in order."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "retry", detail="busy")])
    world.ledger.actions.settle([told(world.take_one(), "in_doubt", detail="cut off")])
    world.ledger.actions.settle([done(world.take_one())])
    assert world.events(case_id) == [
        "case.decided",
        "action.planned",
        "action.intent",
        "action.retry",
        "action.intent",
        "action.in_doubt",
        "action.intent",
        "action.done",
    ]
