"""Certificates: evidence that closing up to a risk keeps an error promise, for one category and set of versions.

At each threshold t of the grid the hypothesis "too many closes up to t are wrong" is tested with the exact
binomial p-value P(Binomial(n, α) <= errors) (Learn then Test: Angelopoulos, Bates, Candès, Jordan and Lei 2021).
The probability that any certificate is false stays at δ or below over all thresholds (`Grid`), categories
(Holm or Bonferroni) and repetitions (`spendable`), for independent clusters whatever the model's risk is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from countersign.labels import Label, Versions
from countersign.thresholds.binomial import binomial_cdf, labels_needed
from countersign.thresholds.grid import Grid, spendable
from countersign.thresholds.strata import Count, counts, equal_draws

Per = Literal["close", "ticket", "answer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """At most `alpha` wrong closes, all certificates together being false with probability `delta` at most.

    `per` close: of what is closed; per ticket: of all that comes in of the category, which few labels can show; per
    answer: of what the embedded model answers alone.
    """

    alpha: float
    delta: float
    per: Per = "close"

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.delta < 1):
            raise ValueError("A promise needs alpha and delta between 0 and 1, as 0.02 and 0.05.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """Closing this category up to `threshold` (included) keeps the promise.

    `n` independent labels, `errors` of them wrong, gave `p_value` where `delta_spent` was allowed. `tuning`
    counts certifications from 1; None was the only one. `valid_from` is aware.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    category: str
    versions: Versions
    promise: Promise
    threshold: float
    n: int
    errors: int
    p_value: float
    delta_spent: float
    tuning: int | None
    valid_from: datetime

    def to_json(self) -> str:
        return _JSON.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """Raises ValueError for text that is not a certificate."""
        return _JSON.validate_json(text)


_JSON = TypeAdapter(Certificate)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotCertified:
    """The promise is not shown: its rule drafts instead of closing.

    `needed` further labels with a risk up to `threshold`, all without an error, would show it at the level now
    allowed; `n` and `errors` are what there is. An error among them, or a further certification, asks for more.
    `of_all` and `errors_of_all` are what there is at any risk of the grid.
    """

    category: str
    versions: Versions
    promise: Promise
    needed: int
    threshold: float
    n: int
    errors: int
    of_all: int
    errors_of_all: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One threshold of the grid under test: whether it passed at its level of δ."""

    threshold: float
    count: Count
    p_value: float
    level: float
    passes: bool


def certify(
    labels: Iterable[Label],
    *,
    category: str,
    versions: Versions,
    promise: Promise,
    grid: Grid,
    valid_from: datetime,
    tuning: int | None = None,
    floor: float | None = None,
) -> Certificate | NotCertified:
    """The largest threshold of the grid that is shown to keep the promise, for one category alone.

    Labels of other categories or versions, and those known before the grid was fixed, don't count. One label
    counts per cluster. `floor` is the smallest probability with which any case of the category could have been
    drawn; None says that all had the same. Raises ValueError where labels and floor contradict each other.
    """
    run = _Run(promise=promise, tuning=tuning, valid_from=valid_from, versions=versions)
    return run.result(category, run.trials(_counted(labels, category, versions, grid, promise, floor), grid))


def certify_categories(
    labels: Iterable[Label],
    *,
    grids: Mapping[str, Grid],
    versions: Versions,
    promise: Promise,
    valid_from: datetime,
    tuning: int | None,
    floor: float | None = None,
    split: Literal["holm", "bonferroni"] = "holm",
) -> dict[str, Certificate | NotCertified]:
    """`certify` for each category of `grids` (fixed before labels are seen), with δ split over them.

    Bonferroni gives each an equal share. Holm goes on from there: a category whose whole grid passes hands its
    share to the others, in equal parts (for grids of one threshold this is Holm 1979; in general the graphical
    procedure of Bretz, Maurer, Brannath and Posch 2009).
    """
    known = tuple(labels)
    run = _Run(promise=promise, tuning=tuning, valid_from=valid_from, versions=versions)
    data = {
        category: _counted(known, category, versions, grid, promise, floor)
        for category, grid in grids.items()
    }
    shares = dict.fromkeys(grids, 1.0 / max(1, len(grids)))
    trials = {
        category: run.trials(data[category], grid, shares[category]) for category, grid in grids.items()
    }
    waiting = set(grids) if split == "holm" else set()
    while done := sorted(category for category in waiting if all(trial.passes for trial in trials[category])):
        waiting.discard(done[0])
        for category in waiting:
            shares[category] += shares[done[0]] / len(waiting)
            trials[category] = run.trials(data[category], grids[category], shares[category])
    return {category: run.result(category, trials[category]) for category in grids}


def _counted(
    labels: Iterable[Label],
    category: str,
    versions: Versions,
    grid: Grid,
    promise: Promise,
    floor: float | None,
) -> tuple[Count, ...]:
    ours = (
        label
        for label in labels
        if label.category == category and label.versions == versions and label.known_at > grid.fixed_at
    )
    return counts(equal_draws(ours, floor=floor), grid.thresholds, per_ticket=promise.per == "ticket")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """What is the same for every category of one certification."""

    promise: Promise
    tuning: int | None
    valid_from: datetime
    versions: Versions

    def trials(self, data: tuple[Count, ...], grid: Grid, share: float = 1.0) -> tuple[Trial, ...]:
        p_values = [binomial_cdf(count.errors, count.n, self.promise.alpha) for count in data]
        levels = grid.levels(p_values, delta=spendable(self.promise.delta, share=share, tuning=self.tuning))
        return tuple(
            Trial(threshold=threshold, count=count, p_value=p_value, level=level, passes=passes)
            for threshold, count, p_value, (level, passes) in zip(
                grid.thresholds, data, p_values, levels, strict=True
            )
        )

    def result(self, category: str, trials: tuple[Trial, ...]) -> Certificate | NotCertified:
        passed = [trial for trial in trials if trial.passes]
        if not passed:
            return self._nearest(category, trials)
        best = passed[-1]
        return Certificate(
            category=category,
            versions=self.versions,
            promise=self.promise,
            threshold=best.threshold,
            n=best.count.n,
            errors=best.count.errors,
            p_value=best.p_value,
            delta_spent=best.level,
            tuning=self.tuning,
            valid_from=self.valid_from,
        )

    def _nearest(self, category: str, trials: tuple[Trial, ...]) -> NotCertified:
        """What the threshold that is nearest to passing lacks."""
        lacks = [(self._lacking(trial), -trial.threshold, trial) for trial in trials if trial.level > 0]
        # Of equally near ones the largest: labels with small risks alone are slow to come.
        needed, _, nearest = min(lacks, key=lambda lack: lack[:2])
        return NotCertified(
            category=category,
            versions=self.versions,
            promise=self.promise,
            needed=needed,
            threshold=nearest.threshold,
            n=nearest.count.n,
            errors=nearest.count.errors,
            of_all=trials[-1].count.n,
            errors_of_all=trials[-1].count.errors,
        )

    def _lacking(self, trial: Trial) -> int:
        count = trial.count
        return labels_needed(alpha=self.promise.alpha, delta=trial.level, errors=count.errors, n=count.n)
