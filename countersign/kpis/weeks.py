"""Weeks: what the trend shows of weeks that are long over, as sums that do not grow with the number of tickets.

Once a ticket was opened longer ago than restricted means look, its part in them is known: the time it took, or the
horizon. Nothing is censored before, so that the Kaplan-Meier mean and its Greenwood variance are those of plain sums.
Tickets that were reopened are kept one by one: which reopenings count is for whoever measures to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from countersign.kpis.counts import Closes
from countersign.kpis.durations import Mean
from countersign.kpis.figures import Exclusion
from countersign.kpis.history import UNKNOWN, Bools, Event, Floats, Histories, Ints, kept, numbered
from countersign.kpis.rates import kish
from countersign.kpis.times import BACKWARDS, ENDLESS, HOUR

# How far the means look that sums are kept for.
HORIZON = timedelta(days=30)
WEEK = timedelta(weeks=1)
# Weeks are numbered from that of the first Monday of 1970 on, UTC.
NOWHERE = (0, 0)
_FIRST = datetime(1970, 1, 5, tzinfo=UTC)
_TIMES = ("counted", "hours", "squares", "endless", "backwards", "going_on")
_CLOSES = ("alone", "alone_closed", "unknown", "judged", "weight", "weights", "wrong")
SUMMED = ("tickets", *_TIMES, *_CLOSES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weeks:
    """Sums over tickets by week and category (`sums` has a row for each of SUMMED), their closes by week and cluster,
    and the times of the tickets that were reopened, which are in no sum of times.

    `latest`: when the last of it all happened, in seconds since 1970; as of an earlier time, the sums are not right.
    `among`: the tickets of these sums among those that were read beside them, from one place to another.
    """

    names: tuple[str, ...]
    week: Ints
    category: Ints
    sums: Floats
    cluster_week: Ints
    cluster: Ints
    opened: Ints
    closed: Ints
    reopened: Floats
    latest: float
    among: tuple[int, int] = NOWHERE

    def settled(self, end: float) -> bool:
        """Whether it all happened by then, and nothing of it is censored then before the horizon."""
        last = int(self.week.max()) if len(self.week) else -1
        return self.latest <= end and is_settled(last, end)


def week_of(at: Floats) -> Ints:
    """The numbers of the weeks in which these times lie, in seconds since 1970."""
    return np.floor((at - _FIRST.timestamp()) / WEEK.total_seconds()).astype(np.int64)


def monday(week: int) -> datetime:
    """When a week begins."""
    return _FIRST + week * WEEK


def is_settled(week: int, end: float, horizon: timedelta = HORIZON) -> bool:
    """Whether at `end` every ticket of a week was opened as long ago as means look."""
    return (monday(week + 1) + horizon).timestamp() <= end


def unsettled_since(until: datetime) -> datetime:
    """When the first week begins that is not settled then."""
    return monday((until - HORIZON - _FIRST) // WEEK)


def weeks_of(tickets: Histories, *, end: float = np.inf, horizon: timedelta = HORIZON) -> Weeks:
    """Tickets as sums, as of `end`; those without a time of opening are in no week."""
    tickets = tickets.take(np.isfinite(tickets.opened))
    count, events = len(tickets), tickets.events.until(end)
    resolved, reopened = (events.time(events.last(kind, count)) for kind in (Event.RESOLVED, Event.REOPENED))
    finished = tickets.finished_by(end)
    plain = np.isnan(reopened)
    times = _times(tickets.opened, resolved, finished, horizon)
    columns = (
        np.ones(count, dtype=np.bool_),
        *(column & plain if column.dtype == np.bool_ else np.where(plain, column, 0.0) for column in times),
        *_closes(tickets),
    )
    week, category = week_of(tickets.opened), tickets.category.codes
    back = ~plain
    happened = np.concatenate(
        (kept(events.at, events.kind != UNKNOWN), tickets.closed[tickets.closed <= end])
    )
    week_there, category_there, sums = _grouped(week, category, columns)
    cluster_week, cluster, opened, closed = _clustered(tickets, week)
    return Weeks(
        names=tickets.category.names,
        week=week_there,
        category=category_there,
        sums=sums,
        cluster_week=cluster_week,
        cluster=cluster,
        opened=opened,
        closed=closed,
        reopened=np.stack(
            [
                column[back].astype(np.float64)
                for column in (category, tickets.opened, resolved, reopened, finished)
            ]
        ),
        latest=float(happened.max()) if len(happened) else -np.inf,
    )


def _times(opened: Floats, resolved: Floats, finished: Bools, horizon: timedelta) -> tuple[Floats, ...]:
    """What each ticket adds to the sums of _TIMES."""
    endless = finished & np.isnan(resolved)
    backwards = ~endless & (resolved < opened)
    counted = ~(endless | backwards)
    going_on = ~endless & np.isnan(resolved)
    took = np.where(going_on, np.inf, resolved - opened) / HOUR
    hours = np.where(counted, np.minimum(took, horizon.total_seconds() / HOUR), 0.0)
    return counted, hours, hours**2, endless, backwards, going_on


def _closes(tickets: Histories) -> tuple[Floats, ...]:
    """What each ticket adds to the sums of _CLOSES."""
    known, closed = tickets.closed_by_policy != UNKNOWN, tickets.closed_by_policy == 1
    alone = known & ~tickets.cluster.known
    judged = closed & (tickets.wrong != UNKNOWN)
    weight = np.where(judged, tickets.weight, 0.0)
    wrong = np.where(tickets.wrong == 1, weight, 0.0)
    return alone, alone & closed, ~known, judged, weight, weight**2, wrong


def _grouped(week: Ints, category: Ints, columns: Iterable[Floats]) -> tuple[Ints, Ints, Floats]:
    """The weeks and categories that there are, and the sum of each column in each of them."""
    if not len(week):
        return week, category, np.zeros((len(SUMMED), 0))
    first, size = int(week.min()), int(category.max()) + 2
    key = (week - first) * size + category + 1
    there = np.flatnonzero(np.bincount(key))
    size_of_all = int(there[-1]) + 1
    sums = np.stack(
        [
            # What is rarely so is counted where it is.
            np.bincount(key[column], minlength=size_of_all)[there].astype(np.float64)
            if column.dtype == np.bool_
            else np.bincount(key, weights=column, minlength=size_of_all)[there]
            for column in columns
        ]
    )
    return there // size + first, there % size - 1, sums


def _clustered(tickets: Histories, week: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Week, digest of the cluster, how many tickets of which it is known who closed them, and those the policy did."""
    chosen = tickets.cluster.known & (tickets.closed_by_policy != UNKNOWN)
    nothing = np.zeros(0, dtype=np.int64)
    if not chosen.any():
        return nothing, nothing.astype(np.uint64), nothing, nothing
    digests = _digests(tickets.cluster.names)
    week, code = week[chosen], tickets.cluster.codes[chosen]
    first, size = int(week.min()), len(digests)
    key = (week - first) * size + code
    opened, closed = np.bincount(key), np.bincount(key, weights=tickets.closed_by_policy[chosen] == 1)
    there = np.flatnonzero(opened)
    there = there[np.lexsort((digests[there % size], there // size))]
    return there // size + first, digests[there % size], opened[there], closed[there].astype(np.int64)


def _digests(names: Sequence[str]) -> Ints:
    told = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(told, dtype="<u8")


def together(parts: Sequence[Weeks], *, among: tuple[int, int] = NOWHERE) -> Weeks:
    """The sums of many lots of tickets side by side; `among` as in Weeks."""
    names = tuple(sorted({name for part in parts for name in part.names}))
    places = {name: place for place, name in enumerate(names)}
    numbers = [np.array([*(places[name] for name in part.names), UNKNOWN]) for part in parts]
    categories = [number[part.category] for number, part in zip(numbers, parts, strict=True)]
    back = [
        np.concatenate((number[part.reopened[:1].astype(np.int64)], part.reopened[1:]))
        for number, part in zip(numbers, parts, strict=True)
    ]
    nothing = np.zeros(0, dtype=np.int64)
    return Weeks(
        names=names,
        week=np.concatenate([nothing, *(part.week for part in parts)]),
        category=np.concatenate([nothing, *categories]),
        sums=np.concatenate([np.zeros((len(SUMMED), 0)), *(part.sums for part in parts)], axis=1),
        cluster_week=np.concatenate([nothing, *(part.cluster_week for part in parts)]),
        cluster=np.concatenate([nothing.astype(np.uint64), *(part.cluster for part in parts)]),
        opened=np.concatenate([nothing, *(part.opened for part in parts)]),
        closed=np.concatenate([nothing, *(part.closed for part in parts)]),
        reopened=np.concatenate([np.zeros((5, 0)), *back], axis=1),
        latest=max((part.latest for part in parts), default=-np.inf),
        among=among,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Summed:
    """One week: its tickets by category, the means of their times to resolve, those left out, and the closes."""

    tickets: Mapping[str, int]
    means: Mapping[str, Mean]
    censored: int
    excluded: tuple[Exclusion, ...]
    closes: Closes


def summed(
    weeks: Weeks, *, reopened_within: timedelta, horizon: timedelta = HORIZON
) -> Iterator[tuple[int, Summed]]:
    """Each week that there is, in order; a resolution that was reopened within a time was none."""
    category, opened, resolved, reopened, finished = weeks.reopened
    undone = (reopened >= resolved) & (reopened <= resolved + reopened_within.total_seconds())
    times = _times(opened, np.where(undone, np.nan, resolved), finished == 1, horizon)
    nothing = np.zeros(len(opened))
    late = np.stack([nothing, *times, *(nothing for _ in _CLOSES)])
    week, category, sums = _grouped(
        np.concatenate((weeks.week, week_of(opened))),
        np.concatenate((weeks.category, category.astype(np.int64))),
        np.concatenate((weeks.sums, late), axis=1),
    )
    order = np.argsort(weeks.cluster_week, kind="stable")
    by_week, cluster, *of_cluster = (
        column[order] for column in (weeks.cluster_week, weeks.cluster, weeks.opened, weeks.closed)
    )
    for number in np.unique(week).tolist():
        here, there = week == number, slice(*np.searchsorted(by_week, (number, number + 1)))
        clusters, place = numbered(cluster[there])
        per_cluster = [
            np.bincount(place, weights=column[there], minlength=len(clusters)) for column in of_cluster
        ]
        yield number, _week(weeks.names, category[here], sums[:, here], *per_cluster)


def _week(names: Sequence[str], category: Ints, sums: Floats, opened: Floats, closed: Floats) -> Summed:
    column = dict(zip(SUMMED, sums, strict=True))
    total = {name: float(values.sum()) for name, values in column.items()}
    named = [(names[code], place) for place, code in enumerate(category.tolist()) if code != UNKNOWN]
    alone = int(total["alone"])
    reasons = ((ENDLESS, total["endless"]), (BACKWARDS, total["backwards"]))
    return Summed(
        tickets={name: int(column["tickets"][place]) for name, place in named},
        means={
            name: Mean.of(
                int(column["counted"][place]), float(column["hours"][place]), float(column["squares"][place])
            )
            for name, place in named
            if column["counted"][place]
        },
        censored=int(total["going_on"]),
        excluded=tuple(Exclusion(reason=reason, count=int(count)) for reason, count in reasons if count),
        closes=Closes(
            # Tickets without a cluster are each one of their own.
            known=np.concatenate((opened, np.ones(alone))),
            closed=np.concatenate((closed, np.arange(alone) < total["alone_closed"])),
            unknown=int(total["unknown"]),
            judged=int(total["judged"]),
            weight=total["weight"],
            wrong=total["wrong"],
            worth=kish(total["weight"], total["weights"]),
        ),
    )


def written(weeks: Weeks) -> bytes:
    """The length of a header, the header in JSON, then the arrays. The same tickets give the same bytes."""
    told = {
        "names": weeks.names,
        "rows": len(weeks.week),
        "clusters": len(weeks.cluster),
        "reopened": weeks.reopened.shape[1],
        "latest": weeks.latest if np.isfinite(weeks.latest) else None,
    }
    header = json.dumps(told, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    arrays = (
        weeks.sums.astype("<f8"),
        weeks.reopened.astype("<f8"),
        weeks.cluster.astype("<u8"),
        *(
            array.astype("<i4")
            for array in (weeks.week, weeks.category, weeks.cluster_week, weeks.opened, weeks.closed)
        ),
    )
    return len(header).to_bytes(8, "little") + header + b"".join(array.tobytes() for array in arrays)


def read(body: bytes) -> Weeks:
    """What `written` gave."""
    at = 8 + int.from_bytes(body[:8], "little")
    told = json.loads(body[8:at])
    rows, clusters, back = told["rows"], told["clusters"], told["reopened"]
    sizes = (
        ("<f8", len(SUMMED) * rows),
        ("<f8", 5 * back),
        ("<u8", clusters),
        *(("<i4", size) for size in (rows, rows, clusters, clusters, clusters)),
    )
    arrays = []
    for form, size in sizes:
        arrays.append(np.frombuffer(body, dtype=form, count=size, offset=at))
        at += arrays[-1].nbytes
    sums, reopened, cluster, week, category, cluster_week, opened, closed = arrays
    return Weeks(
        names=tuple(told["names"]),
        week=week,
        category=category,
        sums=sums.reshape(len(SUMMED), rows),
        cluster_week=cluster_week,
        cluster=cluster,
        opened=opened,
        closed=closed,
        reopened=reopened.reshape(5, back),
        latest=-np.inf if told["latest"] is None else told["latest"],
    )
