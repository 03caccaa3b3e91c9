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

import numpy as np

from countersign.kpis.engine import cluster_ids, resolve_spans
from countersign.kpis.figures import Exclusion, Figure, detectable_change
from countersign.kpis.history import UNKNOWN, Bools, Floats, Histories, Ints, numbered, places_of
from countersign.kpis.settings import Measuring
from countersign.kpis.survival import (
    Curve,
    cluster_count,
    clustered_variance,
    curve_of,
    influence,
    left_out,
    restricted_mean,
)
from countersign.lanes import Lane

# Shorter times are rounded up to a minute: the logarithm of nothing is endless.
_SHORTEST = 1 / 60
# A category with fewer tickets in a lane joins those of its kind: one ticket has no spread.
_FEWEST = 10
_FEWEST_CLUSTERS = 5
# A cluster that is nearly all of a lane's mean: without it there would be no logarithm.
_MOST_OF_A_MEAN = 0.95
# In a mean the errors of rounding cancel out.
_MANY = 1_000
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


def effects(tickets: Histories, how: Measuring) -> tuple[Figure, Figure]:
    """Ratio of restricted means and of geometric means; unknown, with the reason, where lanes can't be compared."""
    spans = resolve_spans(tickets, how)
    lane, share = tickets.lane.codes[spans.rows], tickets.control_share[spans.rows]
    treated = np.isin(lane, _codes(tickets, Lane.TREATED))
    drawn, left = _drawn(np.isin(lane, _codes(tickets, Lane.TREATED, Lane.CONTROL)), treated, share)
    _, draw = numbered(np.nan_to_num(share[drawn], nan=-1.0))
    sample = _in_strata(
        Sample(
            hours=spans.hours[drawn],
            observed=spans.observed[drawn],
            treated=treated[drawn],
            stratum=tickets.category.codes[spans.rows][drawn],
            cluster=cluster_ids(tickets)[spans.rows][drawn],
            draw=draw,
        )
    )
    excluded = (*spans.excluded, *left)
    horizon = how.horizon.total_seconds() / 3600
    return (
        replace(_mean_ratio(sample, horizon), excluded=excluded),
        replace(_geometric_ratio(sample, horizon), excluded=excluded),
    )


def _drawn(in_lane: Bools, treated: Bools, share: Floats) -> tuple[Bools, tuple[Exclusion, ...]]:
    """The tickets that can be compared, and why the others can't."""
    only_one = in_lane & ((share <= 0) | (share >= 1))
    rest = in_lane & ~only_one
    shares, draw = numbered(np.nan_to_num(share, nan=-1.0))
    counts = [np.bincount(draw[rest & lane], minlength=len(shares) + 1) for lane in (treated, ~treated)]
    fewest = np.minimum(*counts)
    # Where none has enough of them, the one that has most is compared, as far as that goes.
    rare = rest & (fewest < min(_FEWEST, fewest.max()))[draw]
    reasons = (
        ("it was drawn for no lane", ~in_lane),
        ("it could only get into one lane", only_one),
        ("too few tickets had its probability of the control lane", rare),
    )
    left = tuple(Exclusion(reason=reason, count=int(hit.sum())) for reason, hit in reasons if hit.any())
    return rest & ~rare, left


def _codes(tickets: Histories, *lanes: Lane) -> list[int]:
    return [number for number, name in enumerate(tickets.lane.names) if name in lanes]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Strata:
    """A sample whose strata are large enough, numbered from 0 up; the places of the tickets of each stratum in the
    control lane, then in the treated one; and why the lanes can't be compared, or ""."""

    sample: Sample
    places: Sequence[Ints]
    unknown: str


def _in_strata(sample: Sample) -> _Strata:
    sample = replace(sample, stratum=_pooled(sample))
    strata = 1 + (int(sample.stratum.max()) if len(sample.stratum) else 0)
    return _Strata(
        sample=sample,
        places=places_of(sample.stratum + strata * sample.treated, 2 * strata),
        unknown=_incomparable(sample),
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
    logs = np.log(np.maximum(strata.sample.hours, _SHORTEST) / _SHORTEST)
    logged = replace(strata, sample=replace(strata.sample, hours=logs))
    return _ratio(GEOMETRIC, logged, math.log(horizon / _SHORTEST), _of_logs, _as_they_are)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """One lane: the mean in each stratum, and each ticket's part in the error of its stratum's mean."""

    means: Floats
    parts: Floats


Contrast = Callable[[float, float], tuple[float, float, float]]


def _of_means(treated: float, control: float) -> tuple[float, float, float]:
    """The log of the ratio, and its slopes in both means."""
    return math.log(treated / control), 1 / treated, -1 / control


def _of_logs(treated: float, control: float) -> tuple[float, float, float]:
    return treated - control, 1.0, -1.0


# Each ticket's part in the error of the result, from its slope: as it is, or bent as the result bends.
Bend = Callable[[Floats, Bools], Floats]


def _of_their_log(parts: Floats, treated: Bools) -> Floats:
    """What leaving each out changes in the log of a mean: of a long wait in a small lane, more than its slope says."""
    bounded = np.clip(parts, -_MOST_OF_A_MEAN, _MOST_OF_A_MEAN)
    bent: Floats = np.where(treated, -np.log1p(-bounded), np.log1p(bounded))
    return bent


def _as_they_are(parts: Floats, _: Bools) -> Floats:
    return parts


def _ratio(figure: Figure, stratified: _Strata, horizon: float, contrast: Contrast, bend: Bend) -> Figure:
    sample, places = stratified.sample, stratified.places
    if stratified.unknown:
        return replace(figure, n=len(sample.hours), unknown=stratified.unknown)
    strata = len(places) // 2
    shares = np.bincount(sample.stratum, minlength=strata) / len(sample.stratum)
    reached = _common_reach(sample, horizon, places)
    control, treated = (_lane(sample, part, reached) for part in (places[:strata], places[strata:]))
    totals = float(shares @ treated.means), float(shares @ control.means)
    if min(totals) <= 0:
        return replace(figure, n=len(sample.hours), unknown="every ticket of a lane took no time at all")
    log, slope, other = contrast(*totals)
    # How the result moves with each stratum's share, for the shares are estimated too.
    leverage = slope * treated.means + other * control.means
    parts = (leverage[sample.stratum] - shares @ leverage) / len(sample.stratum)
    of_means = shares[sample.stratum] * (slope * treated.parts + other * control.parts)
    parts += bend(of_means, sample.treated)
    error = math.sqrt(clustered_variance(parts, sample.cluster))
    spread = _student(_freedom(sample, parts, strata)) * error
    return replace(
        figure,
        definition=f"{figure.definition} {strata} strata, up to {_hours(reached, figure) / 24:.4g} days.",
        value=math.exp(log),
        low=math.exp(log - spread),
        high=math.exp(log + spread),
        n=len(sample.hours),
        censored=int((~sample.observed).sum()),
        detectable=detectable_change(math.exp(log) * error / math.sqrt(2)),
    )


def _hours(reached: float, figure: Figure) -> float:
    return reached if figure.key == MEANS.key else _SHORTEST * math.exp(reached)


def _incomparable(sample: Sample) -> str:
    for rows, lane in ((~sample.treated, "control"), (sample.treated, "treated")):
        if cluster_count(sample.cluster[rows]) < _FEWEST_CLUSTERS:
            return f"the {lane} lane has fewer than {_FEWEST_CLUSTERS} independent tickets"
    return ""


def _pooled(sample: Sample) -> Ints:
    """Strata as numbers from 0 up; of those drawn alike, the ones with too few tickets in a lane are one."""
    names = sample.stratum - UNKNOWN
    size = int(names.max()) + 1 if len(names) else 1
    draw = np.zeros(len(names), dtype=np.int64) if sample.draw is None else sample.draw
    pooled = names + size * draw
    for number in np.unique(draw):
        alike = draw == number
        thin = _thin(names[alike], sample.treated[alike], size)
        pooled[alike] = size * number + np.where(thin[names[alike]], 0, names[alike])
    there = np.flatnonzero(np.bincount(pooled))
    numbers = np.zeros(1 + (int(there[-1]) if len(there) else 0), dtype=np.int64)
    numbers[there] = np.arange(len(there))
    found: Ints = numbers[pooled]
    return found


def _thin(names: Ints, treated: Bools, size: int) -> Bools:
    """Which strata have too few tickets in a lane, and one more where those together have too few as well."""
    fewest = np.minimum(*(np.bincount(names[rows], minlength=size) for rows in (treated, ~treated)))
    thin: Bools = fewest < _FEWEST
    if thin.any() and fewest[thin].sum() < _FEWEST and not thin.all():
        thin[np.flatnonzero(~thin)[np.argmin(fewest[~thin])]] = True
    return thin


def _common_reach(sample: Sample, horizon: float, parts: Sequence[Ints]) -> float:
    """How far both lanes can be compared in every stratum: the horizon, or the shortest of their longest waits."""
    reached = horizon
    for part in parts:
        hours = sample.hours[part]
        longest = float(hours.max())
        if not sample.observed[part][hours == longest].all():
            reached = min(reached, longest)
    return reached


def _lane(sample: Sample, strata: Sequence[Ints], horizon: float) -> _Lane:
    """`strata` holds the places of this lane's tickets in each stratum."""
    means, parts = np.zeros(len(strata)), np.zeros(len(sample.hours))
    for stratum, part in enumerate(strata):
        curve = curve_of(sample.hours[part], sample.observed[part], many=_MANY)
        means[stratum], _ = restricted_mean(curve, horizon)
        parts[part] = _parts(sample, part, curve, horizon)
    return _Lane(means=means, parts=parts)


def _parts(sample: Sample, part: Ints, curve: Curve, horizon: float) -> Floats:
    """Each ticket's part in the error of a mean; the jackknife tells it of clusters, at the first ticket of each."""
    hours, observed, cluster = sample.hours[part], sample.observed[part], sample.cluster[part]
    clusters = cluster_count(cluster)
    if clusters < 2 or clusters * len(curve.times) > _JACKKNIFE_CELLS:
        return influence(hours, observed, curve, horizon)
    _, firsts, group = np.unique(cluster, return_index=True, return_inverse=True)
    parts = np.zeros(len(hours))
    parts[firsts] = left_out(hours, observed, group, curve, horizon)
    return parts


def _freedom(sample: Sample, parts: Floats, strata: int) -> float:
    """Degrees of freedom of the error, after Welch and Satterthwaite: of a small lane, most of it comes from there."""
    lanes = (sample.treated, ~sample.treated)
    spreads = [clustered_variance(parts[lane], sample.cluster[lane]) for lane in lanes]
    free = [max(1, cluster_count(sample.cluster[lane]) - strata) for lane in lanes]
    uncertain = sum(spread**2 / n for spread, n in zip(spreads, free, strict=True))
    return sum(spreads) ** 2 / uncertain if uncertain > 0 else min(free)


def _student(freedom: float) -> float:
    """The 97.5 % point of Student's t (Hill 1970, expansion in 1/freedom; within 0.001 from 4 degrees up)."""
    z = 1.959963984540054
    f = max(1.0, freedom)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / f**power for power, term in enumerate(terms, 1))
