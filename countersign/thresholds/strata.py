"""Strata: from labels drawn with unequal probabilities, by storms, to independent draws of equal probability.

Method: rejection sampling (von Neumann 1951). The labels of one sampling probability π are a stratum, and each
of its clusters is kept with probability floor / π, where `floor` is the smallest probability with which *any*
case of the category could have been drawn. What is kept is a sample of equal probability floor, so that its
error count is exactly binomial: no weights, no normal approximation, no knowledge of the strata's sizes. The
price is that labels beyond the floor's rate don't count here (they do for calibration). The draw is a hash of
the cluster, so that looking twice gives the same labels.

A floor taken from the labels at hand would not do: a stratum that is drawn rarely may have no label yet, and be
all wrong.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from countersign.labels import Label


@dataclass(frozen=True, slots=True)
class Unit:
    """One cluster: closed from the threshold `risk` upward, wrongly from `wrong_from` upward (inf: never).

    It counts once at every threshold, and as wrong if any of its cases closed there is wrong.
    """

    risk: float
    wrong_from: float
    probability: float


@dataclass(frozen=True, slots=True)
class Count:
    """Independent draws at one threshold: how many, and how many of them wrong."""

    n: int
    errors: int


def clusters(labels: Iterable[Label]) -> dict[str, Unit]:
    """One unit for each cluster, by name. Raises ValueError for one that was drawn with two probabilities."""
    found: dict[str, Unit] = {}
    for label in labels:
        wrong_from = label.risk if label.wrong else math.inf
        unit = found.get(label.cluster)
        if unit is None:
            found[label.cluster] = Unit(label.risk, wrong_from, label.probability)
            continue
        if unit.probability != label.probability:
            raise ValueError(
                f"Labels of cluster {label.cluster} were drawn with {unit.probability} and {label.probability}; "
                "draw once for each cluster."
            )
        risk, wrong_from = min(unit.risk, label.risk), min(unit.wrong_from, wrong_from)
        found[label.cluster] = Unit(risk, wrong_from, unit.probability)
    return found


def equal_draws(labels: Iterable[Label], *, floor: float | None) -> tuple[Unit, ...]:
    """The clusters that are kept. Without a floor, all labels must have one and the same probability.

    Raises ValueError when the probabilities contradict the floor, its absence, or each other within a cluster.
    """
    found = clusters(labels)
    probabilities = {unit.probability for unit in found.values()}
    if floor is None and len(probabilities) > 1:
        raise ValueError(
            f"The labels were drawn with {len(probabilities)} different probabilities; "
            "name the smallest that any case could have had as `floor`."
        )
    if floor is not None and (floor <= 0 or any(probability < floor for probability in probabilities)):
        raise ValueError(
            f"The floor {floor} must be above 0, and no label may have been drawn with less; lower the floor."
        )
    return tuple(
        unit for name, unit in found.items() if floor is None or _drawn(name) * unit.probability < floor
    )


def _drawn(cluster: str) -> float:
    """A number from 0 to below 1 that is the same for ever for the same cluster, and none of the lanes' own."""
    digest = hashlib.sha256(f"countersign.strata\x1f{cluster}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def counts(
    drawn: Iterable[Unit], thresholds: Iterable[float], *, per_ticket: bool = False
) -> tuple[Count, ...]:
    """Draws and wrong ones at each threshold; cases of equal risk are all in or all out.

    `per_ticket` counts every draw at every threshold: wrong closes among all that came in, not among closes.
    """
    some = tuple(drawn)
    risks = sorted(unit.risk for unit in some)
    wrong = sorted(unit.wrong_from for unit in some)
    return tuple(
        Count(len(risks) if per_ticket else bisect_right(risks, threshold), bisect_right(wrong, threshold))
        for threshold in thresholds
    )
