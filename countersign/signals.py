"""Signals: what is counted of every case when it is first decided, so that a change in it is seen later."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.drift import Drift, Signal, drifts
from countersign.languages import language

CATEGORY, UNKNOWN, SCORE = "category", "unknown share", "score"
LENGTH, LANGUAGE, ACCEPTED = "text length", "language", "accept rate"
# In the order in which they are told.
SIGNALS = (CATEGORY, UNKNOWN, SCORE, LENGTH, LANGUAGE, ACCEPTED)
# Beside them: which model answered where another was asked. It is told at once and needs no test.
OTHER_MODEL = "other model"

# What is held against what, every day: a week against the four weeks before it.
NOW, REFERENCE = timedelta(days=7), timedelta(days=28)
# How long the control lane stays raised after the last day on which something drifted.
RAISED_FOR = timedelta(days=7)

_NO_CATEGORY = frozenset({"other", "unknown"})
_LENGTHS = (50, 100, 200, 500, 1_000, 5_000)
_BANDS = 20


# How often each kind of each signal was counted.
Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """A time in which a use case's control lane is raised because something drifts. `ended` is None while it is on."""

    since: datetime
    until: datetime
    why: str
    ended: datetime | None = None


class DriftBook(Protocol):
    """What the ledger counts by day, and the control lanes that drift has raised."""

    def counts(self, use_case: str, *, since: date, until: date) -> Counts:
        """From the day `since` (included) to the day `until` (excluded), UTC."""
        ...

    def due(self, use_case: str) -> date | None:
        """Today, by the ledger's clock; None if somebody has looked already."""
        ...

    def judge(self, use_case: str, day: date, why: str, *, share: float) -> Raised | None:
        """Records once for all workers what this day's look came to; gives the raised lane from now on, if any.

        A `why` raises the lane, or keeps it raised, for RAISED_FOR; without one it goes back to what the policy says.
        `share` is what it is raised to, for the audit log.
        """
        ...

    def begun(self, *, within: timedelta) -> Mapping[str, Raised]:
        """By use case: the lanes that are raised, and were raised first so short a time ago."""
        ...

    def raised(self, use_case: str) -> bool:
        """Whether the control lane is raised now."""
        ...

    def lanes(self, use_case: str, *, since: datetime, until: datetime) -> tuple[Raised, ...]:
        """The times that fall into a period, oldest first, as they were known at its end."""
        ...

    def others(self, *, since: date) -> Mapping[str, Mapping[str, int]]:
        """By use case: what another model than the one that was asked has answered, as "asked > answered"."""
        ...


def compared(before: Counts, now: Counts) -> tuple[Drift, ...]:
    """Every signal held against what it was before."""
    return drifts([Signal(name=name, before=before.get(name, {}), now=now.get(name, {})) for name in SIGNALS])


def told(found: tuple[Drift, ...]) -> str:
    """What drifts, as one sentence; "" if nothing does."""
    parts = [f"{drift.name} ({drift.because})" for drift in found if drift.fires]
    return f"What comes in or how it is answered has changed: {'; '.join(parts)}." if parts else ""


def signals_of(case: Case, said: Assessment | Unassessed) -> Iterator[tuple[str, str]]:
    """What is counted of a case, as (signal, kind): a few kinds each, and no word of the case itself."""
    known = isinstance(said, Assessment) and said.category not in _NO_CATEGORY
    yield UNKNOWN, "known" if known else "unknown"
    if isinstance(said, Assessment):
        yield CATEGORY, said.category
        yield SCORE, band(said.risk)
    text = f"{case.lead.summary}\n{case.lead.body}".strip()
    yield LENGTH, length(text)
    yield LANGUAGE, language(text)


def band(risk: float) -> str:
    """A risk's twentieth, as "0.05 to 0.10"."""
    place = min(_BANDS - 1, int(risk * _BANDS))
    return f"{place / _BANDS:.2f} to {(place + 1) / _BANDS:.2f}"


def length(text: str) -> str:
    """How long a text is, in characters, roughly."""
    place = bisect_right(_LENGTHS, len(text))
    if place == 0:
        return f"below {_LENGTHS[0]}"
    if place == len(_LENGTHS):
        return f"{_LENGTHS[-1]:,} and more"
    return f"{_LENGTHS[place - 1]:,} to {_LENGTHS[place] - 1:,}"
