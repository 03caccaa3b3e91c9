"""Effects: what treatment did to the time to resolve, against the tickets of the control lane.

Two ratios, treated over control: of restricted means, and of geometric means (the mean of the logarithm, restricted
at the same horizon, so that open tickets count in both). Below 1, treatment was faster.

Lanes are compared within each category, among tickets that were drawn with the same probability of the control lane
(it is raised where labels are worth most, so lanes differ in more than the treatment), and put together with the
shares of these strata in both lanes (direct standardisation). The interval rests on influence functions summed within
clusters, since alerts that go together also end together; it allows for the shares being estimated, and for a control
lane that is small: there, by Welch's degrees of freedom, and by what leaving a cluster out changes in the logarithm.
Intention to treat: a ticket counts in the lane that it was drawn for, whatever was done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from countersign.kpis.engine import cluster_ids, resolve_spans
from countersign.kpis.figures import Exclusion, Figure, detectable_change
from countersign.kpis.history import UNKNOWN, Bools, Floats, Histories, Ints, count, in_groups, kept, numbered
from countersign.kpis.rates import student
from countersign.kpis.settings import Measuring
from countersign.kpis.survival import (
    Curve,
    cluster_count,
    curve_of,
    influences,
    left_out,
    restricted_mean,
    variance_of_sums,
)
from countersign.kpis.times import Spans
from countersign.lanes import Lane

_LANES: dict[str, int] = {Lane.CONTROL: 1, Lane.TREATED: 2}
# Shorter times are rounded up to a minute: the logarithm of nothing is endless.
_SHORTEST = 1 / 60
# A category with fewer tickets in a lane joins those of its kind: one ticket has no spread.
_FEWEST = 10
_FEWEST_CLUSTERS = 5
# A cluster that is nearly all of a lane's mean: without it there would be no logarithm.
_MOST_OF_A_MEAN = 0.95
# In a mean the errors of rounding cancel out.
_MANY = 1_000
# What rounding leaves of the spread of times that are all the same.
_NOTHING = 1e-9
# Beyond so many groups x times the jackknife costs more than it is worth: both come to the same.
_JACKKNIFE_CELLS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Times to resolve: hours (`observed` False: at least so long), lane, stratum and cluster of each ticket.

    `draw` numbers the probabilities of the control lane; None where all tickets had the same.
    """

    hours: Floats
    observed: Bools
    treated: Bools
    stratum: Ints
    cluster: Ints
    draw: Ints | None = None


MEANS = Figure(
    key="effect.time_to_resolve.mean_ratio",
    title="Time to resolve, treated against control",
    definition="Restricted mean of the time to resolve in the treated lane over that in the control lane, each at the "
    "same mix of categories. Below 1, treatment was faster.",
    unit="count",
    better="lower",
)
GEOMETRIC = Figure(
    key="effect.time_to_resolve.geometric_ratio",
    title="Typical time to resolve, treated against control",
    definition="Geometric mean of the time to resolve (times under a minute count as one) in the treated lane over "
    "that in the control lane, each at the same mix of categories. Below 1, treatment was faster.",
    unit="count",
    better="lower",
)


def effects(tickets: Histories, how: Measuring, spans: Spans | None = None) -> tuple[Figure, Figure]:
    """Ratio of restricted means and of geometric means; unknown, with the reason, where lanes can't be compared.

    `spans` are those of `resolve_spans`, where they are at hand.
    """
    spans = spans or resolve_spans(tickets, how)
    lanes = np.array([*(_LANES.get(name, 0) for name in tickets.lane.names), 0])
    lane = kept(lanes[tickets.lane.codes], spans.rows)
    drawn, draw, left = _drawn(lane, kept(tickets.control_share, spans.rows))
    category, cluster = (
        kept(kept(codes, spans.rows), drawn) for codes in (tickets.category.codes, cluster_ids(tickets))
    )
    sample = _in_strata(
        Sample(
            hours=kept(spans.hours, drawn),
            observed=kept(spans.observed, drawn),
            treated=kept(lane == _LANES[Lane.TREATED], drawn),
            stratum=category,
            cluster=cluster,
            draw=kept(draw, drawn),
        )
    )
    excluded = (*spans.excluded, *left)
    horizon = how.horizon.total_seconds() / 3600
    return (
        replace(_mean_ratio(sample, horizon), excluded=excluded),
        replace(_geometric_ratio(sample, horizon), excluded=excluded),
    )


def _drawn(lane: Ints, share: Floats) -> tuple[Bools, Ints, tuple[Exclusion, ...]]:
    """The tickets that can be compared, a number for the probability of each, and why the others can't."""
    shares, draw = numbered(share)
    size = len(shares)
    there = np.bincount(lane * size + draw, minlength=3 * size).reshape(3, size)
    only_one = (shares <= 0) | (shares >= 1)
    fewest = np.where(only_one, 0, there[1:].min(axis=0))
    # Where none has enough of them, the one that has most is compared, as far as that goes.
    rare = ~only_one & (fewest < min(_FEWEST, fewest.max(initial=0)))
    reasons = (
        ("it was drawn for no lane", there[0]),
        ("it could only get into one lane", there[1:, only_one]),
        ("too few tickets had its probability of the control lane", there[1:, rare]),
    )
    left = tuple(Exclusion(reason=reason, count=int(hit.sum())) for reason, hit in reasons if hit.sum())
    compared = np.concatenate((np.zeros(size, dtype=np.bool_), *(~(only_one | rare),) * 2))
    return compared[lane * size + draw], draw, left


@dataclass(frozen=True, kw_only=True, slots=True)
class _Strata:
    """A sample whose strata are large enough: the control lane by stratum, numbered from 0 up, then the treated one.

    `groups` says where each of these is, `lanes` where both lanes are, and `clusters` how many each of them has and
    both together; `unknown` is why the lanes can't be compared, or "".
    """

    hours: Floats
    observed: Bools
    cluster: Ints
    groups: Sequence[slice]
    lanes: tuple[slice, slice]
    clusters: tuple[int, int, int]
    unknown: str

    @property
    def shares(self) -> Floats:
        """How much of the sample is in each stratum."""
        sizes = np.array([group.stop - group.start for group in self.groups])
        found: Floats = sizes.reshape(2, -1).sum(axis=0) / len(self.hours)
        return found


def _in_strata(sample: Sample) -> _Strata:
    pooled = _pooled(sample)
    strata = 1 + (int(pooled.max()) if len(pooled) else 0)
    order, groups = in_groups(pooled + strata * sample.treated, 2 * strata)
    cluster, first = sample.cluster[order], groups[strata].start
    lanes = slice(0, first), slice(first, len(order))
    clusters = cluster_count(cluster[lanes[0]]), cluster_count(cluster[lanes[1]]), cluster_count(cluster)
    few = [lane for lane, there in zip(_LANES, clusters, strict=False) if there < _FEWEST_CLUSTERS]
    return _Strata(
        hours=sample.hours[order],
        observed=sample.observed[order],
        cluster=cluster,
        groups=groups,
        lanes=lanes,
        clusters=clusters,
        unknown=f"the {few[0]} lane has fewer than {_FEWEST_CLUSTERS} independent tickets" if few else "",
    )


def mean_ratio(sample: Sample, horizon: float) -> Figure:
    """Treated over control, of the means of min(hours, horizon)."""
    return _mean_ratio(_in_strata(sample), horizon)


def geometric_ratio(sample: Sample, horizon: float) -> Figure:
    """Treated over control, of the geometric means of min(hours, horizon)."""
    return _geometric_ratio(_in_strata(sample), horizon)


def _mean_ratio(strata: _Strata, horizon: float) -> Figure:
    return _ratio(MEANS, strata, horizon, _of_means, _of_their_log)


def _geometric_ratio(strata: _Strata, horizon: float) -> Figure:
    logs = np.log(np.maximum(strata.hours, _SHORTEST) / _SHORTEST)
    logged = replace(strata, hours=logs)
    return _ratio(GEOMETRIC, logged, math.log(horizon / _SHORTEST), _of_logs, _as_they_are)


Contrast = Callable[[float, float], tuple[float, float, float]]


def _of_means(treated: float, control: float) -> tuple[float, float, float]:
    """The log of the ratio, and its slopes in both means."""
    return math.log(treated / control), 1 / treated, -1 / control


def _of_logs(treated: float, control: float) -> tuple[float, float, float]:
    return treated - control, 1.0, -1.0


# Each ticket's part in the error of the result, from its slope: as it is, or bent as the result bends.
class Bend(Protocol):
    def __call__(self, parts: Floats, slope: float) -> Floats: ...


def _of_their_log(parts: Floats, slope: float) -> Floats:
    """What leaving each out changes in the log of a mean: of a long wait in a small lane, more than its slope says."""
    bounded = np.clip(slope * parts, -_MOST_OF_A_MEAN, _MOST_OF_A_MEAN)
    bent: Floats = -np.log1p(-bounded) if slope > 0 else np.log1p(bounded)
    return bent


def _as_they_are(parts: Floats, slope: float) -> Floats:
    return slope * parts


def _ratio(figure: Figure, strata: _Strata, horizon: float, contrast: Contrast, bend: Bend) -> Figure:
    n = len(strata.hours)
    if strata.unknown:
        return replace(figure, n=n, unknown=strata.unknown)
    shares = strata.shares
    reached = _common_reach(strata, horizon)
    curves = [curve_of(strata.hours[part], strata.observed[part], many=_MANY) for part in strata.groups]
    for number, lane in enumerate(_LANES):
        of_lane = curves[number * len(shares) : (number + 1) * len(shares)]
        if not any(curve.events[curve.times <= reached].any() for curve in of_lane):
            return replace(figure, n=n, unknown=f"no ticket of the {lane} lane has been resolved yet")
    means = np.array([restricted_mean(curve, reached)[0] for curve in curves]).reshape(2, len(shares))
    control, treated = (float(total) for total in means @ shares)
    if min(treated, control) <= 0:
        return replace(figure, n=n, unknown="every ticket of a lane took no time at all")
    log, *slopes = contrast(treated, control)
    # How the result moves with each stratum's share, for the shares are estimated too.
    leverage = slopes[0] * means[1] + slopes[1] * means[0]
    moved = (leverage - shares @ leverage) / n
    parts = np.empty(n)
    weights = np.concatenate((slopes[1] * shares, slopes[0] * shares))
    for group, curve, slope, shift in zip(strata.groups, curves, weights, np.tile(moved, 2), strict=True):
        parts[group] = _parts(strata, group, curve, reached, partial(bend, slope=slope))
        parts[group] += shift
    error, spread = _error(strata, parts)
    if error <= _NOTHING:
        return replace(figure, n=n, unknown="all tickets took the same time")
    return replace(
        figure,
        definition=f"{figure.definition} {len(shares)} strata, up to {_hours(reached, figure) / 24:.4g} days.",
        value=math.exp(log),
        low=math.exp(log - spread),
        high=math.exp(log + spread),
        n=n,
        censored=n - count(strata.observed),
        detectable=detectable_change(math.exp(log) * error / math.sqrt(2)),
    )


def _hours(reached: float, figure: Figure) -> float:
    return reached if figure.key == MEANS.key else _SHORTEST * math.exp(reached)


def _pooled(sample: Sample) -> Ints:
    """Strata as numbers from 0 up; of those drawn alike, the ones with too few tickets in a lane are one."""
    names = sample.stratum - UNKNOWN
    size = int(names.max()) + 1 if len(names) else 1
    draw = np.zeros(len(names), dtype=np.int64) if sample.draw is None else sample.draw
    draws = int(draw.max()) + 1 if len(names) else 1
    key = names + size * draw
    there = np.bincount(key + size * draws * sample.treated, minlength=2 * size * draws).reshape(
        2, draws, size
    )
    pooled = np.arange(size * draws).reshape(draws, size)
    for number, fewest in enumerate(there.min(axis=0)):
        pooled[number, _thin(fewest)] = size * number
    _, numbers = np.unique(pooled[there.any(axis=0)], return_inverse=True)
    pooled[there.any(axis=0)] = numbers
    found: Ints = pooled.ravel()[key]
    return found


def _thin(fewest: Ints) -> Bools:
    """Which strata have too few tickets in a lane, and one more where those together have too few as well.

    `fewest`: how many tickets each stratum has in the lane that has fewer of them.
    """
    thin: Bools = fewest < _FEWEST
    if thin.any() and fewest[thin].sum() < _FEWEST and not thin.all():
        thin[np.flatnonzero(~thin)[np.argmin(fewest[~thin])]] = True
    return thin


def _common_reach(strata: _Strata, horizon: float) -> float:
    """How far both lanes can be compared in every stratum: the horizon, or the shortest of their longest waits."""
    reached = horizon
    for group in strata.groups:
        hours, observed = strata.hours[group], strata.observed[group]
        longest, going_on = float(hours.max()), hours[np.flatnonzero(~observed)]
        if going_on.max(initial=-math.inf) == longest:
            reached = min(reached, longest)
    return reached


def _parts(
    strata: _Strata, group: slice, curve: Curve, horizon: float, bend: Callable[[Floats], Floats]
) -> Floats:
    """Each ticket's part in the error of a mean; the jackknife tells it of clusters, at the first ticket of each."""
    hours, observed, cluster = strata.hours[group], strata.observed[group], strata.cluster[group]
    clusters = cluster_count(cluster)
    if clusters < 2 or clusters * len(curve.times) > _JACKKNIFE_CELLS:
        return curve.told(bend(influences(curve, horizon)), hours, observed)
    _, firsts, of_cluster = np.unique(cluster, return_index=True, return_inverse=True)
    parts = np.zeros(len(hours))
    parts[firsts] = bend(left_out(hours, observed, of_cluster, curve, horizon))
    return parts


def _error(strata: _Strata, parts: Floats) -> tuple[float, float]:
    """The standard error, and how far the 95 % interval goes to both sides: of a small lane, most of it comes from
    there, which the degrees of freedom after Welch and Satterthwaite tell."""
    size = int(strata.cluster.max()) + 1
    sums = [np.bincount(strata.cluster[lane], weights=parts[lane], minlength=size) for lane in strata.lanes]
    *of_lanes, all_of_them = strata.clusters
    error = math.sqrt(variance_of_sums(sums[0] + sums[1], all_of_them))
    spreads = [variance_of_sums(of_lane, count) for of_lane, count in zip(sums, of_lanes, strict=True)]
    free = [max(1, count - len(strata.groups) // 2) for count in of_lanes]
    uncertain = sum(spread**2 / n for spread, n in zip(spreads, free, strict=True))
    freedom = sum(spreads) ** 2 / uncertain if uncertain > 0 else min(free)
    return error, student(freedom) * error
