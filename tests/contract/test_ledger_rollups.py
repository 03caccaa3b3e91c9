"""Rollups: what is packed by day and summed by hour is what the rows say, whatever happens to a case."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain, pairwise

import pytest
from sqlalchemy import create_engine, text

from connectors.sql.ledger import SqlLedger
from countersign.kpis import segments
from countersign.kpis.history import FIELDS, FLAGS, MEASURED, WORDS, Histories
from countersign.kpis.weeks import written
from countersign.ledger import Correction, Span
from countersign.results import LabelCount
from countersign.tickets import TicketState
from tests.ledger_world import CLOSE, FEED, NOTE, START, USE_CASE, World, firing, page, ticket


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


EVERYTHING = Span(first=START, whole=START, until=START + timedelta(days=300))


def columns(world: World) -> Histories:
    return world.ledger.columns(USE_CASE, EVERYTHING, recorded=FIELDS)[0]


def scanned(world: World) -> Histories:
    return world.ledger.rollups.scanned(USE_CASE, EVERYTHING, recorded=FIELDS)[0]


def plain(tickets: Histories) -> list[str]:
    """Every column as text, in which what is unknown equals what is unknown."""
    arrays = (getattr(tickets, name) for name in (*MEASURED, *FLAGS, "finished"))
    words = chain.from_iterable(
        (getattr(tickets, name).codes, getattr(tickets, name).names) for name in WORDS
    )
    events = (tickets.events.ticket, tickets.events.kind, tickets.events.at)
    return [repr(list(array)) for array in (*arrays, *words, *events)]


def correction(
    case: str, verdict: str, *, field: str = "", after: int = 60, source: str = "person"
) -> Correction:
    return Correction(
        case_id=case, change_id=f"{verdict}-{after}", verdict=verdict, by="ann", field=field, after="network",
        at=START + timedelta(seconds=after), source=source,  # type: ignore[arg-type]
    )  # fmt: skip


def execute(world: World, statement: str) -> None:
    engine = create_engine(world.url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def wholes(world: World) -> list[str]:
    """The ends of the hours as workers of the release before read them, of those in which drafts were told of."""
    engine = create_engine(world.url)
    with engine.begin() as connection:
        bodies = connection.execute(text("SELECT body FROM rollup_hours ORDER BY hour")).scalars().all()
    engine.dispose()
    ends = [body[body.rindex('"drafts": ') :] for body in bodies]
    return [end for end in ends if "corrected" in end]


def test_whatever_happens_to_a_case_its_rollup_says_it(world: World) -> None:
    """Decided, told again, done, corrected, resolved, reopened, another day: after each step, both agree."""
    told = ticket(7)
    case = world.decided(firing(1), effects=[CLOSE, NOTE], on=told)
    found = [columns(world)]
    assert len(found[0]) == 1
    steps = (
        lambda: world.record(firing(2, key="another")),
        world.do_all,
        lambda: world.ledger.watch.record_corrections([correction(case, "acknowledged")]),
        lambda: world.ledger.watch.record_corrections(
            [correction(case, "corrected", field="group", after=70)]
        ),
        lambda: world.ledger.watch.record_changes(
            FEED,
            world.fence,
            page(tickets=[replace(told, version="2", state=TicketState.CLOSED, priority="P1")]),
        ),
        lambda: world.ledger.watch.record_corrections([correction(case, "reopened", after=90)]),
        lambda: world.clock.turn(timedelta(days=1)),
        lambda: world.decided(firing(3, rule="memory", at=86_400)),
    )
    for step in steps:
        step()
        assert plain(columns(world)) == plain(scanned(world))
        found.append(columns(world))
    different = [plain(one) != plain(before) for before, one in pairwise(found)]
    assert different == [True] * 6 + [False, True]
    assert list(world.ledger.rollups.differences(USE_CASE)) == []


def test_a_case_is_read_again_only_when_something_happened_to_it(world: World) -> None:
    """Claims and leases are no news: nothing waits to be packed."""
    world.decided(firing(1))
    columns(world)
    world.record(firing(2, rule="memory"))
    world.claim()
    assert world.ledger.rollups.waiting(at_most=10) == 0


def test_what_no_rollup_says_is_told_by_day(world: World) -> None:
    """A row changed behind the database's back, a rollup lost: the check names the day. All marked, it is mended."""
    case = world.decided(firing(1), on=ticket(7))
    columns(world)
    execute(world, "DELETE FROM rollup_marks")
    execute(world, "UPDATE cases SET alert_count = 9")
    execute(world, "DELETE FROM rollup_marks")
    assert list(world.ledger.rollups.differences(USE_CASE)) == [
        "2026-03-01: the rollup of 1 cases says something else than their rows."
    ]
    execute(world, "DELETE FROM rollups")
    assert list(world.ledger.rollups.differences(USE_CASE)) == [
        "2026-03-01: 0 cases are in the rollup, 1 in the ledger."
    ]
    world.ledger.rollups.mark_all(USE_CASE)
    assert columns(world).alerts.tolist() == [9.0]
    assert list(world.ledger.rollups.differences(USE_CASE)) == []
    assert case


def test_an_older_version_leaves_the_rollups_of_a_newer_one_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads every row instead. Once it is upgraded itself, the days of older versions are packed anew."""
    world.decided(firing(1))
    columns(world)
    monkeypatch.setattr(segments, "FORMAT", segments.FORMAT - 1)
    world.decided(firing(2, rule="memory"))
    assert len(columns(world)) == 2
    assert world.ledger.rollups.waiting(at_most=10) > 0
    monkeypatch.setattr(segments, "FORMAT", segments.FORMAT + 2)
    assert len(columns(world)) == 2
    assert world.ledger.rollups.waiting(at_most=10) == 0
    assert list(world.ledger.rollups.differences(USE_CASE)) == []


def test_minutes_that_people_logged_reach_the_figures_when_the_desk_tells_them(world: World) -> None:
    """Unknown until somebody logs time; then the day is packed anew, and every row says the same."""
    told = ticket(7)
    world.decided(firing(1), on=told)
    assert math.isnan(columns(world).minutes[0])
    read = replace(told, version="2", worked=timedelta(minutes=10, seconds=30))
    world.ledger.watch.record_changes(FEED, world.fence, page(tickets=[read]))
    assert columns(world).minutes.tolist() == scanned(world).minutes.tolist() == [10.5]
    assert list(world.ledger.rollups.differences(USE_CASE)) == []


def test_too_much_to_catch_up_with_is_read_row_by_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Just after an upgrade the report is right, if late."""
    monkeypatch.setattr("connectors.sql.ledger.MOST_DIGESTS", 0)
    world.decided(firing(1))
    assert len(columns(world)) == 1
    assert world.ledger.rollups.waiting(at_most=10) > 0


def test_hours_that_are_over_are_summed_once(world: World) -> None:
    """What the summed hours and the rows of the others say together is what all rows say, for any period."""
    case = world.decided(firing(1))
    for minutes in (1, 50, 130, 290):
        world.clock.turn(timedelta(minutes=minutes))
        told = [correction(case, "corrected", field="category", after=minutes)]
        world.ledger.watch.record_corrections(told)
    since, until = START + timedelta(minutes=30), START + timedelta(minutes=400)
    before = world.ledger.results(USE_CASE, since=since, until=until, promised=())
    assert [line.count for line in before.corrections] == [2]
    world.clock.turn(timedelta(days=9))
    for _ in range(2):
        assert world.ledger.results(USE_CASE, since=since, until=until, promised=()) == before
    columns(world)
    assert list(world.ledger.rollups.differences(USE_CASE)) == []
    execute(world, "UPDATE rollup_hours SET models = '[]', corrections = '[]', drafts = '[]'")
    assert len(list(world.ledger.rollups.differences(USE_CASE))) == 3


def test_a_ledger_from_before_is_packed_in_the_background(world: World) -> None:
    """Bit by bit, wherever it was interrupted."""
    for number in range(1, 6):
        world.decided(firing(number, rule=f"rule-{number}"))
    columns(world)
    execute(world, "DELETE FROM rollups")
    world.ledger.rollups.mark_all(USE_CASE)
    ledger = SqlLedger.open(world.url)
    assert [ledger.rollups.digest(at_most=2) for _ in range(4)] == [2, 2, 1, 0]
    ledger.close()
    assert list(world.ledger.rollups.differences(USE_CASE)) == []


def test_detection_hand_overs_and_noise_come_from_the_ledger(world: World) -> None:
    """When the source fired, what people moved by hand, and whether anybody had to do something; else unknown."""
    told = ticket(7)
    world.clock.turn(timedelta(minutes=5))
    case = world.decided(firing(30), effects=[CLOSE], on=told)
    (began, detected, moves, needed) = (
        getattr(columns(world), name) for name in ("began", "detected", "moves", "needed_work")
    )
    assert began.tolist() == [(START + timedelta(seconds=30)).timestamp()]
    assert detected.tolist() == [(START + timedelta(minutes=5)).timestamp()]
    assert (moves.tolist(), needed.tolist()) == ([0.0], [-1])
    world.do_all()
    world.ledger.watch.record_corrections(
        [
            correction(case, "corrected", field="group", after=400),
            correction(case, "corrected", field="group", after=500, source="bulk"),
        ]
    )
    assert (columns(world).moves.tolist(), columns(world).needed_work.tolist()) == ([1.0], [0])
    world.ledger.watch.record_corrections([correction(case, "reopened", after=600)])
    assert columns(world).needed_work.tolist() == [1]
    assert math.isnan(columns(world).minutes[0])


def test_sums_stand_for_the_tickets_only_as_of_when_they_are_right(world: World) -> None:
    """Before a mean looks no further, and as of a time at which it had not all happened, the tickets are read.

    Either way from rollups as from rows.
    """
    case = world.decided(firing(1), on=ticket(7))
    late = 50 * 86_400
    world.ledger.watch.record_corrections([correction(case, "resolved", after=late)])
    whole = START + timedelta(days=1)
    found = []
    for until in (timedelta(days=20), timedelta(seconds=late - 1), timedelta(seconds=late)):
        span = Span(first=START, whole=whole, until=START + until)
        tickets, past = world.ledger.columns(USE_CASE, span, recorded=FIELDS)
        rows, sums = world.ledger.rollups.scanned(USE_CASE, span, recorded=FIELDS)
        assert (plain(tickets), written(past)) == (plain(rows), written(sums))
        found.append((len(tickets), int(past.sums[0].sum())))
    assert found == [(1, 0), (1, 0), (0, 1)]


def test_a_sum_that_its_tickets_do_not_come_to_is_told(world: World) -> None:
    """The check holds sums against the rows as well."""
    world.decided(firing(1), on=ticket(7))
    columns(world)
    execute(world, "UPDATE rollup_weeks SET day = day + 1")
    assert len(list(world.ledger.rollups.differences(USE_CASE))) == 1


def test_a_day_that_is_read_is_known_to_be_summed_as_well(world: World) -> None:
    """Of days from `whole` on, once they are settled: where their tickets are is told. From rollups as from rows."""
    world.decided(firing(1), on=ticket(7))
    world.clock.turn(timedelta(days=60))
    world.decided(firing(2, rule="other"), on=ticket(8))
    span = Span(first=START, whole=START, until=START + timedelta(days=61))
    for told in (world.ledger.columns, world.ledger.rollups.scanned):
        tickets, past = told(USE_CASE, span, recorded=FIELDS)
        assert (len(tickets), past.among, int(past.sums[0].sum())) == (2, (0, 1), 1)


def test_labels_are_counted_where_a_close_is_promised(world: World) -> None:
    """And no others: how many they are decides nothing elsewhere."""
    for number, category in enumerate(("noise", "noise", "disk"), 1):
        case = world.decided(firing(number, rule=f"rule {number}"), on=ticket(number))
        execute(
            world,
            "INSERT INTO labels (case_id, use_case, recorded_at, category, wrong, body) "
            f"SELECT id, use_case, opened_at, '{category}', FALSE, '' FROM cases WHERE id = '{case}'",
        )
    told = world.ledger.results(USE_CASE, since=START, until=START + timedelta(days=1), promised=["noise"])
    assert told.labels == {"noise": LabelCount(n=2, wrong=0)}


def test_hours_that_the_release_before_summed_count_like_the_others(world: World) -> None:
    """It writes only the whole of an hour, and cuts that apart itself: its form stays, whatever words are in it."""
    case = world.decided(firing(1))
    for number, word in enumerate(('"drafts": ', 'a"], ["b', "disk", "disk")):
        world.clock.turn(timedelta(minutes=61))
        change = correction(case, "corrected", field="category", after=number)
        told = [replace(change, after=word), correction(case, "rejected", after=number)]
        world.ledger.watch.record_corrections(told)
    world.clock.turn(timedelta(days=9))
    until = START + timedelta(days=9)
    while world.ledger.rollups.digest() or world.ledger.rollups.sum_up(USE_CASE):
        pass
    assert wholes(world) == ['"drafts": [["corrected", 1], ["rejected", 1]]}'] * 4
    found = []
    for old in ("0 = 1", "hour % 2 = 0", "0 = 0"):
        execute(
            world, f"UPDATE rollup_hours SET models = NULL, corrections = NULL, drafts = NULL WHERE {old}"
        )
        results = world.ledger.results(USE_CASE, since=START, until=until, promised=())
        accepted = world.ledger.drifts.counts(USE_CASE, since=START.date(), until=until.date())
        found.append((results, accepted))
        assert list(world.ledger.rollups.differences(USE_CASE)) == []
    assert [line.count for line in found[0][0].corrections] == [2, 1, 1]
    assert found[0][1]["accept rate"] == {"corrected": 4, "rejected": 4}
    assert found == [found[0]] * 3
