"""Shares, ratios and means with their intervals, also where tickets of one cluster go together."""

from __future__ import annotations

import math

import numpy as np

from countersign.kpis.figures import Z95
from countersign.kpis.history import Floats, Ints
from countersign.kpis.survival import variance_of_sums


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The 95 % Wilson interval of a share (E. B. Wilson 1927); n > 0. None begin at 0 and all end at 1, sharp."""
    share, square = hits / n, Z95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return 0.0 if hits <= 0 else max(0.0, middle - half), 1.0 if hits >= n else min(1.0, middle + half)


def share_of(hits: Floats, clusters: Ints) -> tuple[float, float, float, float]:
    """A share with its 95 % limits and standard error; `hits` holds 0 and 1, or False and True."""
    return share_among(np.bincount(clusters), np.bincount(clusters, weights=hits))


def share_among(counts: Floats, hits: Floats) -> tuple[float, float, float, float]:
    """The same, of how many tickets each cluster has and how many of them are hits.

    Tickets that go together are worth fewer independent ones: Wilson's n is divided by the design effect.
    """
    n = int(counts.sum())
    share = float(hits.sum()) / n
    plain = share * (1 - share) / n
    together = variance_of_sums((hits - share * counts) / n, int(np.count_nonzero(counts)))
    worth = n / max(1.0, together / plain) if plain > 0 and math.isfinite(together) else n
    low, high = wilson(share * worth, worth)
    cautious = (share * worth + 2) / (worth + 4)
    return share, low, high, math.sqrt(cautious * (1 - cautious) / worth)


def ratio_of(upper: Floats, lower: Floats, groups: int) -> tuple[float, float, float, float] | None:
    """The ratio of two sums with its 95 % limits and standard error (linearised); None if the lower sum is 0.

    Both are given by cluster; `groups` is how many clusters there are, without those that have no ticket.
    """
    total = float(lower.sum())
    if total <= 0:
        return None
    ratio = float(upper.sum()) / total
    error = math.sqrt(variance_of_sums((upper - ratio * lower) / total, groups))
    spread = Z95 * error if math.isfinite(error) else math.inf
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


def weighted_share(hits: float, weights: float, squares: float) -> tuple[float, float, float]:
    """A share among judged tickets, each standing for `weight` ones, with Wilson limits at Kish's effective n.

    Of the sums of the weights of the hits, of all weights, and of their squares.
    """
    share = hits / weights
    worth = weights**2 / squares
    return share, *wilson(share * worth, worth)
