"""Schedules: due on the wall clock of the policy's zone, through both changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from countersign.schedules import last_due, missed

ROME = "Europe/Rome"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "now", "due"),
    [
        ("Mon 07:00", "2026-11-16 06:00", "2026-11-16 06:00"),
        ("Mon 07:00", "2026-11-16 05:59", "2026-11-09 06:00"),
        ("Mon 07:00", "2026-11-22 23:00", "2026-11-16 06:00"),
        ("daily 07:00", "2026-03-28 12:00", "2026-03-28 06:00"),
        ("daily 07:00", "2026-03-29 12:00", "2026-03-29 05:00"),  # summer time began in the night
        ("daily 07:00", "2026-10-24 12:00", "2026-10-24 05:00"),
        ("daily 07:00", "2026-10-25 12:00", "2026-10-25 06:00"),  # and ended
        ("daily 02:30", "2026-03-29 12:00", "2026-03-29 01:30"),  # skipped: 03:30 on the wall
        ("daily 02:30", "2026-10-25 12:00", "2026-10-25 00:30"),  # twice: the first
    ],
)
def test_it_is_due_on_the_clock_of_its_zone(when: str, now: str, due: str) -> None:
    """At 07:00 in Rome all year, which is 06:00 or 05:00 UTC."""
    assert last_due(when, ROME, utc(now)) == utc(due)


def test_the_date_line_makes_no_difference() -> None:
    """Monday in Auckland begins while it is Sunday in UTC."""
    assert last_due("Mon 07:00", "Pacific/Auckland", utc("2026-11-15 18:00")) == utc("2026-11-15 18:00")


def test_a_time_that_comes_twice_fires_once() -> None:
    """Between the two 02:30 of an October night there is no second due time."""
    first = last_due("daily 02:30", ROME, utc("2026-10-25 00:30"))
    assert last_due("daily 02:30", ROME, utc("2026-10-25 01:30")) == first


@given(
    some.integers(min_value=0, max_value=5_000_000),
    some.sampled_from([ROME, "UTC", "America/New_York", "Australia/Lord_Howe"]),
    some.sampled_from(["Mon 07:00", "daily 02:30", "Sun 00:00", "daily 23:59"]),
)
def test_each_due_time_is_its_own_last(minutes: int, zone: str, when: str) -> None:
    """Never after now, stable at itself, and the one before lies at most eight days back."""
    now = utc("2020-01-01") + timedelta(minutes=minutes)
    due = last_due(when, zone, now)
    assert due <= now
    assert last_due(when, zone, due) == due
    assert due - last_due(when, zone, due - timedelta(seconds=1)) < timedelta(days=8)


def test_what_fell_into_a_downtime_is_counted() -> None:
    """Both ends excluded."""
    after, before = utc("2026-11-16 06:00"), utc("2026-11-20 06:00")
    assert missed("daily 07:00", ROME, after=after, before=before) == 3
    assert missed("daily 07:00", ROME, after=after, before=after + timedelta(days=1)) == 0


def test_a_time_without_a_zone_is_refused() -> None:
    """Nobody guesses it."""
    with pytest.raises(ValueError, match="aware"):
        last_due("daily 07:00", ROME, datetime.fromisoformat("2026-01-01"))
