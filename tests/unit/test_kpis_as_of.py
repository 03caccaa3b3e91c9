"""As of: a period that is over is measured as it was at its end, and what was open then is not taken for less."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from countersign.effects import effects
from countersign.kpis.engine import category_mix, measure
from countersign.kpis.figures import Figure
from countersign.kpis.history import TicketHistory, as_columns
from countersign.kpis.settings import Measuring
from countersign.kpis.trend import trends
from countersign.lanes import Lane

END = datetime(2026, 10, 26, 7, tzinfo=UTC)  # a Monday, as reports come
HOW = Measuring(until=END)
HOUR = timedelta(hours=1)


def figures(rows: list[TicketHistory]) -> dict[str, Figure]:
    tickets = as_columns(rows)
    found = (*measure(tickets, HOW, mix=category_mix(tickets)), *effects(tickets, HOW))
    return {figure.key: figure for figure in found}


def ticket(number: int, opened: datetime = END - 100 * HOUR, **fields: object) -> TicketHistory:
    return TicketHistory(
        id=f"INC{number}",
        opened=opened,
        category="disk",
        cluster=str(number),
        lane=Lane.CONTROL if number % 2 else Lane.TREATED,
        control_share=0.5,
        **fields,  # type: ignore[arg-type]
    )


def test_what_was_resolved_after_the_end_was_open_then() -> None:
    """Whether it is known by now or not, it counts as lasting longer than until then, and as not finished."""
    over = [ticket(number, resolved=(END - 90 * HOUR,), finished=True, moves=0) for number in range(6)]
    then = [ticket(number, moves=0) for number in range(6, 10)]
    now = [
        ticket(number, resolved=(END + 20 * HOUR,), finished=True, moves=0, reopens=0)
        for number in range(6, 10)
    ]
    assert figures([*over, *now]) == figures([*over, *then]) | {
        key: figures([*over, *now])[key] for key in ("reopen_rate", "first_touch_rate")
    }
    mean = figures([*over, *now])["time_to_resolve.mean"]
    assert (mean.value, mean.n, mean.censored, mean.excluded) == (46.0, 10, 4, ())
    touched = figures([*over, *now])["first_touch_rate"]
    assert ("it has not been finished yet", 4) in [(left.reason, left.count) for left in touched.excluded]


def test_a_reopening_after_the_end_does_not_count() -> None:
    """Or of two periods the one before would always have been reopened more often: it has had longer for it."""
    back = [
        ticket(number, resolved=(END - 50 * HOUR,), finished=True, moves=0, reopened=(END + at * HOUR,), reopens=1)
        for number, at in enumerate((-10, -20, 10, 20, 30))
    ]  # fmt: skip
    found = figures(back)
    assert (found["reopen_rate"].value, found["reopen_rate"].n) == (0.4, 5)
    assert (found["first_touch_rate"].value, found["first_touch_rate"].n) == (0.6, 5)


def test_while_nothing_is_through_no_mean_is_told() -> None:
    """It would be as long as the tickets were followed, with an interval of no width; and lanes would be alike."""
    found = figures([ticket(number, opened=END - (10 + number) * HOUR) for number in range(30)])
    for key in ("time_to_resolve.mean", "time_to_acknowledge.mean"):
        assert (found[key].value, found[key].unknown) == (None, "no ticket is through so far")
    assert found["time_to_resolve.standardised"].value is None
    for key in ("mean_ratio", "geometric_ratio"):
        effect = found[f"effect.time_to_resolve.{key}"]
        assert (effect.value, effect.unknown) == (None, "no ticket of the control lane has been resolved yet")


def test_tickets_that_all_took_the_same_time_show_no_effect_and_no_interval() -> None:
    """That they are alike does not make sure that the next ones are."""
    found = figures([ticket(n, resolved=(END - 95 * HOUR,), finished=True, moves=0) for n in range(30)])
    for key in ("time_to_resolve.mean", "time_to_resolve.standardised", "time_to_resolve.mean_of_resolved"):
        figure = found[key]
        assert (figure.value, figure.low, figure.high, figure.detectable) == (5.0, None, None, None)
    assert (found["reassignments"].value, found["reassignments"].high) == (0.0, None)
    assert found["effect.time_to_resolve.mean_ratio"].unknown == "all tickets took the same time"


def week_by_week(rows: list[TicketHistory]) -> dict[date, Figure]:
    return {point.week: point.figure for point in trends(as_columns(rows), HOW)[0].points}


def test_a_week_that_was_followed_for_hours_is_no_fall_of_the_trend() -> None:
    """The report comes on Monday morning: of the tickets of that day, of which most are open, nobody knows the mean."""
    draw = np.random.default_rng(4)
    rows = []
    for number in range(600):
        opened = END - timedelta(days=float(draw.uniform(0, 42)))
        done = opened + timedelta(hours=float(draw.lognormal(1.5, 1.2)))
        over = {"resolved": (done,), "finished": True} if done <= END else {}
        rows.append(ticket(number, opened=opened, **over))
    found = week_by_week(rows)
    assert len(found) == 7
    assert (found[END.date()].value, found[END.date()].n) == (None, 9)
    assert found[END.date()].unknown == "too few tickets were followed for long enough"
    assert all(figure.value is not None for week, figure in found.items() if week != END.date())


def test_what_open_tickets_can_still_add_is_in_the_interval() -> None:
    """One of a hundred is open after 3.3 days: it may take the other 26.7 as well, which are 6.4 hours of a mean."""
    done = [
        ticket(n, opened=END - 80 * HOUR, resolved=(END - (79 - n % 20) * HOUR,), finished=True) for n in range(99)
    ]  # fmt: skip
    still = figures([*done, ticket(99, opened=END - 80 * HOUR)])["time_to_resolve.standardised"]
    over = figures([*done, ticket(99, opened=END - 80 * HOUR, resolved=(END,), finished=True)])
    sure = over["time_to_resolve.standardised"]
    assert (still.value, still.low) == (pytest.approx(sure.value), pytest.approx(sure.low, abs=0.05))
    assert still.high == pytest.approx(sure.high + 6.4, abs=0.05)
    assert "Open tickets can still add up to 6.4 h" in still.definition
