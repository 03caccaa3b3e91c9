"""Replay: every recorded decision decided again by `decide` itself, each distinct situation once.

Records that `decide` can't tell apart get one call, with the first of them. What it compares with a number
(risk with a threshold, time with a calendar, alerts and closes with limits) is reduced to where the number lies
among the numbers of the policy: below, at, or above each. What it compares with a word (service, tag, source,
group) is reduced to whether that word stands anywhere in the policy. So the comparisons stay in `decide`.

The policy is replayed as if it acted, without a control lane: autonomy `act`, nothing stopped. Closes used up
by the limits are those of the replay itself, in the last hour and, for each service, in the last 24 hours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from countersign.backtest.history import History, Integers, microseconds
from countersign.circumstances import Circumstances
from countersign.decision import EVEN_ODDS, Decision, Facts, Outcome, decide
from countersign.policy import Policy
from countersign.severity import Severity

HOUR = 3_600_000_000
DAY = 24 * HOUR


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """What `decide` said about a case, short of its words. `closes`: without a person."""

    outcome: Outcome
    rule: str
    closes: bool
    asks: bool
    group: str
    severity: Severity

    @classmethod
    def of(cls, decision: Decision) -> Ruling:
        return cls(
            outcome=decision.outcome,
            rule=decision.rule,
            closes=decision.closes,
            asks=decision.needs_approval,
            group=next((intent.group for intent in decision.intents if intent.kind == "route"), ""),
            severity=decision.severity,
        )

    @property
    def words(self) -> str:
        """As 'close by "noise"', or 'draft_note by "noise", close if approved'."""
        offered = ", close if approved" if self.asks and not self.closes else ""
        return f'{self.outcome} by "{self.rule}"' + (f" to {self.group}" if self.group else "") + offered


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """One ruling for each record: `ruling` is the index into `rulings`."""

    ruling: Integers
    rulings: tuple[Ruling, ...]

    def __getitem__(self, index: int) -> Ruling:
        return self.rulings[int(self.ruling[index])]

    @property
    def closes(self) -> npt.NDArray[np.bool_]:
        """For each record whether it is closed without a person."""
        return np.array([ruling.closes for ruling in self.rulings], dtype=bool)[self.ruling]


def replay(
    history: History,
    policy: Policy,
    *,
    certified: Mapping[str, float],
    demoted: frozenset[str] = frozenset(),
) -> Replay:
    """What the policy makes of each record. `certified` and `demoted` are as in `decision.Facts`."""
    judge = _Judge(history, policy.model_copy(update={"autonomy": "act"}), certified, demoted)
    firsts, situation = np.unique(
        _situations(history, policy, certified), return_index=True, return_inverse=True
    )[1:]
    free = [judge.code(int(first), 0, 0) for first in firsts]
    limits = policy.limits
    full = [
        judge.code(int(first), limits.closes_per_hour, limits.closes_per_service_per_day) for first in firsts
    ]
    ruling = np.array(free, dtype=np.int64)[situation]
    limited = np.flatnonzero((np.array(free, dtype=np.int64) != np.array(full, dtype=np.int64))[situation])
    _within_limits(history, policy, judge, limited, firsts[situation[limited]], ruling)
    return Replay(ruling=ruling, rulings=tuple(judge.rulings))


class _Judge:
    """Asks `decide` about one record under given counts of closes, and numbers the different rulings."""

    def __init__(
        self, history: History, policy: Policy, certified: Mapping[str, float], demoted: frozenset[str]
    ) -> None:
        self.rulings: list[Ruling] = []
        self._codes: dict[Ruling, int] = {}
        self._history, self._policy = history, policy
        self._certified, self._demoted = certified, demoted

    def code(self, index: int, last_hour: int, of_service: int) -> int:
        kind = self._history.kinds[int(self._history.kind[index])]
        facts = Facts(
            now=self._history.moment(index),
            firing=kind.firing,
            closes_last_hour=last_hour,
            closes_of_service_today=of_service,
            first_seen=kind.first_seen,
            certified=self._certified,
            demoted=self._demoted,
        )
        decision = decide(self._history.case(index), self._history.assessment(index), self._policy, facts)
        ruling = Ruling.of(decision)
        if ruling not in self._codes:
            self._codes[ruling] = len(self.rulings)
            self.rulings.append(ruling)
        return self._codes[ruling]

    def closes(self, code: int) -> bool:
        return self.rulings[code].closes


def _situations(history: History, policy: Policy, certified: Mapping[str, float]) -> Integers:
    """A number for each record that is equal where `decide` can see no difference."""
    thresholds = (rule.threshold for rule in policy.rules if rule.threshold is not None)
    risks = [threshold.risk_below for threshold in thresholds if threshold.risk_below is not None]
    windows = [window for name in policy.never_close.calendars for window in policy.calendars[name]]
    times = [microseconds(bound) for window in windows for bound in window.bounds]
    situation = _alike(history, policy)[history.kind]
    for values, marks in (
        (history.risk, [*risks, *certified.values(), EVEN_ODDS]),
        (history.at, times),
        (history.alerts, [policy.storms.at_least]),
    ):
        cuts = np.unique(np.array(marks, dtype=values.dtype))
        situation = situation * (2 * len(cuts) + 1) + _places(values, cuts)
    return situation


def _alike(history: History, policy: Policy) -> Integers:
    """For each kind of circumstances a number that is equal where they differ only in words unknown to the policy."""
    words = {"", *_words(policy.model_dump(mode="json", by_alias=True))}
    numbers: dict[tuple[object, ...], int] = {}
    return np.array(
        [numbers.setdefault(_in_words(kind, words), len(numbers)) for kind in history.kinds], dtype=np.int64
    )


def _in_words(kind: Circumstances, words: set[str]) -> tuple[object, ...]:
    """Circumstances with None for each word that the policy does not know."""
    return (
        kind.source if kind.source in words else None,
        kind.service if kind.service in words else None,
        kind.group if kind.group in words else None,
        kind.tags & words,
        kind.category,
        kind.severity.name,
        kind.assessed_severity.name,
        kind.firing.name,
        kind.ticket and kind.ticket.name,
        kind.unassessed,
        kind.recovered,
        kind.born_in_desk,
        kind.first_seen,
        kind.assigned,
    )


def _words(part: object) -> Iterator[str]:
    """Every text in a policy's document, keys included."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield key
            yield from _words(value)
    elif isinstance(part, list):
        for value in part:
            yield from _words(value)


def _places(values: npt.NDArray[np.generic], cuts: npt.NDArray[np.generic]) -> Integers:
    """Where each value lies among rising cuts: 0 below the first, 1 at it, 2 between it and the second …"""
    left, right = np.searchsorted(cuts, values, "left"), np.searchsorted(cuts, values, "right")
    return (left + right).astype(np.int64)


def _place(value: int, cut: int) -> int:
    return bisect_left((cut,), value) + bisect_right((cut,), value)


def _within_limits(
    history: History,
    policy: Policy,
    judge: _Judge,
    limited: Integers,
    examples: Integers,
    ruling: Integers,
) -> None:
    """Goes through the records that limits concern, in order of time, and corrects their rulings in place."""
    limits = policy.limits
    services = [kind.service for kind in history.kinds]
    by_service: dict[str, deque[int]] = {service: deque() for service in services}
    last_hour: deque[int] = deque()
    known: dict[tuple[int, int, int], tuple[int, bool]] = {}
    rows: Iterable[tuple[int, int, int, int]] = zip(
        limited.tolist(),
        examples.tolist(),
        history.at[limited].tolist(),
        history.kind[limited].tolist(),
        strict=True,
    )
    for index, example, at, kind in rows:
        today = by_service[services[kind]]
        _forget(last_hour, at - HOUR)
        _forget(today, at - DAY)
        hour_place = _place(len(last_hour), limits.closes_per_hour)
        key = (example, hour_place, _place(len(today), limits.closes_per_service_per_day))
        if key not in known:
            code = judge.code(example, len(last_hour), len(today))
            known[key] = code, judge.closes(code)
        ruling[index], closes = known[key]
        if closes:
            last_hour.append(at)
            today.append(at)


def _forget(closes: deque[int], until: int) -> None:
    """Drops closes from before or at a time."""
    while closes and closes[0] <= until:
        closes.popleft()
