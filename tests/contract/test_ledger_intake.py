"""Intake: a page and its cursor are recorded as one, each alert once, in the case it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from countersign.alerts import AlertState
from countersign.cases import Stage
from countersign.errors import LeaseLost
from countersign.ledger import Entry
from countersign.ports import Unreadable
from countersign.tickets import TicketState
from tests.ledger_world import FEED, NOTE, START, USE_CASE, World, firing, recovery, ticket, verdict

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def test_one_reader_per_feed(world: World) -> None:
    """A feed is read by one worker at a time; each reader gets a higher fence and the cursor of the last."""
    intake = world.ledger.intake
    first = intake.claim_feed("splunk", worker="a", lease=MINUTE)
    assert first == (1, None)
    assert intake.claim_feed("splunk", worker="b", lease=MINUTE) is None
    intake.record_page("splunk", 1, entries=[], unreadable=[], cursor="page 2")
    intake.release_feed("splunk", 1)
    assert intake.claim_feed("splunk", worker="b", lease=MINUTE) == (2, "page 2")


def test_a_feed_whose_reader_died_is_read_again(world: World) -> None:
    """A lease that ran out is free, and the one who slept through it records nothing."""
    intake = world.ledger.intake
    intake.claim_feed("splunk", worker="a", lease=MINUTE)
    world.clock.turn(2 * MINUTE)
    assert intake.claim_feed("splunk", worker="b", lease=MINUTE) == (2, None)
    entry = Entry(alert=firing(1), use_case=USE_CASE, fingerprint="disk")
    with pytest.raises(LeaseLost):
        intake.record_page("splunk", 1, entries=[entry], unreadable=[], cursor="page 2")
    assert world.ledger.reading.tally().alerts == 0


def test_a_page_renews_the_lease(world: World) -> None:
    """Who reads page after page keeps the feed, however long it takes."""
    intake = world.ledger.intake
    intake.claim_feed("splunk", worker="a", lease=MINUTE)
    world.clock.turn(MINUTE - timedelta(seconds=1))
    intake.record_page("splunk", 1, entries=[], unreadable=[], cursor="page 2")
    world.clock.turn(MINUTE - timedelta(seconds=1))
    assert intake.claim_feed("splunk", worker="b", lease=MINUTE) is None


def test_a_fence_given_back_is_old(world: World) -> None:
    """After giving a feed back nothing more is recorded with its fence."""
    world.ledger.intake.release_feed(FEED, world.fence)
    with pytest.raises(LeaseLost):
        world.record(firing(1))


def test_an_old_fence_releases_nothing(world: World) -> None:
    """Giving back what is somebody else's by now leaves it with them."""
    intake = world.ledger.intake
    intake.claim_feed("splunk", worker="a", lease=MINUTE)
    world.clock.turn(2 * MINUTE)
    intake.claim_feed("splunk", worker="b", lease=MINUTE)
    intake.release_feed("splunk", 1, error="late")
    assert intake.claim_feed("splunk", worker="c", lease=MINUTE) is None


def test_a_storm_is_one_case(world: World) -> None:
    """A hundred alerts of one fingerprint open one case, which somebody is woken for once."""
    recorded = world.record(*(firing(number) for number in range(100)))
    assert (recorded.alerts, recorded.cases_opened, len(recorded.due)) == (100, 1, 1)
    assert world.record(*(firing(number) for number in range(100, 200))).due == ()
    case = world.claim_one().case
    assert (case.alert_count, case.firing) == (200, 200)
    assert [alert.source_id for alert in case.alerts] == [f"event-{number}" for number in range(180, 200)]


def test_what_was_seen_before_is_sorted_out(world: World) -> None:
    """The overlap of two readings, and an alert that is twice in a page, count once."""
    world.record(firing(1), firing(2))
    recorded = world.record(firing(2), firing(3), firing(3))
    assert (recorded.alerts, recorded.repeated) == (1, 2)
    assert world.claim_one().case.alert_count == 3


def test_a_new_version_of_an_event_is_a_new_alert(world: World) -> None:
    """An event whose source changed it is recorded again."""
    recorded = world.record(firing(1, version="a"), firing(1, version="b"), firing(1, version="b"))
    assert (recorded.alerts, recorded.repeated) == (2, 1)


def test_a_case_settles_before_it_is_due(world: World) -> None:
    """Nobody claims a case before its settling time is over."""
    (case_id,) = world.record(firing(1), settle=MINUTE).due
    assert world.ledger.cases.due_cases(limit=5) == ()
    world.clock.turn(MINUTE)
    assert world.ledger.cases.due_cases(limit=5) == (case_id,)


def test_a_recovery_closes_its_firing(world: World) -> None:
    """Each recovered key lowers `firing`; another key keeps firing."""
    world.record(firing(1), firing(2), recovery(3, key="key-1"))
    case = world.claim_one().case
    assert (case.firing, case.alert_count) == (1, 3)


def test_a_recovery_of_an_unknown_firing_is_recorded(world: World) -> None:
    """A recovery that comes first opens a case in which nothing fires."""
    recorded = world.record(recovery(1, key="never fired"))
    assert recorded.cases_opened == 1
    assert world.claim_one().case.firing == 0


def test_an_older_event_changes_nothing(world: World) -> None:
    """A firing that comes late, from before the recovery that is known, does not fire."""
    world.record(recovery(1, key="a", at=60))
    world.record(firing(2, key="a", at=10))
    case = world.claim_one().case
    assert (case.firing, case.alert_count) == (0, 2)


def test_of_two_events_at_one_instant_the_recovery_counts(world: World) -> None:
    """The order in which they come does not matter."""
    world.record(recovery(1, key="a", at=5))
    world.record(firing(2, key="a", at=5), firing(3, key="b", at=5))
    world.record(recovery(4, key="b", at=5))
    assert world.claim_one().case.firing == 0


def test_a_decided_case_that_falls_silent_is_looked_at_again(world: World) -> None:
    """When the last firing recovers, the case is due again as its next revision."""
    case_id = world.decided(firing(1), firing(2))
    assert world.record(recovery(3, key="key-1")).due == ()
    assert world.record(recovery(4, key="key-2")).due == (case_id,)
    claimed = world.claim_one()
    assert (claimed.case.id, claimed.case.revision, claimed.case.firing, claimed.attempt) == (
        case_id,
        2,
        0,
        1,
    )


def test_a_case_that_falls_silent_while_it_is_assessed_is_looked_at_again(world: World) -> None:
    """What recovers between claim and verdict is not forgotten."""
    claimed = world.case(firing(1))
    assert world.record(recovery(2, key="key-1")).due == ()
    world.ledger.cases.record_verdicts([verdict(claimed)])
    again = world.claim_one()
    assert (again.case.id, again.case.revision, again.case.firing) == (claimed.case.id, 2, 0)
    world.ledger.cases.record_verdicts([verdict(again)])
    assert world.claim() == ()


def test_a_finished_ticket_ends_the_case(world: World) -> None:
    """What fires after the ticket was resolved is the next episode, which names the one before."""
    resolved = ticket(state=TicketState.RESOLVED)
    first = world.decided(firing(1), on=resolved)
    recorded = world.record(firing(2))
    assert recorded.cases_opened == 1
    claimed = world.claim_one()
    assert (claimed.case.episode, claimed.case.previous, claimed.case.ticket) == (2, first, None)
    assert claimed.case.alert_count == 1
    assert not claimed.first_seen


def test_a_recovery_never_opens_an_episode(world: World) -> None:
    """A recovery after the ticket was resolved belongs to the case that it ended."""
    first = world.decided(firing(1), on=ticket(state=TicketState.RESOLVED))
    assert world.record(recovery(2, key="key-1")).cases_opened == 0
    assert world.ledger.reading.story(first).case.firing == 0


def test_a_late_firing_does_not_open_an_episode(world: World) -> None:
    """A firing from before what is known of its key is only late."""
    world.decided(
        firing(1, key="a", at=1), recovery(2, key="a", at=60), on=ticket(state=TicketState.RESOLVED)
    )
    assert world.record(firing(3, key="a", at=30)).cases_opened == 0
    assert world.record(firing(4, key="a", at=90)).cases_opened == 1


def test_one_page_may_end_one_case_and_open_the_next(world: World) -> None:
    """The recovery goes to the old episode and the firing after it to the new one."""
    first = world.decided(firing(1), on=ticket(state=TicketState.RESOLVED))
    recorded = world.record(firing(3, key="key-1"), recovery(2, key="key-1"))
    (second,) = recorded.due
    assert world.ledger.reading.story(first).case.alert_count == 2
    assert world.ledger.reading.story(second).case.firing == 1


def test_a_recovered_case_is_over_after_a_while(world: World) -> None:
    """Flapping within `reopen_after` stays one case; what fires later is the next episode."""
    world.decided(firing(1), recovery(2, key="key-1"))
    world.clock.turn(timedelta(minutes=50))
    assert world.record(firing(3, key="key-1")).cases_opened == 0
    world.record(recovery(4, key="key-1"))
    world.ledger.cases.record_verdicts([verdict(world.claim_one())])
    world.clock.turn(timedelta(minutes=70))
    assert world.record(firing(5, key="key-1")).cases_opened == 1


def test_a_case_that_still_fires_is_not_over(world: World) -> None:
    """Neither time nor a decision ends what has not recovered, as long as its ticket is open."""
    world.decided(firing(1), on=ticket())
    world.clock.turn(30 * DAY)
    assert world.record(firing(2)).cases_opened == 0


def test_a_case_that_nobody_has_heard_of_is_over(world: World) -> None:
    """Where a source never says that something recovered, a decided case without a ticket ends by silence."""
    world.decided(firing(1))
    world.clock.turn(timedelta(hours=23))
    assert world.record(firing(2)).cases_opened == 0
    world.clock.turn(timedelta(hours=25))
    assert world.record(firing(3)).cases_opened == 1


def test_a_case_that_was_not_decided_is_never_over(world: World) -> None:
    """A case that waits to be assessed takes in whatever comes, however long it waits."""
    world.record(firing(1), recovery(2, key="key-1"))
    world.clock.turn(30 * DAY)
    assert world.record(firing(3)).cases_opened == 0


def test_fingerprints_of_two_use_cases_are_two_cases(world: World) -> None:
    """The same thing seen by two policies is decided by each."""
    world.record(firing(1), use_case="a")
    assert world.record(firing(2), use_case="b").cases_opened == 1


def test_an_unreadable_payload_is_a_dead_letter_once(world: World) -> None:
    """It is kept with its reason and payload, and not again when the page is read again."""
    broken = Unreadable(source_id="e9", reason="it has no title", payload='{"a": 1}')
    intake = world.ledger.intake
    pages = [
        intake.record_page(FEED, world.fence, entries=[], unreadable=[broken, broken], cursor="x").unreadable
        for _ in range(2)
    ]
    assert pages == [1, 0]
    (letter,) = world.ledger.reading.dead_letters(limit=5)
    assert (letter.kind, letter.subject, letter.reason) == ("alert", "datadog:e9", "it has no title")
    assert letter.payload == '{"a": 1}'


def test_text_that_databases_refuse_is_kept(world: World) -> None:
    """NUL, half a surrogate pair and keys of any length come in like everything else."""
    odd = firing(
        1, key="k" * 9000, summary="a\0b \ud83d c", source_id="\0", body="\ud83d", details={"\0": "\0"}
    )
    assert world.record(odd).alerts == 1
    assert world.record(odd).repeated == 1
    (alert,) = world.claim_one().case.alerts
    assert alert.state is AlertState.FIRING
    assert alert.occurred_at == START + timedelta(seconds=1)


def test_a_dead_case_takes_in_what_comes(world: World) -> None:
    """Given to people, a case counts on without being due; once it recovered, the next firing is a new episode."""
    claimed = world.case(firing(1))
    for _ in range(3):
        world.ledger.cases.give_back(claimed.case.id, claimed.fence, due_in=timedelta(0), error="broken")
        claimed = next(iter(world.claim()), claimed)
    assert world.ledger.reading.story(claimed.case.id).stage == Stage.DEAD
    assert world.record(firing(2), recovery(3, key="key-1"), recovery(4, key="key-2")).due == ()
    world.clock.turn(DAY)
    assert world.record(firing(5)).cases_opened == 1


def test_the_words_of_a_case_follow_its_newest_firing(world: World) -> None:
    """The title is what fires now, not what recovered and not what came late."""
    world.record(firing(5, summary="now"), firing(1, summary="before"), recovery(9, key="x", summary="over"))
    (line,) = world.ledger.reading.cases(limit=5)
    assert (line.title, line.alerts) == ("now", 3)


def test_a_page_is_recorded_whole_or_not_at_all(world: World) -> None:
    """When the last part of a page can't be written, its alerts and its cursor are not there either."""
    good = Entry(alert=firing(1), use_case=USE_CASE, fingerprint="disk")
    broken = Unreadable(source_id="e", reason=None, payload="p")  # type: ignore[arg-type]
    with pytest.raises((TypeError, AttributeError)):
        world.ledger.intake.record_page(FEED, world.fence, entries=[good], unreadable=[broken], cursor="lost")
    world.ledger.intake.release_feed(FEED, world.fence)
    assert world.ledger.reading.tally().alerts == 0
    assert world.ledger.intake.claim_feed(FEED, worker="b", lease=MINUTE) == (world.fence + 1, None)


def test_a_note_does_not_reopen(world: World) -> None:
    """A decided case with an open ticket takes firings in without being due again."""
    world.decided(firing(1), effects=[NOTE], on=ticket())
    assert world.record(firing(2)).due == ()
