"""Durations: the wall clock, the business clock, pauses, reopenings and what is not known yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.kpis.history import TicketHistory, as_columns
from countersign.kpis.times import (
    BACKWARDS,
    BusinessHours,
    business_seconds,
    paused_seconds,
    resolution,
    to_acknowledge,
    to_detect,
    to_resolve,
)

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
UNTIL = (MONDAY + timedelta(days=60)).timestamp()
WEEK = timedelta(days=7).total_seconds()


def after(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def test_business_hours_may_last_over_midnight() -> None:
    """A night shift from Monday to Friday ends on Saturday morning: eight hours each night, never less than none."""
    hours = BusinessHours(text="Mon-Fri 22:00-06:00", zone="Asia/Kathmandu").checked()
    friday = datetime(2026, 3, 6, 12, tzinfo=ZoneInfo("Asia/Kathmandu"))
    ends = np.array([(friday + timedelta(hours=at)).timestamp() for at in (9, 12, 24, 60, 84)])
    lasted = business_seconds(np.full(5, friday.timestamp()), ends, hours) / 3600
    assert lasted.tolist() == [0, 2, 8, 8, 10]


def ticket(**fields: object) -> TicketHistory:
    return TicketHistory(id="INC1", opened=MONDAY, **fields)  # type: ignore[arg-type]


def resolved_after(row: TicketHistory) -> float:
    """Hours to the resolution that stands, NaN if none does."""
    return float((resolution(as_columns([row]), UNTIL, WEEK)[0] - MONDAY.timestamp()) / 3600)


def test_the_last_resolution_counts() -> None:
    """A ticket resolved, reopened and resolved again took until the second time."""
    assert resolved_after(ticket(resolved=(after(2), after(30)), reopened=(after(5),))) == 30


def test_a_resolution_undone_within_the_window_is_none() -> None:
    """Reopened and not resolved since: it is still open."""
    assert np.isnan(resolved_after(ticket(resolved=(after(2),), reopened=(after(5),))))


def test_a_reopening_after_the_window_leaves_the_resolution() -> None:
    """What comes back after weeks is a new trouble."""
    assert resolved_after(ticket(resolved=(after(2),), reopened=(after(24 * 20),))) == 2


def test_of_two_reopenings_in_a_row_the_last_counts() -> None:
    """Whatever a desk tells, it is one answer: the resolution stands if the last one came after the window."""
    assert resolved_after(ticket(resolved=(after(2),), reopened=(after(5), after(24 * 20)))) == 2


def test_what_happened_after_the_end_of_the_period_is_not_known() -> None:
    """A resolution in the future of the report leaves the ticket open."""
    assert np.isnan(resolved_after(ticket(resolved=(after(24 * 90),))))


def test_an_open_ticket_counts_as_longer_than_until_now() -> None:
    """It is kept, marked as not ended."""
    spans = to_resolve(as_columns([ticket()]), UNTIL, WEEK)
    assert spans.hours.tolist() == [60 * 24]
    assert not spans.observed[0]


def test_a_finished_ticket_without_a_time_is_left_out_with_its_reason() -> None:
    """Its duration is unknown, not 0 and not endless."""
    spans = to_resolve(as_columns([ticket(finished=True)]), UNTIL, WEEK)
    assert not len(spans.hours)
    assert [(left.reason, left.count) for left in spans.excluded] == [
        ("it is finished, but has no time of resolution", 1)
    ]


def test_a_negative_duration_is_left_out_with_its_reason() -> None:
    """A clock that went back gives no duration."""
    spans = to_resolve(as_columns([ticket(resolved=(after(-1),))]), UNTIL, WEEK)
    assert [(left.reason, left.count) for left in spans.excluded] == [("it ends before it starts", 1)]


def test_trouble_is_detected_by_its_first_alert_or_by_its_ticket_if_that_came_first() -> None:
    """Counted from when it began by its source's clock; where nothing says that, it is left out, and so is a clock
    that went back."""
    rows = [
        ticket(began=after(-1), detected=after(-0.75)),
        ticket(began=after(-1), detected=after(2)),
        ticket(began=after(-1)),
        ticket(detected=after(-0.5)),
        ticket(began=after(1)),
    ]
    spans = to_detect(as_columns(rows), UNTIL)
    assert spans.hours.tolist() == [0.25, 1.0, 1.0]
    assert sorted((left.count, left.reason.partition(",")[0]) for left in spans.excluded) == [
        (1, BACKWARDS), (1, "people opened it"),
    ]  # fmt: skip


def test_nobody_has_to_take_what_the_policy_closed() -> None:
    """Closes without a person don't count as unacknowledged for ever."""
    rows = [
        ticket(closed_by_policy=True, finished=True, resolved=(after(1),)),
        ticket(acknowledged=after(0.5)),
    ]
    spans = to_acknowledge(as_columns(rows), UNTIL)
    assert spans.hours.tolist() == [0.5]
    assert [left.count for left in spans.excluded] == [1]


def test_pauses_are_counted_until_the_work_goes_on_or_ends() -> None:
    """Two pauses: one resumed after 3 h, one that lasts to the resolution."""
    row = ticket(paused=(after(1), after(10)), resumed=(after(4),), resolved=(after(12),))
    assert paused_seconds(as_columns([row]), np.array([after(12).timestamp()])).tolist() == [5 * 3600]


def test_business_hours_skip_nights_and_weekends() -> None:
    """From Friday 17:00 to Monday 09:00 are two hours of Mon-Fri 08:00-18:00."""
    friday = datetime(2026, 3, 6, 17, tzinfo=UTC).timestamp()
    monday = datetime(2026, 3, 9, 9, tzinfo=UTC).timestamp()
    assert business_seconds(np.array([friday]), np.array([monday]), BusinessHours()).tolist() == [2 * 3600]


def test_business_hours_follow_the_zone_through_a_change_of_clocks() -> None:
    """Rome, 27 to 30 March 2026 (clocks change on the 29th): Friday 16:00 to Monday 10:00 local is 4 h."""
    rome = ZoneInfo("Europe/Rome")
    start, end = (datetime(2026, 3, day, hour, tzinfo=rome).timestamp() for day, hour in ((27, 16), (30, 10)))
    hours = BusinessHours(zone="Europe/Rome")
    assert business_seconds(np.array([start]), np.array([end]), hours).tolist() == [4 * 3600]


def test_a_span_of_days_may_go_over_the_weekend() -> None:
    """Sat-Mon are three days, and 24:00 is midnight."""
    day = datetime(2026, 3, 7, tzinfo=UTC)
    start, end = np.array([day.timestamp()]), np.array([(day + timedelta(days=7)).timestamp()])
    assert business_seconds(start, end, BusinessHours(text="Sat-Mon 00:00-24:00")).tolist() == [3 * 86400]


@pytest.mark.parametrize("text", ["weekdays", "Mon-Foo 08:00-18:00", "Mon 8-18"])
def test_business_hours_that_can_not_be_read_are_refused(text: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValueError, match="Mon-Fri 08:00-18:00"):
        BusinessHours(text=text).checked()


def test_a_weekend_morning_is_no_business_time() -> None:
    """From Monday before dawn, after a weekend, until Monday before opening: nothing."""
    monday = datetime(2026, 3, 9, tzinfo=UTC)
    start, end = np.array([monday.timestamp()]), np.array([(monday + timedelta(hours=8)).timestamp()])
    assert business_seconds(start, end, BusinessHours()).tolist() == [0]


@settings(deadline=None)  # a loop over a month of minutes, on whatever machine
@given(st.lists(st.integers(0, 60 * 24 * 30), min_size=2, max_size=2))
def test_business_time_agrees_with_counting_minutes(minutes: list[int]) -> None:
    """The vectorised clock equals a loop over minutes."""
    start, end = sorted(minutes)
    counted = sum(
        1
        for minute in range(start, end)
        if (at := MONDAY + timedelta(minutes=minute)).weekday() < 5 and 8 <= at.hour < 18
    )
    times = [np.array([(MONDAY + timedelta(minutes=at)).timestamp()]) for at in (start, end)]
    assert business_seconds(times[0], times[1], BusinessHours()).tolist() == [counted * 60]


def test_a_time_without_a_zone_is_refused() -> None:
    """Histories take aware times only."""
    with pytest.raises(ValueError, match="no zone"):
        as_columns([TicketHistory(id="INC1", opened=datetime(2026, 3, 2, 9))])  # noqa: DTZ001
