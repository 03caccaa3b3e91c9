"""Times of which some go on: the curve, its quantiles and its restricted mean."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from countersign.kpis.history import kept
from countersign.kpis.survival import (
    cluster_count,
    clustered,
    curve_of,
    influence,
    means_by_steps,
    quantile,
    reach,
    restricted_mean,
)

# Gehan 1965, remission under 6-MP: the textbook example (Klein & Moeschberger, tables 4.1 to 4.3).
WEEKS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35], dtype=float)
ENDED = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], dtype=bool)


def test_the_curve_is_that_of_the_textbook() -> None:
    """Censored times leave the number at risk without stepping the curve."""
    curve = curve_of(WEEKS, ENDED)
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.survival.round(3).tolist() == [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert (curve.n, curve.censored) == (21, 12)


def test_the_median_has_the_published_limits() -> None:
    """R: survfit(Surv(time, status) ~ 1, conf.type = "log-log") gives 23 (13, NA)."""
    assert quantile(curve_of(WEEKS, ENDED), 0.5) == (23.0, 13.0, None)


def test_a_quantile_that_is_not_reached_is_unknown() -> None:
    """Fewer than 90 % are through: there is no 90th percentile yet, but a lower limit may be."""
    value, low, high = quantile(curve_of(WEEKS, ENDED), 0.9)
    assert value is None
    assert high is None
    assert low is None


def test_the_restricted_mean_is_the_published_one() -> None:
    """R: survRM2 / survfit(rmean = 35) gives 23.29 with standard error 2.83 for 6-MP."""
    mean, variance = restricted_mean(curve_of(WEEKS, ENDED), 35.0)
    assert mean == pytest.approx(23.287, abs=1e-3)
    assert variance**0.5 == pytest.approx(2.827, abs=1e-2)


@pytest.mark.parametrize("count", [1, 2, 5, 10, 101])
def test_without_censoring_it_is_the_plain_median_and_mean(count: int) -> None:
    """With every end known, Kaplan–Meier gives what anybody would compute."""
    values = np.random.default_rng(count).exponential(10, count)
    curve = curve_of(values, np.ones(count, dtype=bool))
    assert quantile(curve, 0.5)[0] == pytest.approx(statistics.median(values.tolist()))
    assert restricted_mean(curve, 1e6)[0] == pytest.approx(statistics.fmean(values.tolist()))


def test_open_tickets_lift_the_mean() -> None:
    """Leaving out what is still open would flatter."""
    values, observed = np.array([1.0, 2.0, 9.0]), np.array([True, True, False])
    assert restricted_mean(curve_of(values, observed), 9.0)[0] > 1.5


def test_the_mean_looks_no_further_than_the_longest_open_ticket() -> None:
    """Beyond the last observation nothing is known, unless all have ended by then."""
    values = np.array([1.0, 2.0, 9.0])
    assert reach(curve_of(values, np.array([True, True, False])), 30.0) == 9.0
    assert reach(curve_of(values, np.array([True, True, True])), 30.0) == 30.0


def test_many_groups_counted_at_once_have_the_means_of_their_curves() -> None:
    """Of rounded times: one group is through, one goes on at its end, one goes on from the beginning."""
    draw = np.random.default_rng(3)
    group = draw.integers(0, 3, 6_000)
    hours, observed = draw.lognormal(1, 2, 6_000), draw.random(6_000) < 0.8
    hours[:50] = 0.0
    observed[group == 0] = True
    hours[np.flatnonzero(group == 1)[-1]], observed[np.flatnonzero(group == 1)[-1]] = 9e3, False
    observed[group == 2] = False
    for number, (n, reached, left, mean, variance) in enumerate(means_by_steps(hours, observed, group, 1e4)):
        curve = curve_of(hours[group == number], observed[group == number], many=0)
        assert (n, reached) == (curve.n, reach(curve, 1e4))
        assert left == pytest.approx(curve.survival[-1] if len(curve.survival) else 1.0, abs=1e-12)
        assert (mean, variance) == pytest.approx(restricted_mean(curve, reached), rel=1e-9)


def test_influences_sum_to_nothing_and_their_squares_to_the_variance() -> None:
    """The influence function is the error of the mean, ticket by ticket."""
    generator = np.random.default_rng(7)
    times, ends = generator.exponential(10, 3000), generator.exponential(25, 3000)
    values, observed = np.minimum(times, ends), times <= ends
    curve = curve_of(values, observed)
    parts = influence(values, observed, curve, 20.0)
    assert parts.sum() == pytest.approx(0, abs=1e-9)
    assert (parts**2).sum() == pytest.approx(restricted_mean(curve, 20.0)[1], rel=0.01)


def test_tickets_that_go_together_count_as_one() -> None:
    """Ten copies of each ticket carry no more evidence than one."""
    values = np.random.default_rng(3).exponential(10, 200)
    alone, copied = (np.tile(values, copies) for copies in (1, 10))
    variances = []
    for durations in (alone, copied):
        observed = np.ones(len(durations), dtype=bool)
        parts = influence(durations, observed, curve_of(durations, observed), 30.0)
        variances.append(clustered(parts, np.tile(np.arange(200), len(durations) // 200))[0])
    assert variances[1] == pytest.approx(variances[0], rel=1e-6)


def test_one_cluster_has_no_variance() -> None:
    """A single cluster says nothing about the spread between clusters."""
    assert np.isnan(clustered(np.array([1.0, -1.0]), np.array([0, 0]))[0])


@pytest.mark.parametrize("nothing", [0, 1, 3])
def test_of_many_times_those_that_took_no_time_count_as_nothing(nothing: int) -> None:
    """Powers of two are rounded to themselves: with times of 0 or without, counting gives what sorting does."""
    hours = np.array([0.0] * nothing + [0.5, 1, 1, 2, 8, 64, 64, 512])
    observed = np.arange(len(hours)) % 4 != 1
    exact, counted = curve_of(hours, observed), curve_of(hours, observed, many=1)
    assert counted.times.tolist() == exact.times.tolist()
    assert counted.survival.tolist() == exact.survival.tolist()
    parts = (influence(hours, observed, curve, 720.0) for curve in (exact, counted))
    assert len({tuple(one.round(12).tolist()) for one in parts}) == 1


def test_many_times_of_nothing_are_through_at_once() -> None:
    """Where none took any time, that is the only step."""
    curve = curve_of(np.zeros(5), np.ones(5, dtype=np.bool_), many=1)
    assert (curve.times.tolist(), curve.survival.tolist()) == ([0.0], [0.0])


@pytest.mark.parametrize(
    ("clusters", "there"), [([], 0), ([3], 1), ([0, 1, 2], 3), ([0] * 99 + [1], 2), ([0] * 99 + [2], 2)]
)
def test_a_rare_cluster_is_counted_wherever_it_stands(clusters: list[int], there: int) -> None:
    """The first tickets tell only where they have some of every cluster."""
    assert cluster_count(np.array(clusters, dtype=np.int64)) == there


@pytest.mark.parametrize("gone", [0, 1, 50, 100])
def test_the_same_values_are_kept_of_a_column_however_many_they_are(gone: int) -> None:
    """All, nearly all, half or none, and also of a column that has one value for all."""
    keep = np.arange(100) >= gone
    assert kept(np.arange(100), keep).tolist() == list(range(gone, 100))
    assert kept(np.broadcast_to(7.0, (100,)), keep).tolist() == [7.0] * (100 - gone)
