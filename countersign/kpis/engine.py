"""The engine: every figure of a set of ticket histories, in one fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from countersign.kpis.changes import NO_CHANGES, Changes, change_figures
from countersign.kpis.counts import cohort_of, count_figures
from countersign.kpis.durations import Measure, duration_figures, restricted_means, standardised_mean
from countersign.kpis.figures import Z95, Figure, detectable_change
from countersign.kpis.history import Floats, Histories, Ints, kept
from countersign.kpis.settings import Measuring
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
    alone = 1 + (int(codes.max()) if len(codes) else 0)
    return np.where(codes >= 0, codes, alone + np.arange(len(codes)))


def category_mix(tickets: Histories) -> dict[str, int]:
    """How many tickets each category has, for standardising others."""
    codes = tickets.category.codes[tickets.category.known]
    counts = np.bincount(codes, minlength=len(tickets.category.names)).tolist()
    return {name: count for name, count in zip(tickets.category.names, counts, strict=True) if count}


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
    blank = standardised_blank(how)
    if "resolved" not in tickets.recorded or "category" not in tickets.recorded:
        return replace(blank, unknown="not recorded: times of resolution or categories")
    spans = resolve or resolve_spans(tickets, how)
    category = replace(tickets.category, codes=kept(tickets.category.codes, spans.rows))
    horizon = how.horizon.total_seconds() / HOUR
    means = dict(restricted_means(spans.hours, spans.observed, category, horizon))
    return replace(standardised_mean(blank, means, mix), censored=spans.censored, excluded=spans.excluded)


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
    mean = (_plain_mean(resolve, how),)
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


def _plain_mean(resolve: Spans, how: Measuring) -> Figure:
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
    error = float(hours.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    low, high = (max(0.0, mean - Z95 * error), mean + Z95 * error) if error is not None else (None, None)
    return replace(blank, value=mean, low=low, high=high, detectable=detectable_change(error))
