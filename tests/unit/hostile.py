"""Hostile worlds for certificates: draws of labels whose true error rate at every threshold is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from countersign.labels import Label, Versions
from countersign.lanes import Lane

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], "Cases"]

ALPHA, DELTA = 0.05, 0.1
FIXED_AT = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN_AT = datetime(2026, 2, 1, tzinfo=UTC)
VERSIONS = Versions(policy="p", prompt="triage/v1", model="local")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """Clusters as they come in: risk, chance of being wrong, chance of being labelled, and number of cases."""

    risk: Floats
    wrong: Floats
    probability: Floats
    size: npt.NDArray[np.int64]


def cases(
    risk: Floats,
    wrong: Floats,
    probability: Floats | None = None,
    size: npt.NDArray[np.int64] | None = None,
) -> Cases:
    return Cases(
        risk=risk,
        wrong=wrong,
        probability=np.full(len(risk), 0.5) if probability is None else probability,
        size=np.ones(len(risk), dtype=np.int64) if size is None else size,
    )


def calibrated(rng: np.random.Generator, n: int) -> Cases:
    """A risk is what it says."""
    risk = rng.beta(0.8, 8, n)
    return cases(risk, risk)


def flat(rng: np.random.Generator, n: int) -> Cases:
    """The risk says nothing, and every threshold is just too bad."""
    return cases(rng.beta(0.8, 8, n), np.full(n, ALPHA * 1.001))


def ties(rng: np.random.Generator, n: int) -> Cases:
    """Three risks only, and the middle one spoils what the first allows."""
    risk = rng.choice([0.01, 0.05, 0.2], n, p=[0.4, 0.4, 0.2])
    return cases(risk, np.where(risk < 0.02, 0.03, np.where(risk < 0.1, 0.0705, 0.1)))


def non_monotone(rng: np.random.Generator, n: int) -> Cases:
    """The surest answers are the worst, what follows is better, and at 0.2 all together is just too bad."""
    risk = rng.uniform(0, 0.5, n)
    bad = np.select([risk < 0.02, risk < 0.03, risk < 0.2], [0.3, 0.0, 0.0243], 0.08)
    return cases(risk, bad)


def storms(rng: np.random.Generator, n: int) -> Cases:
    """A third of what goes wrong gives up to twenty cases, all right or all wrong together."""
    size = np.where(rng.random(n) < 0.3, rng.integers(5, 21, n), 1)
    return cases(rng.beta(0.8, 8, n), np.full(n, ALPHA * 1.001), size=size)


def unequal(rng: np.random.Generator, n: int) -> Cases:
    """What goes wrong is labelled eight times less often than the rest."""
    bad = rng.random(n) < 0.25
    wrong = np.where(bad, ALPHA * 1.001 / 0.25, 0.0)
    return cases(rng.beta(0.8, 8, n), wrong, probability=np.where(bad, 0.1, 0.8))


# Each world with the clusters that come in per trial, and the least probability of being labelled.
WORLDS: dict[str, tuple[Draw, int, float]] = {
    "calibrated": (calibrated, 600, 0.5),
    "flat": (flat, 400, 0.5),
    "ties": (ties, 400, 0.5),
    "non-monotone": (non_monotone, 700, 0.5),
    "storms": (storms, 250, 0.5),
    "unequal": (unequal, 1000, 0.1),
}


class Truth:
    """The true share of wrong closes at a threshold, from a million draws of a world."""

    def __init__(self, draw: Draw) -> None:
        world = draw(np.random.default_rng(99), 1_000_000)
        order = np.argsort(world.risk, kind="stable")
        self._risk = world.risk[order]
        self._wrong = np.cumsum(world.wrong[order])

    def per_close(self, threshold: float) -> float:
        closed = int(np.searchsorted(self._risk, threshold, "right"))
        return float(self._wrong[closed - 1] / closed) if closed else 0.0

    def per_ticket(self, threshold: float) -> float:
        closed = int(np.searchsorted(self._risk, threshold, "right"))
        return float(self._wrong[closed - 1] / len(self._risk)) if closed else 0.0


def labels(world: Cases, rng: np.random.Generator, *, category: str = "noise") -> list[Label]:
    """The labels of those clusters that the draw chose, one for each case."""
    wrong = rng.random(len(world.risk)) < world.wrong
    chosen = np.flatnonzero(rng.random(len(world.risk)) < world.probability)
    tag = int(rng.integers(0, 2**62))
    return [
        label(
            f"{tag}-{cluster}-{case}",
            cluster=f"{tag}-{cluster}",
            risk=float(world.risk[cluster]),
            wrong=bool(wrong[cluster]),
            probability=float(world.probability[cluster]),
            category=category,
        )
        for cluster in chosen.tolist()
        for case in range(int(world.size[cluster]))
    ]


def label(
    name: str,
    *,
    cluster: str = "",
    risk: float = 0.01,
    wrong: bool = False,
    probability: float = 0.5,
    category: str = "noise",
    versions: Versions = VERSIONS,
    known_at: datetime = KNOWN_AT,
) -> Label:
    return Label(
        decision=name,
        cluster=cluster or name,
        category=category,
        risk=risk,
        wrong=wrong,
        probability=probability,
        lane=Lane.CONTROL,
        versions=versions,
        known_at=known_at,
    )


def naive_threshold(known: list[Label], alpha: float) -> float | None:
    """What everybody does: the largest risk below which at most alpha of the labels are wrong."""
    risk = np.array([one.risk for one in known])
    order = np.argsort(risk, kind="stable")
    wrong = np.cumsum(np.array([one.wrong for one in known], dtype=float)[order])
    good = np.flatnonzero(wrong <= alpha * np.arange(1, len(known) + 1))
    return float(risk[order][good[-1]]) if len(good) else None
