"""Duration figures: median, 90th percentile and restricted mean of a set of spans."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from countersign.kpis.figures import Z95, Figure, Unit, detectable_change, length, shown
from countersign.kpis.history import UNKNOWN, Bools, Floats, Ints, in_groups, kept
from countersign.kpis.rates import around
from countersign.kpis.survival import (
    Curve,
    clustered,
    curve_of,
    influence,
    limits_of,
    means_by_steps,
    quantile,
    reach,
    restricted_mean,
)
from countersign.kpis.times import Spans

# In a mean the errors of rounding cancel out.
_MANY_FOR_A_MEAN = 1_000
_NOT_FOLLOWED = "no ticket was followed for any time"
_NONE_THROUGH = "no ticket is through so far"
_TOO_EARLY = "too few tickets were followed for long enough"
_UNREACHED = "fewer than {share:.0%} are through so far"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What a duration is called and what it means, in one sentence."""

    key: str
    title: str
    definition: str
    unit: Unit = "h"


def duration_figures(
    measure: Measure, spans: Spans, hours: Floats, clusters: Ints, horizon: float
) -> tuple[Figure, ...]:
    """Median, 90th percentile and restricted mean of `hours`, one for each of the spans; `horizon` in hours."""
    curve = curve_of(hours, spans.observed)
    blank = Figure(
        key=measure.key,
        title=measure.title,
        definition=measure.definition,
        unit=measure.unit,
        better="lower",
        n=curve.n,
        censored=curve.censored,
        excluded=spans.excluded,
        unknown="" if curve.n else "no ticket has the times it needs",
    )
    mean, effect = _mean(blank, curve, hours, spans.observed, clusters, horizon)
    limits = limits_of(curve, effect)
    return (
        _quantile(blank, curve, limits, 0.5, "median", "Median"),
        _quantile(blank, curve, limits, 0.9, "p90", "90th percentile"),
        mean,
    )


def _quantile(
    blank: Figure, curve: Curve, limits: tuple[Floats, Floats], share: float, name: str, words: str
) -> Figure:
    named = replace(
        blank,
        key=f"{blank.key}.{name}",
        title=f"{blank.title}, {words.lower()}",
        definition=f"{blank.definition} {words} by Kaplan–Meier: open tickets count as lasting longer than until now.",
    )
    if not curve.n:
        return named
    value, low, high = quantile(curve, share, limits)
    if value is None:
        return replace(named, low=low, unknown=_UNREACHED.format(share=share))
    error = (high - low) / (2 * Z95) if low is not None and high is not None else None
    return replace(named, value=value, low=low, high=high, detectable=detectable_change(error))


def _mean(
    blank: Figure, curve: Curve, hours: Floats, observed: Bools, clusters: Ints, horizon: float
) -> tuple[Figure, float]:
    """The restricted mean, and how many times as uncertain it is since tickets go together (NaN: nobody knows)."""
    reached = reach(curve, horizon) if curve.n else horizon
    named = replace(
        blank,
        key=f"{blank.key}.mean",
        title=f"{blank.title}, mean",
        definition=f"{blank.definition} Mean restricted to the first {length(reached, blank.unit)}, open tickets "
        "included.",
    )
    if not curve.n or not reached:
        return replace(named, unknown=_NOT_FOLLOWED if curve.n else named.unknown), 1.0
    if not curve.events.any():
        # It would be as long as they were followed, and nothing else.
        return replace(named, unknown=_NONE_THROUGH), 1.0
    value, variance = restricted_mean(curve, reached)
    together, groups = clustered(influence(hours, observed, curve, reached), clusters)
    error = math.sqrt(max(variance, together))
    limits = around(value, error, min(groups, curve.events.sum()) - 1)
    effect = float(np.maximum(1.0, together / variance)) if variance > 0 else 1.0
    if limits is None:
        return replace(named, value=value), effect
    low, high = limits
    return replace(named, value=value, low=low, high=high, detectable=detectable_change(error)), effect


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """A restricted mean in hours, its variance, and how many tickets it rests on.

    `unseen` is how much longer it could become once no ticket is open before the horizon any more.
    """

    n: int
    value: float
    variance: float
    unseen: float = 0.0

    @classmethod
    def of(cls, count: int, hours: float, squares: float) -> Mean:
        """Of how many times none is censored before the horizon, their sum and that of their squares."""
        mean = hours / max(count, 1)
        return cls(n=count, value=mean, variance=max(0.0, squares / max(count, 1) - mean**2) / max(count, 1))


def restricted_means(
    hours: Floats, observed: Bools, codes: Ints, count: int, horizon: float
) -> Iterator[tuple[int, Mean]]:
    """The restricted mean of each of `count` categories of which a ticket was followed for any time.

    Where nothing is censored before the horizon, it and its Greenwood variance are those of plain sums.
    """
    unsure = np.zeros(count + 1, dtype=np.bool_)
    going_on = np.flatnonzero(~observed)
    unsure[codes[going_on[hours[going_on] < horizon]]] = True
    plain = [] if unsure[:-1].all() else _plain_means(hours, codes, count, horizon)
    if not unsure[:-1].any():
        yield from ((code, mean) for code, mean in enumerate(plain) if mean.n)
        return
    rest = unsure[codes]
    hours, observed, codes = (kept(column, rest) for column in (hours, observed, codes))
    many = np.bincount(codes - UNKNOWN, minlength=len(unsure))[1:] > _MANY_FOR_A_MEAN
    found = _means_of_many(hours, observed, codes, many, horizon)
    few = ~np.append(many, True)[codes]
    hours, observed, codes = (kept(column, few) for column in (hours, observed, codes))
    order, groups = in_groups(codes, count)
    hours, observed = hours[order], observed[order]
    for code, group in enumerate(groups):
        if not unsure[code]:
            mean = plain[code] if plain[code].n else None
        elif many[code]:
            mean = found[code]
        else:
            mean = _mean_of(hours[group], observed[group], horizon)
        if mean is not None:
            yield code, mean


def _mean_of(hours: Floats, observed: Bools, horizon: float) -> Mean | None:
    """None where no ticket was followed for any time."""
    curve = curve_of(hours, observed)
    reached = reach(curve, horizon)
    if reached <= 0:
        return None
    value, variance = restricted_mean(curve, reached)
    left = float(curve.survival[-1]) if len(curve.survival) else 1.0
    return Mean(n=curve.n, value=value, variance=variance, unseen=left * (horizon - reached))


def _means_of_many(
    hours: Floats, observed: Bools, codes: Ints, many: Bools, horizon: float
) -> dict[int, Mean | None]:
    """The same of each of the codes that are `many`, by one count of all their rounded times."""
    if not many.any():
        return {}
    numbers = np.append(np.where(many, np.cumsum(many) - 1, UNKNOWN), UNKNOWN)
    group = numbers[codes]
    chosen = group != UNKNOWN
    hours, observed, group = (kept(column, chosen) for column in (hours, observed, group))
    told = means_by_steps(hours, observed, group, horizon)
    return {
        code: Mean(n=n, value=value, variance=variance, unseen=left * (horizon - reached))
        if reached > 0
        else None
        for code, (n, reached, left, value, variance) in zip(np.flatnonzero(many).tolist(), told, strict=True)
    }


def _plain_means(hours: Floats, codes: Ints, count: int, horizon: float) -> list[Mean]:
    """Of each category, as if nothing were censored before the horizon."""
    lasted = np.minimum(hours, horizon)
    codes, size = codes - UNKNOWN, count + 1
    sums = (np.bincount(codes, weights=column, minlength=size) for column in (lasted, lasted**2))
    counts = np.bincount(codes, minlength=size)
    return [
        Mean.of(*told) for told in zip(counts.tolist(), *(of_all.tolist() for of_all in sums), strict=True)
    ][1:]


def standardised_mean(blank: Figure, means: Mapping[str, Mean], mix: Mapping[str, float]) -> Figure:
    """The restricted mean that tickets of these categories' means would have with the categories as in `mix`.

    Direct standardisation. Categories of `mix` that have no mean are left out and told; the others keep their
    proportions. The interval allows for what open tickets can still add; where that can be more than all that was seen,
    it is unknown.
    """
    present = {name: share for name, share in mix.items() if share > 0 and name in means}
    total = sum(present.values())
    if not total:
        return replace(blank, unknown="no ticket has a category of the mix it is compared with")
    here = [(share / total, means[name]) for name, share in present.items()]
    value = sum(share * mean.value for share, mean in here)
    unseen = sum(share * mean.unseen for share, mean in here)
    missing = sum(mix.values()) - total
    note = f" {missing / sum(mix.values()):.1%} of that mix has no ticket here." if missing > 1e-9 else ""
    if unseen > 0:
        note += f" Open tickets can still add up to {shown(unseen, 'h')}, which its interval allows for."
    n = sum(mean.n for _, mean in here)
    found = replace(blank, definition=blank.definition + note, n=n)
    if unseen > value:
        return replace(found, unknown=_TOO_EARLY)
    error, freedom = _error(here)
    limits = around(value, error, freedom)
    if limits is None:
        return replace(found, value=value)
    low, high = limits
    return replace(found, value=value, low=low, high=high + unseen, detectable=detectable_change(error))


def _error(means: Sequence[tuple[float, Mean]]) -> tuple[float, int]:
    """The standard error of a sum of means by their shares, and its degrees of freedom (0: it can't be told).

    A mean of one ticket has no spread: it is taken to be that of the others.
    """
    spreads = [(mean.n - 1, mean.variance * mean.n**2 / (mean.n - 1)) for _, mean in means if mean.n > 1]
    freedom = sum(n for n, _ in spreads)
    if not freedom:
        return math.nan, 0
    usual = sum(n * spread for n, spread in spreads) / freedom
    variance = sum(
        share**2 * (mean.variance * mean.n / (mean.n - 1) if mean.n > 1 else usual) for share, mean in means
    )
    return math.sqrt(variance), freedom
