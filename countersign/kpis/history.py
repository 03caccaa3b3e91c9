"""Ticket histories: what happened to a ticket, as one row, and many of them as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from countersign.lanes import Lane

Floats = npt.NDArray[Any]  # of numbers, NaN where unknown
Ints = npt.NDArray[Any]  # of whole numbers, of any width
Bools = npt.NDArray[np.bool_]

UNKNOWN = -1
_NEARLY_ALL = 0.96


class DraftUse(StrEnum):
    """What people did with a draft."""

    AS_IS = "as_is"
    EDITED = "edited"
    REJECTED = "rejected"
    UNSEEN = "unseen"


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketHistory:
    """One ticket, from a desk's export or from the ledger. None and "" mean unknown; times are aware.

    `began`: when the trouble began; `detected`: the first alert. `acknowledged`: the first human who took it.
    `finished`: the desk has it as resolved or closed. `paused` and `resumed` are None where the desk does not
    record them. `moves` counts changes of group, `reopens` reopenings (at least as many as `reopened` has times).
    `needed_work`: somebody had to do something. `wrong`: judged a wrong close (None: not judged), and `weight` is
    1 over the probability that it was chosen to be judged. `control_share` is the probability with which it was drawn
    for the control lane. `minutes` is people's time, `model_usd` the model's price.
    """

    id: str
    opened: datetime | None
    began: datetime | None = None
    detected: datetime | None = None
    acknowledged: datetime | None = None
    closed: datetime | None = None
    resolved: tuple[datetime, ...] = ()
    reopened: tuple[datetime, ...] = ()
    paused: tuple[datetime, ...] | None = None
    resumed: tuple[datetime, ...] | None = None
    finished: bool = False
    category: str = ""
    priority: str = ""
    service: str = ""
    cluster: str = ""
    lane: Lane | None = None
    moves: int | None = None
    reopens: int | None = None
    alerts: int | None = None
    needed_work: bool | None = None
    closed_by_policy: bool | None = None
    wrong: bool | None = None
    weight: float = 1.0
    draft: DraftUse | None = None
    control_share: float | None = None
    minutes: float | None = None
    model_usd: float | None = None


class Event(IntEnum):
    """What can happen to a ticket more than once."""

    RESOLVED = 0
    REOPENED = 1
    PAUSED = 2
    RESUMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Codes:
    """A column of few different words: `codes` index `names`, UNKNOWN (-1) where there is none."""

    codes: Ints
    names: tuple[str, ...]

    @classmethod
    def of(cls, words: Iterable[str]) -> Codes:
        known: dict[str, int] = {"": UNKNOWN}
        codes = [known.setdefault(word, len(known) - 1) for word in words]
        return cls(codes=np.array(codes, dtype=np.int64), names=tuple(known)[1:])

    @classmethod
    def none(cls, count: int) -> Codes:
        return cls(codes=np.full(count, UNKNOWN, dtype=np.int64), names=())

    @property
    def known(self) -> Bools:
        return np.not_equal(self.codes, UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """Things that happened, sorted by ticket and time: `ticket` is the row it belongs to, `kind` an Event."""

    ticket: Ints
    kind: Ints
    at: Floats

    @classmethod
    def of(cls, ticket: Ints, kind: Ints, at: Floats) -> Events:
        order = np.lexsort((at, ticket))  # stable: what has the same time stays in the order it was told in
        return cls(ticket=ticket[order], kind=kind[order], at=at[order])

    @classmethod
    def none(cls) -> Events:
        nothing = np.zeros(0, dtype=np.int64)
        return cls(ticket=nothing, kind=nothing, at=np.zeros(0))

    def take(self, keep: Bools) -> Events:
        places = np.flatnonzero(keep)
        return Events(ticket=self.ticket[places], kind=self.kind[places], at=self.at[places])

    def until(self, at: float) -> Events:
        """The same, but what had not happened by then is of no kind: it is rarely much, and little is copied for it."""
        late = np.flatnonzero(~(self.at <= at))
        if not len(late):
            return self
        kind = self.kind.copy()
        kind[late] = UNKNOWN
        return replace(self, kind=kind)

    def after(self, at: float, kind: Event, count: int) -> Ints:
        """How often each of `count` tickets had an event of a kind after that."""
        late = np.flatnonzero(self.at > at)
        return np.bincount(self.ticket[late[self.kind[late] == kind]], minlength=count)

    def last(self, kind: Event, count: int) -> Ints:
        """The place of each ticket's last event of a kind, -1 without one; `count` tickets."""
        of_kind = np.flatnonzero(self.kind == kind)
        found = np.full(count, -1, dtype=np.int64)
        found[self.ticket[of_kind]] = of_kind  # sorted by time, so that the last one stays
        return found

    def time(self, places: Ints) -> Floats:
        """The times at some places, NaN for -1."""
        if not len(self.at):
            return np.full(len(places), np.nan)
        found: Floats = self.at[places]
        found[places < 0] = np.nan
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Histories:
    """Many ticket histories as columns of one length; the meaning of each is that of `TicketHistory`.

    Times are seconds since 1970 in UTC, NaN unknown. Numbers are NaN where unknown; flags are 1, 0 or UNKNOWN.
    `recorded` names the fields that whoever gave the rows records at all: what is not in it is unknown, not absent.
    """

    opened: Floats
    began: Floats
    detected: Floats
    acknowledged: Floats
    closed: Floats
    events: Events
    finished: Bools
    category: Codes
    priority: Codes
    service: Codes
    cluster: Codes
    lane: Codes
    draft: Codes
    moves: Floats
    reopens: Floats
    alerts: Floats
    minutes: Floats
    model_usd: Floats
    weight: Floats
    control_share: Floats
    needed_work: Ints
    closed_by_policy: Ints
    wrong: Ints
    recorded: frozenset[str]

    def __len__(self) -> int:
        return len(self.opened)

    def finished_by(self, end: float) -> Bools:
        """Which were finished then, as far as is known: a finish of which nothing tells the time counts as past.

        `finished` says how a ticket stands now; one that was resolved after `end` was open then.
        """
        finished = self.finished & ~(self.closed > end)
        if not len(self.events.at) or self.events.at.max() <= end:
            return finished
        later: Bools = (self.events.after(end, Event.RESOLVED, len(self)) > 0) & np.isnan(self.closed)
        return finished & ~later

    def take(self, keep: Bools) -> Histories:
        """The tickets for which `keep` is True."""
        if keep.all():
            return self
        renumbered = np.cumsum(keep) - 1
        kept = self.events.take(keep[self.events.ticket])
        events = Events(ticket=renumbered[kept.ticket], kind=kept.kind, at=kept.at)
        places = np.flatnonzero(keep)
        columns: dict[str, Any] = {name: getattr(self, name)[places] for name in _ARRAYS}
        columns |= {
            name: Codes(codes=getattr(self, name).codes[places], names=getattr(self, name).names)
            for name in WORDS
        }
        return replace(self, events=events, **columns)

    def opened_between(self, since: datetime, until: datetime) -> Histories:
        """The tickets that were opened from `since` (included) to `until` (excluded)."""
        within = (self.opened >= since.timestamp()) & (self.opened < until.timestamp())
        places = np.flatnonzero(within)
        if not len(places):
            return self._between(0, 0)
        # A look at a range costs nothing; and who gives tickets in order has nothing to sort out of it.
        first, end = int(places[0]), int(places[-1]) + 1
        part = self._between(first, end)
        return part if len(places) == end - first else part.take(within[first:end])

    def around(self, first: int, end: int) -> tuple[Histories, Histories]:
        """The tickets before the place `first`, and those from `end` on."""
        return self._between(0, first), self._between(end, len(self))

    def _between(self, first: int, end: int) -> Histories:
        """The tickets at these places, as views."""
        low, high = np.searchsorted(self.events.ticket, (first, end))
        events = Events(
            ticket=self.events.ticket[low:high] - first,
            kind=self.events.kind[low:high],
            at=self.events.at[low:high],
        )
        columns: dict[str, Any] = {name: getattr(self, name)[first:end] for name in _ARRAYS}
        columns |= {
            name: Codes(codes=getattr(self, name).codes[first:end], names=getattr(self, name).names)
            for name in WORDS
        }
        return replace(self, events=events, **columns)


_TIMES = ("opened", "began", "detected", "acknowledged", "closed")
_NUMBERS = ("moves", "reopens", "alerts", "minutes", "model_usd", "weight", "control_share")
MEASURED = (*_TIMES, *_NUMBERS)
FLAGS = ("needed_work", "closed_by_policy", "wrong")
WORDS = ("category", "priority", "service", "cluster", "lane", "draft")
_ARRAYS = (*MEASURED, *FLAGS, "finished")
FIELDS = frozenset(field.name for field in fields(TicketHistory))


def count(rows: Ints) -> int:
    """How many are True, or not 0. Many times as fast as their sum."""
    return int(np.count_nonzero(rows))


def kept(values: Floats, keep: Bools) -> Floats:
    """The values for which `keep` is True. A look-up by truth takes four times as long where many are and many are
    not, and half as long where nearly all are."""
    many = count(keep)
    if many == len(keep) or values.strides == (0,):
        return values[:many]  # what is the same for all stays so
    return values[keep] if many > _NEARLY_ALL * len(keep) else values.compress(keep)


def numbered(values: Floats) -> tuple[Floats, Ints]:
    """The different values, rising, NaN the last of them, and which of them each is. For few different ones."""
    if len(values) and values.strides == (0,):
        return values[:1], np.zeros(len(values), dtype=np.int64)
    different: Floats = np.unique(values)
    return different, np.searchsorted(different, values)


def in_groups(codes: Ints, count: int) -> tuple[Ints, list[slice]]:
    """The places of all that has a code, by code and in order, and where each of `count` codes from 0 up is among
    them."""
    # Numbers of 16 bits are sorted by counting.
    order = np.argsort(codes.astype(np.int16) if count < 2**15 else codes, kind="stable")
    ends = np.cumsum(np.bincount(codes + 1, minlength=count + 1)).tolist()
    return order[ends[0] :], [slice(low - ends[0], high - ends[0]) for low, high in pairwise(ends)]


def empty_columns(count: int) -> Histories:
    """`count` tickets of which nothing is known; to be filled with `dataclasses.replace`."""
    columns: dict[str, Any] = dict.fromkeys(MEASURED, np.full(count, np.nan))
    columns |= dict.fromkeys(FLAGS, np.full(count, UNKNOWN, dtype=np.int8))
    columns |= dict.fromkeys(WORDS, Codes.none(count))
    columns |= {"weight": np.ones(count), "finished": np.zeros(count, dtype=np.bool_)}
    return Histories(**columns, events=Events.none(), recorded=frozenset())


def as_columns(rows: Sequence[TicketHistory], *, recorded: frozenset[str] = FIELDS) -> Histories:
    """Rows as columns. Raises ValueError for a time without a zone."""
    columns: dict[str, Any] = {}
    for names, convert, kind in (
        (_TIMES, _seconds, np.float64),
        (_NUMBERS, _number, np.float64),
        (FLAGS, _flag, np.int64),
    ):
        columns |= {
            name: np.array([convert(getattr(row, name)) for row in rows], dtype=kind) for name in names
        }
    columns |= {name: Codes.of(str(getattr(row, name) or "") for row in rows) for name in WORDS}
    told = np.array([len(row.reopened) or np.nan for row in rows], dtype=np.float64)
    columns["reopens"] = np.fmax(columns["reopens"], told)
    columns["finished"] = np.array([row.finished for row in rows], dtype=np.bool_)
    return Histories(**columns, events=_events(rows), recorded=recorded)


def _events(rows: Sequence[TicketHistory]) -> Events:
    happened = [
        (number, kind, _seconds(at))
        for number, row in enumerate(rows)
        for kind, times in (
            (Event.RESOLVED, row.resolved),
            (Event.REOPENED, row.reopened),
            (Event.PAUSED, row.paused or ()),
            (Event.RESUMED, row.resumed or ()),
        )
        for at in times
    ]
    if not happened:
        return Events.none()
    table = np.array(happened, dtype=np.float64)
    return Events.of(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])


def _seconds(at: datetime | None) -> float:
    if at is None:
        return np.nan
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no zone; give an aware time.")
    return (at - _EPOCH).total_seconds()


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _flag(value: bool | None) -> int:
    return UNKNOWN if value is None else int(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
