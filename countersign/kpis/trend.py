"""The trend: a figure week by week, of the tickets opened in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from countersign.kpis.counts import DEFLECTION_RATE, cohort_of
from countersign.kpis.engine import category_mix, cluster_ids, measure, standardised
from countersign.kpis.figures import Figure
from countersign.kpis.history import Histories
from countersign.kpis.settings import Measuring

WEEKS = 26


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


def trends(tickets: Histories, how: Measuring) -> tuple[Trend, ...]:
    """Time to resolve at one mix of categories, and deflection, over the last 26 weeks at most.

    A trend without a single known point is left out. Weeks begin on Monday in the zone of the business hours.
    """
    weeks = list(_weeks(tickets, how))
    mix = category_mix(tickets)
    times = tuple(Point(week=week, figure=_time(part, how, mix)) for week, part in weeks)
    deflected = tuple(
        Point(week=week, figure=DEFLECTION_RATE.of(cohort_of(part, how, cluster_ids(part))))
        for week, part in weeks
    )
    found = (
        Trend(title="Time to resolve by week of opening", points=times),
        Trend(title="Deflection by week of opening", points=deflected),
    )
    return tuple(trend for trend in found if any(point.figure.value is not None for point in trend.points))


def _time(tickets: Histories, how: Measuring, mix: dict[str, float]) -> Figure:
    if mix:
        return standardised(tickets, how, mix)
    return next(figure for figure in measure(tickets, how) if figure.key == "time_to_resolve.mean")


def _weeks(tickets: Histories, how: Measuring) -> Iterator[tuple[date, Histories]]:
    opened = tickets.opened[tickets.opened <= how.end]
    if not len(opened):
        return
    zone = ZoneInfo(how.business.zone)
    first = datetime.fromtimestamp(float(np.min(opened)), zone).date()
    last = _monday(datetime.fromtimestamp(float(np.max(opened)), zone).date())
    monday = max(_monday(first), last - timedelta(weeks=WEEKS - 1))
    while monday <= last:
        following = monday + timedelta(weeks=1)
        since, until = (datetime.combine(day, time(), zone) for day in (monday, following))
        yield monday, tickets.opened_between(since, until)
        monday = following


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
