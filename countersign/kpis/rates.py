"""Shares, ratios and means with their intervals, also where tickets of one cluster go together."""

from __future__ import annotations

import math

import numpy as np

from countersign.kpis.figures import Z95
from countersign.kpis.history import Floats, Ints
from countersign.kpis.survival import variance_of_sums

# What rounding leaves of the spread of values that are all the same.
_NOTHING = 1e-9


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The 95 % Wilson interval of a share (E. B. Wilson 1927); n > 0. None begin at 0 and all end at 1, sharp."""
    share, square = hits / n, Z95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return 0.0 if hits <= 0 else max(0.0, middle - half), 1.0 if hits >= n else min(1.0, middle + half)


def student(freedom: float) -> float:
    """The 97.5 % point of Student's t (Hill 1970, expansion in 1/freedom; within 0.001 from 4 degrees up)."""
    z, f = Z95, max(1.0, freedom)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / f**power for power, term in enumerate(terms, 1))


def around(value: float, error: float, freedom: float) -> tuple[float, float] | None:
    """The 95 % limits of what can't be below 0; None where the data tell nothing of its error.

    Values that are all the same, or all of one cluster, have no spread: that does not make their mean certain.
    """
    if freedom < 1 or not math.isfinite(error) or error <= _NOTHING * abs(value):
        return None
    spread = student(freedom) * error
    return max(0.0, value - spread), value + spread


def share_of(hits: Floats, clusters: Ints) -> tuple[float, float, float, float]:
    """A share with its 95 % limits and standard error; `hits` holds 0 and 1, or False and True."""
    return share_among(np.bincount(clusters), np.bincount(clusters, weights=hits))


def share_among(counts: Floats, hits: Floats) -> tuple[float, float, float, float]:
    """The same, of how many tickets each cluster has and how many of them are hits.

    Tickets that go together are worth fewer independent ones: Wilson's n is divided by the design effect.
    """
    n, groups = int(counts.sum()), int(np.count_nonzero(counts))
    share = float(hits.sum()) / n
    worth = worth_of(n, share, (hits - share * counts) / n, groups)
    low, high = wilson(share * worth, worth)
    cautious = (share * worth + 2) / (worth + 4)
    return share, low, high, math.sqrt(cautious * (1 - cautious) / worth)


def kish(weights: float, squares: float) -> float:
    """How many tickets those with these weights are worth (Kish 1965), of the sums of the weights and their squares."""
    return weights**2 / squares if squares else 0.0


def worth_of(n: float, share: float, parts: Floats, groups: int) -> float:
    """How many independent tickets `n` are worth, of the parts that each of so many clusters has in a share's error."""
    if groups == 1:
        return 1.0
    plain = share * (1 - share) / n
    return n / max(1.0, variance_of_sums(parts, groups) / plain) if plain > 0 else n


def ratio_of(upper: Floats, lower: Floats, groups: int) -> tuple[float, float, float, float] | None:
    """The ratio of two sums with its 95 % limits and standard error (linearised); None if the lower sum is 0.

    Both are given by cluster; `groups` is how many clusters there are, without those that have no ticket.
    """
    total = float(lower.sum())
    if total <= 0:
        return None
    ratio = float(upper.sum()) / total
    error = math.sqrt(variance_of_sums((upper - ratio * lower) / total, groups))
    spread = student(groups - 1) * error if math.isfinite(error) else math.inf
    return ratio, max(0.0, ratio - spread), ratio + spread, error


def net_of(rate: tuple[float, float, float], kept: tuple[float, float, float]) -> tuple[float, float, float]:
    """The product of two independent shares, each (value, low, high), with limits recovered on the log scale.

    Source: Zou & Donner 2008, method of variance estimates recovery.
    """
    value = rate[0] * kept[0]
    if value <= 0:
        return value, 0.0, rate[2] * kept[2]
    down = math.hypot(*(_log_ratio(part[0], part[1]) for part in (rate, kept)))
    up = math.hypot(*(_log_ratio(part[2], part[0]) for part in (rate, kept)))
    return value, value * math.exp(-down), min(1.0, value * math.exp(up))


def _log_ratio(upper: float, lower: float) -> float:
    return math.log(upper / lower) if lower > 0 else math.inf
