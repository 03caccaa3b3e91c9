"""Certificates in hostile worlds: how often a promise is broken, and that the naive threshold breaks it.

300 trials for each world; COUNTERSIGN_NIGHTLY=1 runs 2,000.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np
import pytest

from countersign.labels import Label
from countersign.thresholds import Certificate, Grid, Promise, certify, certify_categories
from tests.unit.hostile import (
    ALPHA,
    DELTA,
    FIXED_AT,
    KNOWN_AT,
    VERSIONS,
    WORLDS,
    Truth,
    labels,
    naive_threshold,
)

TRIALS = 2000 if os.environ.get("COUNTERSIGN_NIGHTLY") else 300
# Chance alone stays below this once in 700 times.
MOST = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / TRIALS)
THRESHOLDS = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.5)
FALLBACK = Grid.fallback(THRESHOLDS, fixed_at=FIXED_AT)
SEQUENCE = Grid.fixed_sequence(THRESHOLDS[2:], fixed_at=FIXED_AT)
PROMISE = Promise(alpha=ALPHA, delta=DELTA)
PER_TICKET = Promise(alpha=ALPHA / 2, delta=DELTA, per="ticket")

Choose = Callable[[list[Label], float], float | None]
pytestmark = pytest.mark.timeout(900)


def certified(known: list[Label], floor: float, *, grid: Grid, promise: Promise = PROMISE) -> float | None:
    result = certify(
        known,
        category="noise",
        versions=VERSIONS,
        promise=promise,
        grid=grid,
        valid_from=KNOWN_AT,
        floor=floor,
    )
    return result.threshold if isinstance(result, Certificate) else None


def case_by_case(known: list[Label], floor: float) -> float | None:
    """As if each case of a storm were a cluster of its own."""
    return certified([replace(one, cluster=one.decision) for one in known], floor, grid=FALLBACK)


def as_if_alike(known: list[Label], floor: float) -> float | None:
    """As if all labels had been drawn with one probability."""
    return certified([replace(one, probability=floor) for one in known], floor, grid=FALLBACK)


WAYS: dict[str, Choose] = {
    "fallback": lambda known, floor: certified(known, floor, grid=FALLBACK),
    "fixed sequence": lambda known, floor: certified(known, floor, grid=SEQUENCE),
    "per ticket": lambda known, floor: certified(known, floor, grid=SEQUENCE, promise=PER_TICKET),
    "naive": lambda known, _: naive_threshold(known, ALPHA),
    "case by case": case_by_case,
    "as if alike": as_if_alike,
}
COMMON = ("fallback", "fixed sequence", "per ticket", "naive")


@cache
def trials(world: str, ways: tuple[str, ...] = COMMON) -> dict[str, list[float | None]]:
    """For each way of choosing, the threshold that it chose in each trial."""
    draw, n, floor = WORLDS[world]
    rng = np.random.default_rng(sum(world.encode()))
    chosen: dict[str, list[float | None]] = {way: [] for way in ways}
    for _ in range(TRIALS):
        known = labels(draw(rng, n), rng)
        for way in ways:
            chosen[way].append(WAYS[way](known, floor))
    return chosen


@cache
def truth(world: str) -> Truth:
    return Truth(WORLDS[world][0])


def broken(world: str, cuts: list[float | None], *, promise: Promise = PROMISE) -> float:
    """Share of trials in which closing up to the chosen threshold is truly wrong more often than promised."""
    rate = {"close": truth(world).per_close, "ticket": truth(world).per_ticket}[promise.per]
    return float(np.mean([cut is not None and rate(cut) > promise.alpha for cut in cuts]))


@pytest.mark.parametrize("world", WORLDS)
def test_a_certificate_keeps_its_promise_in_every_world(world: str) -> None:
    """Certificates are false in a share of δ of the trials at most, up to three standard errors."""
    assert broken(world, trials(world)["fallback"]) <= MOST
    assert broken(world, trials(world)["fixed sequence"]) <= MOST


@pytest.mark.parametrize("world", WORLDS)
def test_wrong_closes_per_ticket_are_kept_in_every_world(world: str) -> None:
    """The second target keeps its promise too."""
    assert broken(world, trials(world)["per ticket"], promise=PER_TICKET) <= MOST


@pytest.mark.parametrize("world", WORLDS)
def test_the_naive_threshold_breaks_the_promise(world: str) -> None:
    """Cutting where at most α of the labels are wrong is false far more often than δ."""
    assert broken(world, trials(world)["naive"]) > MOST


def test_a_good_world_is_certified() -> None:
    """Caution does not mean never: where the risk is what it says, most trials get a certificate."""
    assert np.mean([cut is not None for cut in trials("calibrated")["fixed sequence"]]) > 0.5


def test_counting_a_storm_case_by_case_would_break_the_promise() -> None:
    """The same labels, each taken for a cluster of its own, are certified falsely too often: clusters matter."""
    assert broken("storms", trials("storms", ("case by case",))["case by case"]) > MOST


def test_forgetting_the_probabilities_would_break_the_promise() -> None:
    """The same labels, taken as if drawn alike, are certified falsely too often: strata matter."""
    assert broken("unequal", trials("unequal", ("as if alike",))["as if alike"]) > MOST


@pytest.mark.parametrize("split", ["holm", "bonferroni"])
def test_delta_holds_over_all_categories_together(split: Literal["holm", "bonferroni"]) -> None:
    """With four categories that are all just too bad, any false certificate is as rare as promised for one."""
    rng = np.random.default_rng(4)
    names = ("access", "data", "network", "noise")
    grid = Grid.fixed_sequence([0.2, 0.5], fixed_at=FIXED_AT)
    false = 0
    for _ in range(TRIALS):
        known = [one for name in names for one in labels(WORLDS["flat"][0](rng, 200), rng, category=name)]
        results = certify_categories(
            known,
            grids=dict.fromkeys(names, grid),
            versions=VERSIONS,
            promise=PROMISE,
            valid_from=KNOWN_AT,
            tuning=None,
            split=split,
        )
        false += any(isinstance(result, Certificate) for result in results.values())
    assert 0 < false / TRIALS <= MOST
