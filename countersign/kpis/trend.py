"""The trend: a figure week by week, of the tickets opened in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from countersign.kpis.counts import DEFLECTION_RATE, closes_of, cohort_of, deflection
from countersign.kpis.durations import standardised_mean
from countersign.kpis.engine import category_mix, cluster_ids, measure, standardised_blank, standardised_each
from countersign.kpis.figures import Figure
from countersign.kpis.history import Histories, kept
from countersign.kpis.settings import Measuring
from countersign.kpis.weeks import (
    NOWHERE,
    Summed,
    Weeks,
    is_settled,
    monday,
    summed,
    together,
    week_of,
    weeks_of,
)

WEEKS = 26
# What must be recorded for a settled week's figures to be those of its sums.
_NEEDED = frozenset({"resolved", "category", *DEFLECTION_RATE.needs})


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A figure of the tickets opened in one week, which begins on a Monday."""

    week: date
    figure: Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """One figure over time; `figure` of each point has the same key."""

    title: str
    points: tuple[Point, ...]


def trends(tickets: Histories, how: Measuring, past: Weeks | None = None) -> tuple[Trend, ...]:
    """Time to resolve at one mix of categories, and deflection, over the last 26 weeks at most.

    `past` has the sums of other tickets, and of those that it says, all of settled weeks. A trend without a single
    known point is left out. Weeks begin on Monday, UTC.
    """
    lots, among = ([past], past.among) if past is not None else ([], NOWHERE)
    numbers = _numbers(tickets, how, lots)
    settled = [number for number in numbers if is_settled(number, how.end, how.horizon)]
    first = numbers.start
    if settled and tickets.recorded >= _NEEDED:
        first = settled[-1] + 1
        for part in tickets.around(*among):
            old = part.opened_between(monday(settled[0]), monday(settled[-1] + 1))
            lots.append(weeks_of(old, end=how.end, horizon=how.horizon))
    sums = dict(summed(together(lots), reopened_within=how.reopened_within, horizon=how.horizon))
    rest = tickets.opened_between(monday(first), monday(numbers.stop))
    weeks: list[tuple[int, Summed | Histories]] = [
        (number, sums.get(number) or rest.opened_between(monday(number), monday(number + 1)))
        for number in numbers
    ]
    mix = _mix([of_week for _, of_week in weeks])
    times = _times([of_week for _, of_week in weeks], how, mix)
    found = (
        Trend(
            title="Time to resolve by week of opening",
            points=tuple(
                Point(week=monday(number).date(), figure=figure)
                for (number, _), figure in zip(weeks, times, strict=True)
            ),
        ),
        Trend(
            title="Deflection by week of opening",
            points=tuple(
                Point(week=monday(number).date(), figure=_deflection(week, how)) for number, week in weeks
            ),
        ),
    )
    return tuple(trend for trend in found if any(point.figure.value is not None for point in trend.points))


def _numbers(tickets: Histories, how: Measuring, lots: list[Weeks]) -> range:
    """The weeks from the first in which a ticket was opened to the last, 26 at most."""
    opened = kept(tickets.opened, tickets.opened <= how.end)
    ends = week_of(np.array([opened.min(), opened.max()] if len(opened) else []))
    there = np.concatenate((ends, *(lot.week for lot in lots)))
    if not len(there):
        return range(0)
    last = int(there.max())
    return range(max(int(there.min()), last - WEEKS + 1), last + 1)


def _mix(weeks: list[Summed | Histories]) -> Mapping[str, int]:
    """How many tickets each category has."""
    counts: Counter[str] = Counter()
    for week in weeks:
        counts.update(week.tickets if isinstance(week, Summed) else category_mix(week))
    return dict(sorted(counts.items()))


def _times(weeks: list[Summed | Histories], how: Measuring, mix: Mapping[str, float]) -> list[Figure]:
    lots = [week for week in weeks if isinstance(week, Histories)]
    if mix:
        of_lots = iter(standardised_each(lots, how, mix) if lots else [])
    else:
        of_lots = (
            next(figure for figure in measure(lot, how) if figure.key == "time_to_resolve.mean")
            for lot in lots
        )
    return [_time(week, how, mix) if isinstance(week, Summed) else next(of_lots) for week in weeks]


def _time(week: Summed, how: Measuring, mix: Mapping[str, float]) -> Figure:
    figure = standardised_mean(standardised_blank(how), week.means, mix)
    return replace(figure, censored=week.censored, excluded=week.excluded)


def _deflection(week: Summed | Histories, how: Measuring) -> Figure:
    if isinstance(week, Summed):
        return deflection(week.closes)
    if week.recorded.issuperset(DEFLECTION_RATE.needs):
        return deflection(closes_of(week, cluster_ids(week)))
    return DEFLECTION_RATE.of(cohort_of(week, how, cluster_ids(week)))
