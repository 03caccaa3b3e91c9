"""Times to an event of which some have not happened yet: Kaplan–Meier, quantiles and the restricted mean.

Sources: Kaplan & Meier 1958; Brookmeyer & Crowley 1982 with the log-log transformation (as R's survfit); the
restricted mean's Greenwood variance, and its influence function, as in Andersen et al., Statistical Models Based
on Counting Processes, IV.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from countersign.kpis.figures import Z95
from countersign.kpis.history import Bools, Floats, Ints, count

_SAME = 1e-9
# With more durations than this, each is rounded to the nearest of 512 between a number and its double: by 0.1 % at
# most, far less than chance moves a figure of so many, and counting takes the place of sorting.
MANY = 30_000
_SHIFT = 23 - 9  # of the 23 binary digits of a float32
# So many times as many tickets as there are clusters mostly have some of each.
_ENOUGH = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The share not yet through, after each time at which something happened (`times`, rising, one unit)."""

    times: Floats
    at_risk: Floats
    events: Floats
    survival: Floats
    longest: float
    n: int
    censored: int
    # Where durations were rounded: the step of each, and how many of the times have passed at each step.
    steps: tuple[Ints, Ints] | None = None

    def told(self, table: Floats, durations: Floats, observed: Bools) -> Floats:
        """What each of the durations that the curve was made of comes to by a table as `influences` gives it."""
        half = len(table) // 2
        if self.steps is None:
            passed = np.searchsorted(self.times, durations, side="right")
            exact: Floats = table[passed + half * observed]
            return exact
        # Looked up by step, not by time: those that go on are few, where there is much to look up.
        step, passed = self.steps
        going_on = np.flatnonzero(~observed)
        found: Floats = table[passed + half].take(step)
        found[going_on] = table[passed[step[going_on]]]
        return found


def curve_of(durations: Floats, observed: Bools, *, many: int = MANY) -> Curve:
    """The Kaplan–Meier curve; `observed` is False where the duration only says "longer than".

    More than `many` durations are rounded.
    """
    counted = _counted if len(durations) > many else _sorted
    times, events, at_risk, steps = counted(durations, observed)
    survival: Floats = np.cumprod(1.0 - events / at_risk, dtype=np.float64)
    return Curve(
        times=times,
        at_risk=at_risk.astype(np.float64),
        events=events.astype(np.float64),
        survival=survival,
        longest=float(durations.max()) if len(durations) else 0.0,
        n=len(durations),
        censored=len(durations) - count(observed),
        steps=steps,
    )


Counts = tuple[Floats, Ints, Ints, tuple[Ints, Ints] | None]


def _sorted(durations: Floats, observed: Bools) -> Counts:
    """The times, how often something happened at each, and how many were at risk until then."""
    happened, going_on = np.sort(durations[observed]), np.sort(durations[~observed])
    first = np.flatnonzero(np.concatenate(([True], happened[1:] != happened[:-1]))[: len(happened)])
    times = happened[first]
    events = np.diff(np.concatenate((first, [len(happened)])))
    at_risk = len(durations) - first - np.searchsorted(going_on, times, side="left")
    return times, events, at_risk, None


def _counted(durations: Floats, observed: Bools) -> Counts:
    """The same of rounded durations, with what `Curve.told` needs."""
    steps = _step(durations)
    instant, lowest = int(steps.min()) == 0, _lowest(steps)
    steps -= lowest
    if instant:
        np.maximum(steps, 0, out=steps)
    gone = np.bincount(steps)
    # Those that go on are few, where there is much to count.
    happened = gone - np.bincount(steps[np.flatnonzero(~observed)], minlength=len(gone))
    places = np.flatnonzero(happened)
    times = _rounded(places + lowest)
    if instant and len(places) and places[0] == 0:
        times[0] = 0.0
    at_risk = (len(durations) - np.cumsum(gone) + gone)[places]
    return times, happened[places], at_risk, (steps, np.cumsum(happened > 0))


def _lowest(steps: Ints) -> int:
    """What all of them can be made less by. Where there is a 0 it stays one, however far below the others it is: from
    nothing to a minute there are sixty thousand steps, and all of them would be counted."""
    lowest = int(steps.min())
    if lowest or not steps.any():
        return lowest
    return int((steps - 1).view(np.uint64).min())  # less than 0 is more than all others


def _step(durations: Floats) -> Ints:
    """The number of each duration's rounded value; it rises with the duration, and as fast as its logarithm."""
    short = durations.astype(np.float32)
    np.maximum(short, 0.0, out=short)
    bits = short.view(np.int32)
    bits += 1 << (_SHIFT - 1)
    bits >>= _SHIFT
    # Places are looked up and counted faster by numbers of the machine's own width.
    steps: Ints = bits.astype(np.int64)
    return steps


def _rounded(steps: Ints) -> Floats:
    """The values that have these numbers."""
    return (steps.astype(np.int32) << _SHIFT).view(np.float32).astype(np.float64)


def quantile(
    curve: Curve, share: float, limits: tuple[Floats, Floats] | None = None
) -> tuple[float | None, float | None, float | None]:
    """The time by which `share` are through, with its 95 % limits; None where the curve does not get there.

    Where the curve lies exactly on the level, the middle of that step: without censoring this is the usual median.
    """
    level = 1.0 - share
    low, high = limits or limits_of(curve)
    return _crossing(curve, curve.survival, level), _first(curve, low, level), _first(curve, high, level)


def _crossing(curve: Curve, values: Floats, level: float) -> float | None:
    reached = np.flatnonzero(values <= level + _SAME)
    if not len(reached):
        return None
    first = int(reached[0])
    on_level = abs(values[first] - level) <= _SAME and first + 1 < len(values)
    return float(curve.times[first] + curve.times[first + 1]) / 2 if on_level else float(curve.times[first])


def _first(curve: Curve, values: Floats, level: float) -> float | None:
    reached = np.flatnonzero(values <= level + _SAME)
    return float(curve.times[reached[0]]) if len(reached) else None


def limits_of(curve: Curve, effect: float = 1.0) -> tuple[Floats, Floats]:
    """Pointwise 95 % limits of the curve, NaN (which nothing crosses) where it is 0 or 1.

    `effect`: so many times as uncertain as if tickets were independent (the design effect).
    """
    left = curve.at_risk - curve.events
    inside = (left > 0) & (curve.survival > 0) & (curve.survival < 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(np.where(left > 0, curve.events / (curve.at_risk * left), 0.0))
        log = np.log(curve.survival)
        spread = np.exp(Z95 * np.sqrt(variance * effect) / np.abs(log))
        low, high = curve.survival**spread, curve.survival ** (1 / spread)
    return np.where(inside, low, np.nan), np.where(inside, high, np.nan)


def reach(curve: Curve, horizon: float) -> float:
    """How far a restricted mean can go: the horizon, or less where the longest observation is still going on."""
    through = len(curve.survival) > 0 and curve.survival[-1] <= _SAME
    return horizon if through else min(horizon, curve.longest)


def _areas(curve: Curve, horizon: float) -> tuple[float, Floats]:
    """The area under the curve up to the horizon, and what of it lies after each time."""
    edges = np.minimum(np.concatenate(([0.0], curve.times, [horizon])), horizon)
    pieces = np.concatenate(([1.0], curve.survival)) * np.diff(edges)
    after = np.cumsum(pieces[::-1])[::-1]
    return float(after[0]), after[1:]


def restricted_mean(curve: Curve, horizon: float) -> tuple[float, float]:
    """The mean of min(duration, horizon), and the variance of that mean."""
    mean, after = _areas(curve, horizon)
    left = curve.at_risk - curve.events
    counts = (left > 0) & (curve.times <= horizon)
    terms = after[counts] ** 2 * curve.events[counts] / (curve.at_risk[counts] * left[counts])
    return mean, float(terms.sum())


def means_by_steps(
    durations: Floats, observed: Bools, group: Ints, horizon: float
) -> list[tuple[int, float, float, float, float]]:
    """Of each group, numbered from 0 up and none of them empty: how many durations it has, how far its restricted mean
    reaches, the share not through by then, that mean, and its variance. As by a curve of rounded durations
    for each, but counted all at once."""
    steps = _step(durations)
    lowest = int(steps.min())
    steps -= lowest
    # Only those that there are: from nothing to a minute it is as many steps as from there to a year.
    there = np.bincount(steps) > 0
    values, size = _rounded(np.flatnonzero(there) + lowest), count(there)
    key = group * size + (np.cumsum(there) - 1)[steps]
    gone = np.bincount(key)
    places = np.flatnonzero(gone)
    going_on = np.bincount(key[np.flatnonzero(~observed)], minlength=len(gone))[places]
    gone = gone[places]
    times, firsts = values[places % size], np.flatnonzero(np.diff(places // size, prepend=-1))
    counts = np.add.reduceat(gone, firsts)
    at_risk = np.repeat(np.cumsum(counts), np.diff(firsts, append=len(places))) - np.cumsum(gone) + gone
    events = gone - going_on
    survival = 1.0 - events / at_risk
    lasts = np.append(firsts[1:], len(places)) - 1
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        np.cumprod(survival[first : last + 1], out=survival[first : last + 1])
    reached = np.full(len(firsts), horizon)
    for number in np.flatnonzero(survival[lasts] > _SAME).tolist():
        # The longest is among those that are rounded to the last step.
        reached[number] = min(horizon, float(durations[key == places[lasts[number]]].max()))
    means, variances = _means_there(times, at_risk, events, survival, firsts, reached)
    left = survival[lasts].tolist()
    return list(zip(counts.tolist(), reached.tolist(), left, means, variances, strict=True))


def _means_there(
    times: Floats, at_risk: Ints, events: Ints, survival: Floats, firsts: Ints, reached: Floats
) -> tuple[list[float], list[float]]:
    """Restricted means and their variances of curves that stand one after the other, each from one of `firsts` on."""
    limit = np.repeat(reached, np.diff(firsts, append=len(times)))
    edges = np.minimum(times, limit)
    following = np.append(edges[1:], 0.0)
    lasts = np.append(firsts[1:], len(times)) - 1
    following[lasts] = reached
    pieces = survival * (following - edges)
    areas = np.add.reduceat(pieces, firsts)
    # What lies after each time of its own curve.
    after = np.repeat(np.cumsum(areas), np.diff(firsts, append=len(times))) - np.cumsum(pieces) + pieces
    left = at_risk - events
    counted = (left > 0) & (times <= limit)
    terms = np.where(counted, after**2 * events / (at_risk * np.maximum(left, 1)), 0.0)
    return (edges[firsts] + areas).tolist(), np.add.reduceat(terms, firsts).tolist()


def influence(durations: Floats, observed: Bools, curve: Curve, horizon: float) -> Floats:
    """What each duration adds to the error of the restricted mean: they sum to 0, their squares to its variance."""
    return curve.told(influences(curve, horizon), durations, observed)


def influences(curve: Curve, horizon: float) -> Floats:
    """The same by how many of the times have passed: of those that go on then, and after them of those that end."""
    _, after = _areas(curve, horizon)
    within = curve.times <= horizon
    hazard = np.where(within, after * curve.events / curve.at_risk**2, 0.0)
    going_on = np.concatenate(([0.0], np.cumsum(hazard)))
    happened = going_on - np.concatenate(([0.0], np.where(within, after / curve.at_risk, 0.0)))
    return np.concatenate((going_on, happened))


def left_out(durations: Floats, observed: Bools, group: Ints, curve: Curve, horizon: float) -> Floats:
    """By how much each group, numbered from 0 up, moves the restricted mean: the mean less that without the group.

    The jackknife: where tickets are few, nearer to the truth than the influence function, which it tends to.
    """
    groups, steps = int(group.max()) + 1, len(curve.times)
    passed = np.searchsorted(curve.times, durations, side="right")
    gone = np.zeros((groups, steps + 1))
    np.add.at(gone, (group, passed), 1.0)
    at_risk = curve.at_risk - (
        np.bincount(group, minlength=groups)[:, None] - np.cumsum(gone, axis=1)[:, :steps]
    )
    events = np.tile(curve.events, (groups, 1))
    np.add.at(events, (group[observed], passed[observed] - 1), -1.0)
    survival = np.cumprod(1.0 - events / np.maximum(at_risk, 1.0), axis=1)
    widths = np.diff(np.minimum(np.concatenate(([0.0], curve.times, [horizon])), horizon))
    without = widths[0] + survival @ widths[1:]
    moved: Floats = restricted_mean(curve, horizon)[0] - without
    return moved


def clustered(influences: Floats, clusters: Ints) -> tuple[float, int]:
    """The variance of a sum of influences that belong together within a cluster, NaN for a single cluster, and how many
    clusters there are.

    Clusters are numbers from 0 up, not many more than there are.
    """
    groups = cluster_count(clusters)
    return variance_of_sums(np.bincount(clusters, weights=influences), groups), groups


def variance_of_sums(sums: Floats, groups: int) -> float:
    """The same of the sums of that many clusters; other sums are 0."""
    return float((sums**2).sum() * groups / (groups - 1)) if groups > 1 else float("nan")


def cluster_count(clusters: Ints) -> int:
    """How many different clusters there are among these numbers from 0 up."""
    size = 1 + int(clusters.max()) if len(clusters) else 0
    # Where each has many tickets, the first of all have some of each already.
    some = count(np.bincount(clusters[: _ENOUGH * size]))
    return some if some == size else count(np.bincount(clusters))
