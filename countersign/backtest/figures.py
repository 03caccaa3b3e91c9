"""Figures of a backtest: per category what would have been closed, how much of it wrongly, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from countersign.backtest.history import UNASSESSED, History, Integers
from countersign.backtest.replay import Replay, Ruling, replay
from countersign.labels import Label
from countersign.policy import Policy
from countersign.severity import Severity
from countersign.thresholds.binomial import Estimate, weighted_share


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """What a ticket and a mistake cost: minutes of a person, and dollars per hour of theirs."""

    minutes_per_close: float = 6.0
    minutes_per_wrong_close: float = 60.0
    usd_per_hour: float = 60.0

    @classmethod
    def under(cls, policy: Policy) -> Worth:
        """An hour at what the policy says that it costs."""
        told = policy.report and policy.report.usd_per_hour
        return cls(usd_per_hour=told) if told else cls()


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """A figure with its interval; `value` is None where no label tells."""

    value: float | None
    low: float
    high: float

    @property
    def words(self) -> str:
        """As "1,204 (-80 to 2,310)", or "unknown (-80 to 2,310)" where no label tells; whole, and never "-0"."""
        low, high = f"{round(self.low):,}", f"{round(self.high):,}"
        if self.low == self.high:
            return low
        return f"{'unknown' if self.value is None else f'{round(self.value):,}'} ({low} to {high})"


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryFigures:
    """One category under one policy.

    `wrong_share` is the share of closes that is wrong, weighted by sampling probability, one observation per
    cluster, with a Clopper-Pearson interval (on the effective size where weights differ). `wrong_closes` is
    that share of `would_close`; `minutes` and `dollars` are saved net of its cost. `pages_missed` counts
    closes whose severity is one that pages.
    """

    category: str
    cases: int
    would_close: int
    pages_missed: int
    wrong_share: Estimate
    wrong_closes: Range
    minutes: Range
    dollars: Range


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A case that another policy decided otherwise."""

    id: str
    category: str
    before: Ruling
    after: Ruling


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """What a policy makes of recorded decisions. `before` and `changes` are empty without one to compare with."""

    cases: int
    figures: tuple[CategoryFigures, ...]
    before: tuple[CategoryFigures, ...] = ()
    changes: tuple[Changed, ...] = ()


_NOBODY_CERTIFIED: Mapping[str, float] = {}


def backtest(
    history: History,
    policy: Policy,
    *,
    labels: Iterable[Label] = (),
    certified: Mapping[str, float] = _NOBODY_CERTIFIED,
    demoted: frozenset[str] = frozenset(),
    against: Policy | None = None,
    certified_before: Mapping[str, float] = _NOBODY_CERTIFIED,
    demoted_before: frozenset[str] = frozenset(),
    worth: Worth | None = None,
    pages_from: Severity = Severity.HIGH,
) -> Backtest:
    """Replays recorded decisions under a policy, and under another one to compare with.

    `labels` count where their decision is among the records. `certified` and `demoted` are as in `decision.Facts`,
    and hold for the policy; for the one to compare with there are its own. See `replay` for what "would close" means.
    """
    reader = _Reader(history, tuple(labels), worth or Worth.under(policy), pages_from)
    after = replay(history, policy, certified=certified, demoted=demoted)
    if against is None:
        return Backtest(cases=len(history), figures=tuple(reader.figures(after)))
    before = replay(history, against, certified=certified_before, demoted=demoted_before)
    return Backtest(
        cases=len(history),
        figures=tuple(reader.figures(after)),
        before=tuple(reader.figures(before)),
        changes=tuple(_changes(history, before, after)),
    )


def _changes(history: History, before: Replay, after: Replay) -> Iterator[Changed]:
    same = np.array([[old == new for new in after.rulings] for old in before.rulings], dtype=bool)
    differs = (
        np.flatnonzero(~same[before.ruling, after.ruling]) if len(history) else np.array([], dtype=np.int64)
    )
    for index in differs.tolist():
        yield Changed(
            id=history.ids[index],
            category=_category(history, index),
            before=before[index],
            after=after[index],
        )


def _category(history: History, index: int) -> str:
    return history.kinds[int(history.kind[index])].category or UNASSESSED


class _Reader:
    """Reads figures off replays of one history."""

    def __init__(
        self, history: History, labels: tuple[Label, ...], worth: Worth, pages_from: Severity
    ) -> None:
        self._worth, self._pages_from = worth, pages_from
        names = [kind.category or UNASSESSED for kind in history.kinds]
        self._names = sorted(set(names))
        ranks = {name: rank for rank, name in enumerate(self._names)}
        self._category = np.array([ranks[name] for name in names], dtype=np.int64)[history.kind]
        wanted = {label.decision: label for label in labels}
        self._labels = [(index, wanted[name]) for index, name in enumerate(history.ids) if name in wanted]

    def figures(self, outcome: Replay) -> Iterator[CategoryFigures]:
        closes = outcome.closes
        paging = np.array([ruling.severity >= self._pages_from for ruling in outcome.rulings], dtype=bool)
        cases = self._per_category(self._category)
        closed = self._per_category(self._category[closes])
        missed = self._per_category(self._category[closes & paging[outcome.ruling]])
        wrong = self._wrong(outcome)
        for rank, name in enumerate(self._names):
            yield self._figure(name, int(cases[rank]), int(closed[rank]), int(missed[rank]), wrong[rank])

    def _per_category(self, ranks: Integers) -> Integers:
        return np.bincount(ranks, minlength=len(self._names)).astype(np.int64)

    def _wrong(self, outcome: Replay) -> list[Estimate]:
        """For each category the share of its labelled closes that is wrong; a cluster counts once."""
        clusters: list[dict[str, tuple[bool, float]]] = [{} for _ in self._names]
        for index, label in self._labels:
            if outcome[index].closes:
                of_category = clusters[int(self._category[index])]
                wrong, probability = of_category.get(label.cluster, (False, label.probability))
                of_category[label.cluster] = (wrong or label.wrong, min(probability, label.probability))
        return [weighted_share(list(of_category.values())) for of_category in clusters]

    def _figure(
        self, name: str, cases: int, would_close: int, pages_missed: int, wrong: Estimate
    ) -> CategoryFigures:
        wrong_closes = Range(
            value=None if wrong.value is None else wrong.value * would_close,
            low=wrong.low * would_close,
            high=wrong.high * would_close,
        )
        minutes = self._minutes(would_close, wrong_closes)
        return CategoryFigures(
            category=name,
            cases=cases,
            would_close=would_close,
            pages_missed=pages_missed,
            wrong_share=wrong,
            wrong_closes=wrong_closes,
            minutes=minutes,
            dollars=_scaled(minutes, self._worth.usd_per_hour / 60),
        )

    def _minutes(self, would_close: int, wrong: Range) -> Range:
        saved, each = would_close * self._worth.minutes_per_close, self._worth.minutes_per_wrong_close
        return Range(
            value=None if wrong.value is None else saved - wrong.value * each,
            low=saved - wrong.high * each,
            high=saved - wrong.low * each,
        )


def _scaled(range_: Range, by: float) -> Range:
    value = None if range_.value is None else range_.value * by
    return Range(value=value, low=range_.low * by, high=range_.high * by)
