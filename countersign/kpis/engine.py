"""The engine: every figure of a set of ticket histories, in one fixed order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from countersign.kpis.changes import NO_CHANGES, Changes, change_figures
from countersign.kpis.counts import cohort_of, count_figures
from countersign.kpis.durations import Mean, Measure, duration_figures, restricted_means, standardised_mean
from countersign.kpis.figures import Figure, detectable_change
from countersign.kpis.history import UNKNOWN, Floats, Histories, Ints, kept
from countersign.kpis.rates import around
from countersign.kpis.settings import Measuring
from countersign.kpis.survival import clustered
from countersign.kpis.times import (
    HOUR,
    NO_SPANS,
    Spans,
    business_seconds,
    paused_seconds,
    to_acknowledge,
    to_detect,
    to_resolve,
)

DETECT = Measure(
    key="time_to_detect",
    title="Time to detect",
    definition="From when the trouble began, by its source's own clock, to when its first alert was read, or to its "
    "ticket if that came first.",
)
ACKNOWLEDGE = Measure(
    key="time_to_acknowledge",
    title="Time to acknowledge",
    definition="From the opening of the ticket to the first human who took it.",
)
RESOLVE = Measure(
    key="time_to_resolve",
    title="Time to resolve",
    definition="From the opening of the ticket to its last resolution that was not reopened within {days:g} days, on "
    "the wall clock, pauses included.",
)
RESOLVE_BUSINESS = Measure(
    key="time_to_resolve_business",
    title="Time to resolve, business hours",
    definition="From the opening of the ticket to its last resolution that was not reopened within {days:g} days, "
    "counting only {hours} ({zone}), pauses included.",
    unit="business h",
)
RESOLVE_UNPAUSED = Measure(
    key="time_to_resolve_unpaused",
    title="Time to resolve without pauses",
    definition="From the opening of the ticket to its last resolution that was not reopened within {days:g} days, on "
    "the wall clock, less the time it was on hold.",
)

_NEEDS = {
    DETECT.key: ("began", "when the trouble began"),
    ACKNOWLEDGE.key: ("acknowledged", "who took a ticket, and when"),
    RESOLVE.key: ("resolved", "when a ticket was resolved"),
    RESOLVE_BUSINESS.key: ("resolved", "when a ticket was resolved"),
    RESOLVE_UNPAUSED.key: ("paused", "when a ticket was on hold"),
}


def measure(
    tickets: Histories,
    how: Measuring,
    *,
    changes: Changes = NO_CHANGES,
    mix: Mapping[str, float] | None = None,
    resolve: Spans | None = None,
) -> tuple[Figure, ...]:
    """Every figure, the times first. `mix` (category -> share, or how many) is what the standardised mean is compared
    with; without it, that figure is left out. `resolve` as `resolve_spans` gives them, where they are at hand."""
    clusters = cluster_ids(tickets)
    resolve = resolve or resolve_spans(tickets, how)
    figures = list(_durations(tickets, how, clusters, resolve))
    if mix is not None:
        figures.append(standardised(tickets, how, mix, resolve))
    figures.extend(count_figures(cohort_of(tickets, how, clusters)))
    figures.extend(change_figures(changes))
    return tuple(figures)


def cluster_ids(tickets: Histories) -> Ints:
    """A number for each ticket that is the same for those of one cluster; a ticket without one stands alone."""
    codes = tickets.cluster.codes
    if tickets.cluster.known.all():
        return codes
    alone = 1 + (int(codes.max()) if len(codes) else 0)
    return np.where(codes >= 0, codes, alone + np.arange(len(codes)))


def category_mix(tickets: Histories) -> dict[str, int]:
    """How many tickets each category has, for standardising others."""
    names = tickets.category.names
    counts = np.bincount(tickets.category.codes - UNKNOWN, minlength=len(names) + 1)[1:].tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def resolve_spans(tickets: Histories, how: Measuring) -> Spans:
    """The spans of `time_to_resolve`."""
    return to_resolve(tickets, how.end, how.reopened_within.total_seconds())


def standardised_blank(how: Measuring) -> Figure:
    """The words of the restricted mean at a mix of categories."""
    named = _told(RESOLVE, how)
    return Figure(
        key="time_to_resolve.standardised",
        title="Time to resolve, mean at one mix of categories",
        definition=f"{named.definition} Restricted mean per category, weighted by the shares of "
        "categories in all that is compared, since closing easy tickets makes the rest look slower.",
        unit="h",
        better="lower",
    )


def standardised(
    tickets: Histories, how: Measuring, mix: Mapping[str, float], resolve: Spans | None = None
) -> Figure:
    """The restricted mean of the time to resolve, had the categories been in the proportions of `mix`.

    `resolve` as `resolve_spans` gives them, where they are at hand.
    """
    spans = None if resolve is None else [resolve]
    return standardised_each([tickets], how, mix, spans)[0]


def standardised_each(
    lots: Sequence[Histories],
    how: Measuring,
    mix: Mapping[str, float],
    resolve: Sequence[Spans] | None = None,
) -> list[Figure]:
    """The same of each of many lots of tickets, counted all at once."""
    blank = standardised_blank(how)
    if not all({"resolved", "category"} <= tickets.recorded for tickets in lots):
        return [replace(blank, unknown="not recorded: times of resolution or categories") for _ in lots]
    spans = resolve or [resolve_spans(tickets, how) for tickets in lots]
    names = [(lot, name) for lot, tickets in enumerate(lots) for name in tickets.category.names]
    codes, first = [], 0
    for tickets, of_lot in zip(lots, spans, strict=True):
        of_one = kept(tickets.category.codes, of_lot.rows)
        codes.append(np.where(of_one == UNKNOWN, UNKNOWN, of_one + first) if first else of_one)
        first += len(tickets.category.names)
    means: list[dict[str, Mean]] = [{} for _ in lots]
    columns = _one([one.hours for one in spans]), _one([one.observed for one in spans]), _one(codes)
    for code, mean in restricted_means(*columns, first, how.horizon.total_seconds() / HOUR):
        lot, name = names[code]
        means[lot][name] = mean
    return [
        replace(standardised_mean(blank, of_lot, mix), censored=one.censored, excluded=one.excluded)
        for of_lot, one in zip(means, spans, strict=True)
    ]


def _one(columns: Sequence[Floats]) -> Floats:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _told(what: Measure, how: Measuring) -> Measure:
    words = {
        "days": how.reopened_within.total_seconds() / 86400,
        "hours": how.business.text,
        "zone": how.business.zone,
    }
    return replace(what, definition=what.definition.format(**words))


def _durations(tickets: Histories, how: Measuring, clusters: Ints, resolve: Spans) -> Iterable[Figure]:
    table: tuple[tuple[Measure, Callable[[], tuple[Spans, Floats]]], ...] = (
        (DETECT, lambda: _lasting(to_detect(tickets, how.end))),
        (ACKNOWLEDGE, lambda: _lasting(to_acknowledge(tickets, how.end))),
        (RESOLVE, lambda: _lasting(resolve)),
        (
            RESOLVE_BUSINESS,
            lambda: (resolve, business_seconds(resolve.start, resolve.end, how.business) / HOUR),
        ),
        (RESOLVE_UNPAUSED, lambda: (resolve, _unpaused(tickets, resolve))),
    )
    horizon = how.horizon.total_seconds() / HOUR
    for what, told in table:
        field, words = _NEEDS[what.key]
        spans, hours = told() if field in tickets.recorded else _lasting(NO_SPANS)
        figures = duration_figures(_told(what, how), spans, hours, kept(clusters, spans.rows), horizon)
        yield from figures if field in tickets.recorded else _not_recorded(figures, words)
    field, words = _NEEDS[RESOLVE.key]
    mean = (_plain_mean(clusters, resolve, how),)
    yield from mean if field in tickets.recorded else _not_recorded(mean, words)


def _lasting(spans: Spans) -> tuple[Spans, Floats]:
    return spans, spans.hours


def _unpaused(tickets: Histories, resolve: Spans) -> Floats:
    ends = np.full(len(tickets), np.nan)
    ends[resolve.rows] = resolve.end
    return resolve.hours - paused_seconds(tickets, ends)[resolve.rows] / HOUR


def _not_recorded(figures: Iterable[Figure], words: str) -> Iterable[Figure]:
    return (
        replace(
            figure,
            value=None, low=None, high=None, n=0, censored=0, excluded=(), detectable=None,
            unknown=f"not recorded: {words}",
        )
        for figure in figures
    )  # fmt: skip


def _plain_mean(clusters: Ints, resolve: Spans, how: Measuring) -> Figure:
    hours = kept(resolve.hours, resolve.observed)
    n = len(hours)
    blank = Figure(
        key="time_to_resolve.mean_of_resolved",
        title="Time to resolve, mean of those resolved",
        definition=f"{_told(RESOLVE, how).definition} Plain mean of resolved tickets, as most tools show it; it "
        "flatters while hard tickets are still open.",
        unit="h",
        better="lower",
        n=n,
        excluded=resolve.excluded,
        unknown="" if n else "no ticket has been resolved",
    )
    if not n:
        return blank
    mean = float(hours.mean())
    variance, groups = clustered((hours - mean) / n, kept(kept(clusters, resolve.rows), resolve.observed))
    error = math.sqrt(variance)
    limits = around(mean, error, groups - 1)
    if limits is None:
        return replace(blank, value=mean)
    return replace(blank, value=mean, low=limits[0], high=limits[1], detectable=detectable_change(error))
