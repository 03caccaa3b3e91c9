"""Races: several workers at once on real databases, where exactly one may win."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TypeVar

import pytest

from countersign.ledger import ClaimedCase, CloseLimits, Entry
from tests.ledger_world import FEED, LEASE, NOTE, START, USE_CASE, World, firing, recovery, ticket, verdict

T = TypeVar("T")
MANY = 8


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def at_once(work: Callable[[int], T], many: int = MANY) -> list[T]:
    """What each of these workers comes to when all begin at the same moment."""
    barrier = Barrier(many)

    def begin(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(begin, range(many)))


@pytest.mark.parametrize(
    "limits", [CloseLimits(per_hour=1, per_service_per_day=9), CloseLimits(per_hour=9, per_service_per_day=1)]
)
def test_one_gets_the_last_close_that_is_allowed(world: World, limits: CloseLimits) -> None:
    """Of eight workers that decide to close at once, exactly one close is recorded."""
    world.record(*(firing(number, rule=f"rule-{number}") for number in range(MANY)))
    claimed = world.claim()

    def close(number: int) -> tuple[str, ...]:
        judged = world.ledger.cases.record_verdicts([verdict(claimed[number], closes=True, limits=limits)])
        return judged.over_limit

    over = [case_id for lost in at_once(close) for case_id in lost]
    assert len(set(over)) == MANY - 1
    assert world.ledger.cases.closes(USE_CASE).last_hour == 1


def test_a_case_is_claimed_by_one(world: World) -> None:
    """Of twenty cases that eight workers want, each goes to one of them."""
    world.record(*(firing(number, rule=f"rule-{number}") for number in range(20)))
    due = world.ledger.cases.due_cases(limit=20)

    def claim(number: int) -> tuple[ClaimedCase, ...]:
        return world.ledger.cases.claim_cases(due, worker=f"w{number}", lease=LEASE)

    got = [one.case.id for claimed in at_once(claim) for one in claimed]
    assert len(got) == len(set(got))
    later = [one.case.id for one in world.claim()]
    assert sorted([*got, *later]) == sorted(due)


def test_an_action_is_claimed_by_one(world: World) -> None:
    """Each of twenty actions is counted as one attempt by one worker."""
    world.record(*(firing(number, rule=f"rule-{number}") for number in range(20)))
    world.ledger.cases.record_verdicts([verdict(one, effects=[NOTE], on=ticket()) for one in world.claim()])
    due = world.ledger.actions.due_actions(limit=20)
    claims = at_once(lambda n: world.ledger.actions.claim_actions(due, worker=f"w{n}", lease=LEASE))
    got = [one.action.key for claimed in claims for one in claimed]
    assert len(got) == len(set(got))
    later = [one.action.key for one in world.take()]
    assert sorted([*got, *later]) == sorted(due)


def test_a_feed_is_read_by_one(world: World) -> None:
    """Eight readers begin at once; one has it."""
    claims = at_once(lambda n: world.ledger.intake.claim_feed("splunk", worker=f"w{n}", lease=LEASE))
    assert [claimed for claimed in claims if claimed is not None] == [(1, None)]


def test_two_feeds_that_bring_the_same_alerts_open_one_case(world: World) -> None:
    """The same page from eight feeds at once is recorded once, in one case."""
    fences = {}
    for number in range(MANY):
        claimed = world.ledger.intake.claim_feed(f"feed-{number}", worker="w", lease=LEASE)
        assert claimed is not None
        fences[number] = claimed[0]
    entries = [Entry(alert=firing(number), use_case=USE_CASE, fingerprint="disk") for number in range(10)]

    def record(number: int) -> tuple[int, int]:
        recorded = world.ledger.intake.record_page(
            f"feed-{number}", fences[number], entries=entries, unreadable=[], cursor="x"
        )
        return recorded.alerts, recorded.cases_opened

    assert sorted(at_once(record)) == [*[(0, 0)] * (MANY - 1), (10, 1)]


def test_a_schedule_is_fired_by_one(world: World) -> None:
    """Eight schedulers fire at once; one is first."""
    fired = at_once(lambda _: world.ledger.watch.fire_once("report", START))
    assert sorted(fired) == [*[False] * (MANY - 1), True]


def test_an_approval_is_given_once(world: World) -> None:
    """The same approval by eight workers makes the action ready once."""
    given = verdict(world.case(), effects=[NOTE], asks=["note"], on=ticket())
    world.ledger.cases.record_verdicts([given])
    code = given.actions[0].code
    keys = at_once(lambda n: world.ledger.actions.approve(given.case_id, code, by=f"p{n}", change_id=str(n)))
    assert sorted(keys) == [*[()] * (MANY - 1), (given.actions[0].key,)]


def test_recoveries_and_verdicts_meet(world: World) -> None:
    """While cases are decided their alerts recover: whoever comes first, every case is looked at again."""
    numbers = range(MANY)
    world.record(*(firing(number, rule=f"rule-{number}") for number in numbers))
    claimed = {one.case.fingerprint: one for one in world.claim()}

    def work(number: int) -> None:
        rule = f"rule-{number // 2}"
        both = (
            lambda: world.ledger.cases.record_verdicts([verdict(claimed[rule])]),
            lambda: world.record(recovery(100 + number, key=f"key-{number // 2}", rule=rule)),
        )
        both[number % 2]()

    at_once(work)
    again = world.claim()
    assert sorted(one.case.fingerprint for one in again) == [f"rule-{number}" for number in range(MANY // 2)]
    assert {(one.case.revision, one.case.firing) for one in again} == {(2, 0)}


def test_leases_live_by_the_database_s_clock(ledger_url: str) -> None:
    """Without a clock of its own the ledger's time is the database's, and a lease of nothing is over at once."""
    world = World(ledger_url)
    ledger = type(world.ledger).open(ledger_url)
    case_id = _open_case(world)
    assert len(ledger.cases.claim_cases([case_id], worker="a", lease=timedelta(0))) == 1
    assert len(ledger.cases.claim_cases([case_id], worker="b", lease=LEASE)) == 1
    assert ledger.cases.claim_cases([case_id], worker="c", lease=LEASE) == ()
    ledger.close()
    world.close()


def _open_case(world: World) -> str:
    world.ledger.intake.release_feed(FEED, world.fence)
    claimed = world.ledger.intake.claim_feed("old", worker="w", lease=LEASE)
    assert claimed is not None
    entry = Entry(alert=firing(1), use_case=USE_CASE, fingerprint="disk")
    recorded = world.ledger.intake.record_page("old", claimed[0], entries=[entry], unreadable=[], cursor="x")
    return recorded.due[0]
