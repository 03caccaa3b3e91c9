"""Weeks: sums of settled weeks give the figures of their tickets, take the same room for any number of them, and are
right only when everything in them had happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from countersign.kpis.counts import DEFLECTION_RATE, cohort_of
from countersign.kpis.engine import category_mix, cluster_ids, standardised
from countersign.kpis.figures import Figure
from countersign.kpis.history import FIELDS, Histories, TicketHistory, as_columns
from countersign.kpis.segments import pack
from countersign.kpis.segments import together as rows_of
from countersign.kpis.settings import Measuring
from countersign.kpis.trend import Trend, trends
from countersign.kpis.weeks import Weeks, monday, read, together, unsettled_since, weeks_of, written

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOW = Measuring(until=MONDAY + timedelta(days=100))


def tickets(count: int, *, since: datetime = MONDAY, seed: int = 1) -> list[TicketHistory]:
    """Of three weeks: some open still, some reopened, in time or later, some without an end, some that end early."""
    draw = np.random.default_rng(seed)
    return [_ticket(number, since, draw) for number in range(count)]


def _ticket(number: int, since: datetime, draw: np.random.Generator) -> TicketHistory:
    opened = since + timedelta(seconds=float(draw.uniform(0, 21 * 86_400)))
    took = timedelta(hours=min(60 * 24.0, float(draw.lognormal(3, 2))))
    kind = draw.choice(
        ["plain", "open", "back", "late", "endless", "backwards"], p=[0.6, 0.1, 0.1, 0.1, 0.05, 0.05]
    )
    resolved = opened + {"backwards": -took}.get(str(kind), took)
    closed = bool(draw.random() < 0.4)
    return TicketHistory(
        id=f"c{number:06}",
        opened=opened,
        resolved=() if kind in ("open", "endless") else (resolved,),
        reopened={"back": (resolved + timedelta(days=2),), "late": (resolved + timedelta(days=9),)}.get(str(kind), ()),
        finished=kind != "open",
        category=str(draw.choice(["disk", "net", "Gr\u00fc\u00dfe", ""])),
        cluster=str(draw.choice(["a", "b", "c", ""])),
        closed_by_policy=None if draw.random() < 0.1 else closed,
        wrong=None if draw.random() < 0.5 else bool(draw.random() < 0.2),
        weight=float(draw.choice([1.0, 3.0])),
    )  # fmt: skip


def past_of(rows: Sequence[TicketHistory], *, parts: int = 3) -> Weeks:
    """The tickets as many days would have them, packed and read again."""
    return together([read(pack(rows[part::parts]).weeks) for part in range(parts)])


def nothing() -> Histories:
    return as_columns([])


def by_rows(rows: Sequence[TicketHistory], week: int) -> tuple[Figure, Figure]:
    """The figures of a week by Kaplan and Meier, from its tickets, at the mix of all."""
    every = as_columns(rows)
    part = every.opened_between(MONDAY + timedelta(weeks=week), MONDAY + timedelta(weeks=week + 1))
    return standardised(part, HOW, category_mix(every)), DEFLECTION_RATE.of(
        cohort_of(part, HOW, cluster_ids(part))
    )


def plain(figure: Figure) -> list[object]:
    return [figure.n, figure.censored, figure.excluded, figure.unknown, figure.definition]


def ends(figure: Figure) -> list[float | None]:
    return [figure.value, figure.low, figure.high, figure.detectable]


@pytest.mark.parametrize("week", [0, 1, 2])
def test_the_sums_of_a_settled_week_give_what_its_tickets_give(week: int) -> None:
    """Time to resolve and deflection, with their intervals, what is censored and what is left out."""
    rows = tickets(900)
    found = trends(nothing(), HOW, past_of(rows))
    for trend, expected in zip(found, by_rows(rows, week), strict=True):
        figure = trend.points[week].figure
        assert plain(figure) == plain(expected)
        assert ends(figure) == pytest.approx(ends(expected), rel=1e-9)


def test_it_makes_no_difference_which_tickets_are_summed_already() -> None:
    """All of them, some, or none; also where some were both summed and read beside the sums."""
    rows = tickets(600)
    all_summed = trends(nothing(), HOW, past_of(rows))
    some = trends(rows_of([pack(rows[:200]).body], recorded=FIELDS), HOW, past_of(rows[200:]))
    none = trends(rows_of([pack(rows).body], recorded=FIELDS), HOW)
    lots = [pack(part).body for part in (rows[:100], rows[100:450], rows[450:])]
    both = together([past_of(rows[100:450])], among=(100, 450))
    twice = trends(rows_of(lots, recorded=FIELDS), HOW, both)
    for other in (some, none, twice):
        assert [plain(point.figure) for point in _points(other)] == [
            plain(point.figure) for point in _points(all_summed)
        ]
        for one, same in zip(_points(other), _points(all_summed), strict=True):
            assert ends(one.figure) == pytest.approx(ends(same.figure), rel=1e-9)


def _points(found: Sequence[Trend]) -> list:  # type: ignore[type-arg]
    return [point for trend in found for point in trend.points]


def test_sums_take_no_more_room_for_more_tickets() -> None:
    """Ten times the tickets of a week in the same categories and clusters, none of them reopened: the same bytes."""
    calm = [[row for row in tickets(count) if not row.reopened] for count in (1_000, 10_000)]
    small, large = (pack(rows) for rows in calm)
    assert len(large.weeks) < 1.01 * len(small.weeks)
    assert len(large.body) > 5 * len(small.body)


def test_sums_are_settled_once_all_of_it_has_happened_and_no_mean_looks_further() -> None:
    """Neither before its last event, nor until thirty days after the end of its last week."""
    ordinary = TicketHistory(id="1", opened=MONDAY, resolved=(MONDAY + timedelta(hours=1),))
    late = TicketHistory(id="2", opened=MONDAY, resolved=(MONDAY + timedelta(days=60),))
    over = MONDAY + timedelta(days=37)
    assert [weeks_of(as_columns([ordinary])).settled((over + timedelta(seconds=s)).timestamp()) for s in (-1, 0)] == [
        False, True,
    ]  # fmt: skip
    both = weeks_of(as_columns([ordinary, late]))
    assert [both.settled((MONDAY + timedelta(days=day)).timestamp()) for day in (59, 60)] == [False, True]
    assert unsettled_since(over) == MONDAY + timedelta(days=7)
    assert unsettled_since(over - timedelta(seconds=1)) == MONDAY


def test_sums_know_nothing_of_what_happened_after_their_end() -> None:
    """As of a day before the last resolution, the latest that happened is what happened by then."""
    first, last = MONDAY + timedelta(days=1), MONDAY + timedelta(days=60)
    rows = [TicketHistory(id=str(at), opened=MONDAY, resolved=(at,)) for at in (first, last)]
    assert weeks_of(as_columns(rows), end=last.timestamp() - 86_400).latest == first.timestamp()


def test_sums_survive_being_written() -> None:
    """Empty ones too."""
    for rows in (tickets(50), []):
        weeks = weeks_of(as_columns(rows))
        again = read(written(weeks))
        assert written(again) == written(weeks)
        assert again.latest == weeks.latest


def test_weeks_begin_on_monday_in_utc() -> None:
    """The last second of Sunday is of the week before."""
    weeks = weeks_of(
        as_columns([TicketHistory(id=str(s), opened=MONDAY + timedelta(seconds=s)) for s in (-1, 0)])
    )
    assert [monday(week) for week in weeks.week.tolist()] == [MONDAY - timedelta(days=7), MONDAY]
