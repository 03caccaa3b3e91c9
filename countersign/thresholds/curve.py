"""The what-if curve: for each threshold, how much would be closed and how much of it wrongly. Data for a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from countersign.labels import Label
from countersign.thresholds.binomial import Estimate, weighted_share
from countersign.thresholds.strata import Unit, clusters


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One threshold: the share of cases closed up to it, and the share of those closes that is wrong.

    Intervals are Clopper-Pearson's, on the effective sample size where sampling was unequal. They hold for one
    threshold picked beforehand, not for the best-looking one: exploratory, unlike a certificate.
    """

    threshold: float
    coverage: Estimate
    wrong: Estimate


def curve(labels: Iterable[Label], thresholds: Sequence[float], *, sure: float = 0.95) -> tuple[Point, ...]:
    """The points of one category's labels, each cluster (a storm) being one observation."""
    units = tuple(clusters(labels).values())
    return tuple(_point(units, threshold, sure) for threshold in thresholds)


def curves(
    labels: Iterable[Label], thresholds: Sequence[float], *, sure: float = 0.95
) -> dict[str, tuple[Point, ...]]:
    """`curve` for each category that has labels, in alphabetical order."""
    by_category: dict[str, list[Label]] = {}
    for label in labels:
        by_category.setdefault(label.category, []).append(label)
    return {name: curve(by_category[name], thresholds, sure=sure) for name in sorted(by_category)}


def _point(units: Sequence[Unit], threshold: float, sure: float) -> Point:
    covered = [(unit.risk <= threshold, unit.probability) for unit in units]
    wrong = [(unit.wrong_from <= threshold, unit.probability) for unit in units if unit.risk <= threshold]
    return Point(
        threshold=threshold,
        coverage=weighted_share(covered, sure=sure),
        wrong=weighted_share(wrong, sure=sure),
    )
