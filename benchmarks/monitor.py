"""`python -m benchmarks.monitor`: how soon the monitor of a rule finds a change, and how soon anything could."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from countersign.monitors import RATES, bet_factors, patience_of
from countersign.thresholds.binomial import binomial_cdf

# What is asked: false alarms in so many audits at half the allowed rate, and the median of the audits that it takes to
# find three times that rate after so many good ones.
RATES_ALLOWED = (0.005, 0.01, 0.02, 0.05)
FALSE, AUDITS, GOOD = 0.01, 5_000, 2_000
DELTA = 0.01
MONITORS, CHANGED = 20_000, 4_000
Floats = npt.NDArray[np.float64]


def main() -> None:
    print(json.dumps(list(measured()), indent=2))


def measured() -> Iterator[dict[str, Any]]:
    """For each allowed rate: what our monitor does, the same as strict as it need be, and what a window test needs."""
    for allowed in RATES_ALLOWED:
        rng = np.random.default_rng(round(allowed * 1e6))
        ours = np.array([bet_factors(allowed, weight=1.0, wrong=wrong) for wrong in (False, True)])
        low, high = allowed / 2, 3 * allowed
        # As a detector that knew both rates would bet; it is fair at half the allowed rate alone.
        sharp = np.array([[(1 - high) / (1 - low)], [high / low]])
        peaks = _highest(ours, low, rng)
        strict = float(np.quantile(_highest(sharp, low, rng), 1 - FALSE))
        least = float(np.quantile(peaks, 1 - FALSE))
        yield {
            "allowed": allowed,
            "false_alarms": round(float((peaks >= patience_of(allowed)).mean()), 4),
            "median": _median(ours, patience_of(allowed), low, high, rng),
            "least_patience": round(least),
            "median_at_least_patience": _median(ours, least, low, high, rng),
            "median_knowing_the_rates": _median(sharp, strict, low, high, rng),
            "no_detector_below": window(low, high),
        }


def _highest(factors: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """The highest figure of the detector in AUDITS audits, infinite where the wealth gave the alarm."""
    wealth, sums = (np.zeros((MONITORS, factors.shape[1])) for _ in range(2))
    highest = np.zeros(MONITORS)
    for _ in range(AUDITS):
        moved = factors[(rng.random(MONITORS) < rate).astype(int)]
        wealth += np.log(moved)
        sums = (1 + sums) * moved
        highest = np.maximum(highest, sums.mean(axis=1))
        if factors.shape[1] == len(RATES):
            highest[np.exp(np.minimum(wealth, 300)).mean(axis=1) * DELTA >= 1] = np.inf
    return highest


def _median(factors: Floats, patience: float, low: float, high: float, rng: np.random.Generator) -> float:
    """The median of the audits from the change to the alarm of the detector."""
    sums = np.zeros((CHANGED, factors.shape[1]))
    for _ in range(GOOD):
        sums = (1 + sums) * factors[(rng.random(CHANGED) < low).astype(int)]
    found = np.full(CHANGED, np.inf)
    for audit in range(1, 1_500):
        sums = (1 + sums) * factors[(rng.random(CHANGED) < high).astype(int)]
        found[np.isinf(found) & (sums.mean(axis=1) >= patience)] = audit
    return float(np.median(found))


def window(low: float, high: float) -> int:
    """The fewest audits in which half of all changes can be found by a detector that does not know when they come.

    AUDITS audits are cut into windows of n. As FALSE alarms at most are given in all of them, there is a window with
    its share of these or less; a change at its beginning is found within it by no test more often than by the most
    powerful one of that size (Neyman and Pearson), which counts the wrong closes.
    """
    n = 1
    while _power(n, FALSE * n / AUDITS, low, high) < 0.5:
        n += 1
    return n


def _power(n: int, size: float, low: float, high: float) -> float:
    """Of the most powerful test of so many audits, randomised to have exactly this size."""
    bound = next(k for k in range(n + 1) if 1 - binomial_cdf(k, n, low) <= size)
    most, next_to = (1 - binomial_cdf(bound, n, low), 1 - binomial_cdf(bound - 1, n, low))
    share = (size - most) / (next_to - most)
    return (1 - share) * (1 - binomial_cdf(bound, n, high)) + share * (1 - binomial_cdf(bound - 1, n, high))


if __name__ == "__main__":
    main()
