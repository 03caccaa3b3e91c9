"""Schedules: when a report is due, on the clock on the wall of its zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)


def last_due(when: str, zone: str, now: datetime) -> datetime:
    """The newest due time that is not after `now`, in UTC; `when` as "Mon 07:00" or "daily 07:00".

    A time that the clock skips in spring is due as much later as it skips; one that comes twice in autumn is due
    at its first coming. Raises ValueError for a `now` without a zone.
    """
    if now.tzinfo is None:
        raise ValueError("A schedule needs an aware time; give it one with a zone.")
    return next(_backwards(when, zone, now))


def missed(when: str, zone: str, *, after: datetime, before: datetime) -> int:
    """How many times it was due between two moments, both excluded."""
    count = 0
    for due in _backwards(when, zone, before):
        if due <= after:
            return count
        count += due < before
    return count


def _backwards(when: str, zone: str, now: datetime) -> Iterator[datetime]:
    """Due times up to `now`, newest first."""
    day_name, _, clock = when.partition(" ")
    at, place = time.fromisoformat(clock), ZoneInfo(zone)
    # A day ahead, since a zone's calendar may be; then back to the beginning of calendars.
    day = now.astimezone(place).date() + _DAY
    while day > date.min + _DAY:
        if day_name in ("daily", _DAYS[day.weekday()]):
            due = datetime.combine(day, at, place).astimezone(UTC)
            if due <= now:
                yield due
        day -= _DAY
