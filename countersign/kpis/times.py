"""Durations: from one moment of a ticket to another, on the wall clock and on the business clock, with pauses apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from countersign.kpis.figures import Exclusion
from countersign.kpis.history import Bools, Event, Floats, Histories, count, kept

HOUR = 3600.0
# Why a ticket is left out.
BACKWARDS = "it ends before it starts"
ENDLESS = "it is finished, but has no time of resolution"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"(\w{3})(?:-(\w{3}))? (\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class BusinessHours:
    """Days and hours that count, in one zone; `text` as in a policy: "Mon-Fri 08:00-18:00".

    What closes before it opens does so the next day: "Mon-Fri 22:00-06:00" ends on Saturday morning.
    """

    text: str = "Mon-Fri 08:00-18:00"
    zone: str = "UTC"

    def checked(self) -> BusinessHours:
        """Itself; ValueError with what to write if the text or the zone can't be used."""
        day = date(2026, 1, 1)
        self.windows(day, day)
        return self

    def windows(self, first: date, last: date) -> tuple[Floats, Floats]:
        """Start and end, in seconds since 1970, of each day's window from `first` to `last` (included)."""
        match = _HOURS.fullmatch(self.text)
        if match is None or not {match[1], match[2] or match[1]} <= set(_DAYS):
            raise ValueError(
                f'"{self.text}" is not a span of business hours; write it as "Mon-Fri 08:00-18:00".'
            )
        start_day, end_day = _DAYS.index(match[1]), _DAYS.index(match[2] or match[1])
        length = (end_day - start_day) % 7
        opens, closes = (timedelta(hours=int(match[at]), minutes=int(match[at + 1])) for at in (3, 5))
        if closes <= opens:
            closes += timedelta(days=1)
        zone = ZoneInfo(self.zone)
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        working = [day for day in days if (day.weekday() - start_day) % 7 <= length]
        starts = [_at(day, opens, zone) for day in working]
        ends = [_at(day, closes, zone) for day in working]
        return np.array(starts, dtype=np.float64), np.array(ends, dtype=np.float64)


def _at(day: date, offset: timedelta, zone: ZoneInfo) -> float:
    return (datetime.combine(day, time()) + offset).replace(tzinfo=zone).timestamp()


def business_seconds(start: Floats, end: Floats, hours: BusinessHours) -> Floats:
    """Seconds of business hours between two times; NaN where one of them is."""
    both = [kept(times, np.isfinite(times)) for times in (start, end)]
    known = [times for times in both if len(times)]
    if not known:
        return np.full(len(start), np.nan)
    ends = min(times.min() for times in known), max(times.max() for times in known)
    first, last = (datetime.fromtimestamp(float(at), UTC).date() for at in ends)
    opens, closes = hours.windows(first - timedelta(days=2), last + timedelta(days=2))
    if not len(opens):
        return np.where(np.isfinite(start) & np.isfinite(end), 0.0, np.nan)
    return _elapsed(end, opens, closes) - _elapsed(start, opens, closes)


def _elapsed(at: Floats, opens: Floats, closes: Floats) -> Floats:
    """Business seconds from the first window to `at`."""
    passed = np.concatenate(([0.0], np.cumsum(closes - opens)))
    edges, there = np.stack((opens, closes), axis=1), np.stack((passed[:-1], passed[1:]), axis=1)
    # It rises within windows and rests between them; unknown times stay unknown.
    elapsed: Floats = np.interp(at, edges.ravel(), there.ravel())
    return elapsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """Durations in hours of the tickets that count (`rows` tells which); not `observed`: still going on."""

    rows: Bools
    start: Floats
    end: Floats
    hours: Floats
    observed: Bools
    excluded: tuple[Exclusion, ...]

    @property
    def censored(self) -> int:
        return len(self.observed) - count(self.observed)


_NOTHING = np.zeros(0)
NO_SPANS = Spans(
    rows=np.zeros(0, dtype=np.int64),
    start=_NOTHING,
    end=_NOTHING,
    hours=_NOTHING,
    observed=_NOTHING.astype(np.bool_),
    excluded=(),
)


def _spans(start: Floats, end: Floats, until: float, leave_out: list[tuple[str, Bools]]) -> Spans:
    """Tickets without an end yet go on at `until`; each left-out ticket counts under its first reason."""
    reasons = [
        *leave_out,
        ("it has no time to start from", np.isnan(start)),
        ("it starts after the end of the period", start > until),
        (BACKWARDS, end < start),
    ]
    rows = np.ones(len(start), dtype=np.bool_)
    excluded = []
    for reason, hit in reasons:
        before = count(rows)
        np.greater(rows, hit, out=rows)  # all that were kept and are not hit
        if gone := before - count(rows):
            excluded.append(Exclusion(reason=reason, count=gone))
    start, end = kept(start, rows), kept(end, rows)
    observed = end <= until
    end = np.fmin(end, until)  # until then, where there is none
    return Spans(
        rows=rows,
        start=start,
        end=end,
        hours=(end - start) / HOUR,
        observed=observed,
        excluded=tuple(excluded),
    )


def resolution(tickets: Histories, until: float, window: float) -> Floats:
    """The time of each ticket's last resolution that was not reopened within `window` seconds; NaN if there is none.

    What happened after `until` is not known.
    """
    events = tickets.events.until(until)
    places = np.flatnonzero(events.kind == Event.RESOLVED)
    rows = events.ticket[places]
    resolved = np.full(len(tickets), np.nan)
    resolved[rows] = events.at[places]  # sorted by time, so that the last one stays
    # Those that were reopened are few: only of them it is asked which came last.
    back = np.flatnonzero(events.kind == Event.REOPENED)
    came_back = events.ticket[back]
    final = np.append(np.diff(came_back) != 0, True)[: len(back)]
    back, came_back = back[final], came_back[final]
    later = np.searchsorted(places, back) > np.searchsorted(rows, came_back, side="right") - 1
    undone = later & (events.at[back] <= resolved[came_back] + window)
    resolved[came_back[undone]] = np.nan
    return resolved


def to_detect(tickets: Histories, until: float) -> Spans:
    leave_out = [("people opened it, and nothing says when the trouble began", np.isnan(tickets.began))]
    return _spans(tickets.began, np.fmin(tickets.detected, tickets.opened), until, leave_out)


def to_acknowledge(tickets: Histories, until: float) -> Spans:
    missing = np.isnan(tickets.acknowledged)
    finished = tickets.finished_by(until)
    leave_out = [
        ("the policy closed it, so nobody had to take it", missing & (tickets.closed_by_policy == 1)),
        ("it is finished, but nobody is recorded to have taken it", missing & finished),
    ]
    return _spans(tickets.opened, tickets.acknowledged, until, leave_out)


def to_resolve(tickets: Histories, until: float, window: float) -> Spans:
    end = resolution(tickets, until, window)
    leave_out = [(ENDLESS, tickets.finished_by(until) & np.isnan(end))]
    return _spans(tickets.opened, end, until, leave_out)


def paused_seconds(tickets: Histories, end: Floats) -> Floats:
    """How long each ticket was on hold before `end` (one time per ticket)."""
    events = tickets.events
    same = (
        np.concatenate((events.ticket[1:] == events.ticket[:-1], [False]))
        if len(events.ticket)
        else np.zeros(0, bool)
    )
    following = np.concatenate((events.at[1:], [np.inf])) if len(events.at) else events.at
    stops = np.minimum(np.where(same, following, np.inf), end[events.ticket])
    lasting = np.where(events.kind == Event.PAUSED, np.clip(stops - events.at, 0.0, None), 0.0)
    totals = np.bincount(events.ticket, weights=np.nan_to_num(lasting), minlength=len(tickets))
    return totals.astype(np.float64)
