"""Reading: stories, lists, dead letters and sums say what happened, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from countersign.cases import Stage
from countersign.errors import NotFound, UnreadableAlert
from countersign.ledger import Correction
from countersign.ports import Unreadable
from countersign.tickets import TicketState
from tests.ledger_world import (
    CHANGE,
    CLOSE,
    FEED,
    NOTE,
    ROUTE,
    START,
    USE_CASE,
    World,
    done,
    firing,
    recovery,
    ticket,
    told,
)

NOW = timedelta(0)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def dead_case(world: World) -> str:
    claimed = world.case()
    for _ in range(3):
        world.ledger.cases.give_back(claimed.case.id, claimed.fence, due_in=NOW, error="broken")
        claimed = next(iter(world.claim()), claimed)
    return claimed.case.id


def test_a_story_is_found_by_what_people_have_at_hand(world: World) -> None:
    """By its id, a beginning of it typed in capitals, or the key of its ticket."""
    case_id = world.decided(on=ticket())
    story = world.ledger.reading.story(case_id)
    assert story.case.id == case_id
    assert world.ledger.reading.story(case_id[:10].upper()) == story
    assert world.ledger.reading.story("ops-7") == story


def test_a_beginning_of_two_ids_is_not_enough(world: World) -> None:
    """Nobody reads the wrong story; and what is not there is said so."""
    world.decided(firing(1, rule="a"))
    world.decided(firing(2, rule="b"))
    for typed in ("c", "c_", "OPS-99", "", "%"):
        with pytest.raises(NotFound):
            world.ledger.reading.story(typed)


def test_the_ticket_of_two_cases_tells_of_the_newest(world: World) -> None:
    """A ticket's key finds the last case that was linked to it."""
    world.decided(firing(1, rule="a"), on=ticket())
    world.clock.turn(timedelta(seconds=1))
    newest = world.decided(firing(2, rule="b"), on=ticket())
    assert world.ledger.reading.story("OPS-7").case.id == newest


def test_cases_are_listed_newest_first(world: World) -> None:
    """With what was decided and the ticket; filtered by stage or ticket."""
    first = world.decided(firing(1, rule="a"), on=ticket())
    world.clock.turn(timedelta(seconds=1))
    (second,) = world.record(firing(2, rule="b")).due
    reading = world.ledger.reading
    assert [line.id for line in reading.cases(limit=5)] == [second, first]
    assert [line.id for line in reading.cases(limit=1)] == [second]
    assert [line.id for line in reading.cases(limit=5, stage="due")] == [second]
    (line,) = reading.cases(limit=5, ticket="OPS-7")
    assert (line.id, line.ticket, line.outcome, line.rule, line.category) == (
        first,
        "OPS-7",
        "draft_note",
        "noise",
        "informational",
    )


def test_a_replayed_case_is_due_again(world: World) -> None:
    """With its attempts at 0; replaying twice is replaying once."""
    case_id = dead_case(world)
    reading = world.ledger.reading
    (letter,) = reading.dead_letters(limit=5)
    assert reading.resolve_dead_letter(letter.id, how="replayed", by="ann").state == "replayed"
    claimed = world.claim_one()
    assert (claimed.case.id, claimed.attempt) == (case_id, 1)
    assert reading.resolve_dead_letter(letter.id, how="replayed", by="ann").state == "replayed"
    assert reading.resolve_dead_letter(letter.id, how="dismissed", by="ann").state == "replayed"
    assert world.claim() == ()
    assert reading.dead_letters(limit=5) == ()


def test_a_dismissed_case_stays_where_it_is(world: World) -> None:
    """Dismissing says that a person has seen to it."""
    case_id = dead_case(world)
    reading = world.ledger.reading
    (letter,) = reading.dead_letters(limit=5)
    reading.resolve_dead_letter(letter.id, how="dismissed", by="ann")
    assert reading.story(case_id).stage == Stage.DEAD
    assert [one.id for one in reading.dead_letters(limit=5, state="dismissed")] == [letter.id]


def test_a_replayed_action_that_was_in_doubt_is_probed(world: World) -> None:
    """It may have happened all the same, so a replay looks for it first."""
    world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "in_doubt")])
    world.ledger.actions.settle([told(world.take_one(), "dead", detail="nobody knows")])
    (letter,) = world.ledger.reading.dead_letters(limit=5)
    world.ledger.reading.resolve_dead_letter(letter.id.upper(), how="replayed", by="ann")
    claimed = world.take_one()
    assert (claimed.attempt, claimed.in_doubt) == (1, True)


def test_an_action_replayed_twice_is_done_once(world: World) -> None:
    """The second replay comes after it was done: nothing is due, and its record has one replay."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "dead", detail="refused")])
    reading = world.ledger.reading
    (letter,) = reading.dead_letters(limit=5)
    reading.resolve_dead_letter(letter.id, how="replayed", by="ann")
    world.do_all()
    assert reading.resolve_dead_letter(letter.id, how="replayed", by="ann").state == "replayed"
    assert world.take() == ()
    assert [one.state for one in reading.story(case_id).actions] == ["done"]
    assert _replays(world) == 1


def test_a_letter_that_is_not_there(world: World) -> None:
    """Resolving it says so."""
    with pytest.raises(NotFound, match="no dead letter"):
        world.ledger.reading.resolve_dead_letter("d0", how="replayed", by="ann")


def test_an_alert_letter_is_not_merely_marked(world: World) -> None:
    """Only its source can read the payload again: without that, the letter stays open, and can be dismissed."""
    broken = Unreadable(source_id="e9", reason="no title", payload="{}")
    world.ledger.intake.record_page(FEED, world.fence, entries=[], unreadable=[broken], cursor="x")
    (letter,) = world.ledger.reading.dead_letters(limit=5)
    with pytest.raises(UnreadableAlert, match="only its source"):
        world.ledger.reading.resolve_dead_letter(letter.id, how="replayed", by="ann")
    assert world.ledger.reading.dead_letter(letter.id) == letter
    dismissed = world.ledger.reading.resolve_dead_letter(letter.id, how="dismissed", by="ann")
    assert (dismissed.state, dismissed.payload) == ("dismissed", "{}")
    assert _replays(world) == 0


def _replays(world: World) -> int:
    """How often the audit log has a replay."""
    return sum(json.loads(line)["event"] == "letter.replayed" for line in world.ledger.trail.export())


@pytest.mark.parametrize(
    ("effects", "outcome"),
    [
        ([NOTE, ROUTE, CHANGE, CLOSE], "closed"),
        ([NOTE, ROUTE, CHANGE], "changes"),
        ([NOTE, ROUTE], "routed"),
        ([NOTE], "noted"),
        ([], "held"),
    ],
)
def test_a_case_came_to_its_weightiest_action(world: World, effects: list[object], outcome: str) -> None:
    """close > change > route > note; a decision that writes nothing is held."""
    world.decided(effects=effects, on=ticket())  # type: ignore[arg-type]
    world.do_all()
    outcomes = world.ledger.reading.tally().outcomes
    assert {word: count for word, count in outcomes.items() if count} == {outcome: 1}


def test_what_is_not_finished_is_waiting(world: World) -> None:
    """Undecided, not yet done, or waiting for a person: the case has come to nothing yet."""
    world.decided(firing(1, rule="a"), effects=[CLOSE], asks=["close"], on=ticket(1))
    world.decided(firing(2, rule="b"), effects=[NOTE], on=ticket(2))
    world.record(firing(3, rule="c"))
    tally = world.ledger.reading.tally()
    assert tally.outcomes["waiting"] == 3
    assert tally.waiting == 2


def test_the_tally_counts_the_whole_ledger(world: World) -> None:
    """Alerts, cases by stage, actions by state, open dead letters."""
    world.decided(firing(1, rule="a"), firing(2, rule="a"), effects=[NOTE, ROUTE], on=ticket())
    world.ledger.actions.settle([told(world.take_one(), "dead")])
    world.record(firing(3, rule="b"))
    tally = world.ledger.reading.tally()
    assert (tally.alerts, tally.dead_letters) == (3, 1)
    assert (tally.cases, tally.actions) == ({"decided": 1, "due": 1}, {"dead": 1, "approved": 1})


def test_similar_cases_are_of_the_same_fingerprint_or_words(world: World) -> None:
    """Decided ones, newest first, with what came of them; never the case itself or another use case's."""
    resolved = ticket(state=TicketState.RESOLVED)
    earlier = world.decided(firing(1), on=resolved)
    world.clock.turn(timedelta(seconds=1))
    same_words = world.decided(firing(2, rule="renamed"))
    world.clock.turn(timedelta(seconds=1))
    world.decided(firing(3, rule="cpu", summary="cpu is hot"))
    world.record(firing(4), use_case="another")
    world.record(firing(5))
    claimed = {one.case.use_case: one.case for one in world.claim()}
    memory = world.ledger.memory
    similar = memory.similar(list(claimed.values()), limit=3)
    assert [one.case_id for one in similar[claimed[USE_CASE].id]] == [same_words, earlier]
    assert similar[claimed["another"].id] == ()
    assert similar[claimed[USE_CASE].id][1].ticket_key == "OPS-7"
    assert [one.case_id for one in memory.similar([claimed[USE_CASE]], limit=1)[claimed[USE_CASE].id]] == [
        same_words
    ]
    assert memory.similar([], limit=3) == {}


def test_a_similar_case_is_told_as_it_ended_and_as_it_was_last_judged(world: World) -> None:
    """An offered close was no close, an approved one not without a person; a question takes no judgement back."""
    offered = world.decided(firing(1, rule="a"), effects=[CLOSE], asks=["close"], closes=True, on=ticket(1))
    approved = world.decided(firing(2, rule="b"), effects=[CLOSE], asks=["close"], closes=True, on=ticket(2))
    alone = world.decided(firing(3, rule="c"), effects=[CLOSE], closes=True, on=ticket(3))
    (code,) = [one.action.code for one in world.ledger.reading.story(approved).actions]
    world.ledger.actions.approve(approved, code, by="ann", change_id="c1")
    world.do_all()
    said = [
        Correction(
            case_id=offered, change_id=verdict, verdict=verdict, by="ann", at=START + timedelta(minutes=n)
        )
        for n, verdict in enumerate(("wrong", "why", "refused"))
    ]
    world.ledger.watch.record_corrections(said)
    world.record(firing(4, rule="d"))
    case = world.claim_one().case
    found = {one.case_id: one for one in world.ledger.memory.similar([case], limit=3)[case.id]}
    assert {key: one.resolution for key, one in found.items()} == {
        offered: "a close was proposed; people said: wrong",
        approved: "closed after an approval",
        alone: "closed without a person",
    }
    assert found[offered].verdict == "wrong"


def test_a_case_is_not_similar_to_itself(world: World) -> None:
    """Looked at again, it does not find its own decision."""
    world.decided(firing(1))
    world.record(recovery(2, key="key-1"))
    case = world.claim_one().case
    assert world.ledger.memory.similar([case], limit=3)[case.id] == ()


def test_settled_actions_are_in_the_story(world: World) -> None:
    """A story shows each action with its state, attempts and receipt."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.settle([done(world.take_one())])
    (record,) = world.ledger.reading.story(case_id).actions
    assert (record.state, record.attempts, record.receipt and record.receipt.handle) == (
        "done",
        1,
        "comment-1",
    )
