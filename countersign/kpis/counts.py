"""Figures that count: reopens, closes by the policy, noise, moves, drafts and what a ticket costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from countersign.kpis.figures import Z95, Better, Exclusion, Figure, Unit, detectable_change, shown
from countersign.kpis.history import UNKNOWN, Bools, DraftUse, Event, Floats, Histories, Ints, count, kept
from countersign.kpis.rates import around, kish, net_of, ratio_of, share_among, wilson, worth_of
from countersign.kpis.settings import Measuring
from countersign.kpis.survival import cluster_count, clustered

UNPRICED = "not told: what an hour of people's time costs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Closes:
    """Tickets counted by who closed them.

    Per cluster those of which it is known, and those that the policy closed; of how many it is not known; how many
    closes by the policy were judged, the sums of their weights and of the wrong ones', and how many independent ones
    they are worth.
    """

    known: Floats
    closed: Floats
    unknown: int
    judged: int
    weight: float
    wrong: float
    worth: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cohort:
    """The tickets that are counted, which of them go together, and which were ever finished."""

    tickets: Histories
    clusters: Ints
    finished: Bools
    closes: Closes
    # How often each had been reopened by the end.
    reopens: Floats
    # How many drafts were put to each use (a row each), by cluster.
    drafts: Ints
    usd_per_hour: float | None


def closes_of(tickets: Histories, clusters: Ints) -> Closes:
    return _closes_among(tickets, _counted_by(clusters, tickets.closed_by_policy - UNKNOWN, 3))


def _closes_among(tickets: Histories, counts: Ints) -> Closes:
    """The same of how many tickets each cluster has of which it is unknown who closed them, people and the policy."""
    unknown, opened, closed = counts
    judged = _judged(tickets)
    weight = tickets.weight[judged]
    total = float(weight.sum())
    return Closes(
        known=opened + closed,
        closed=closed,
        unknown=int(unknown.sum()),
        judged=len(weight),
        weight=total,
        wrong=float(weight[tickets.wrong[judged] == 1].sum()),
        worth=kish(total, float((weight**2).sum())),
    )


def _judged(tickets: Histories) -> Ints:
    """The places of the closes by the policy that were judged."""
    return np.flatnonzero((tickets.closed_by_policy == 1) & (tickets.wrong != UNKNOWN))


def _counted_by(clusters: Ints, code: Ints, size: int) -> Ints:
    """How many rows have each of `size` codes from 0 up (a row each), by cluster (a column each)."""
    groups = 1 + (int(clusters.max()) if len(clusters) else 0)
    found: Ints = np.bincount(clusters + groups * code.astype(np.int64), minlength=size * groups)
    return found.reshape(size, groups)


def cohort_of(tickets: Histories, how: Measuring, clusters: Ints) -> Cohort:
    events = tickets.events.until(how.end)
    resolved = np.zeros(len(tickets), dtype=np.bool_)
    resolved[kept(events.ticket, events.kind == Event.RESOLVED)] = True
    late = tickets.events.after(how.end, Event.REOPENED, len(tickets))
    # Who closed it and what became of its draft, counted at once.
    uses = len(tickets.draft.names) + 1
    code = tickets.closed_by_policy - UNKNOWN + 3 * (tickets.draft.codes - UNKNOWN)
    counts = _counted_by(clusters, code, 3 * uses).reshape(uses, 3, -1)
    return Cohort(
        tickets=tickets,
        clusters=clusters,
        finished=resolved | tickets.finished_by(how.end),
        reopens=tickets.reopens - late,
        closes=_closes_among(tickets, counts.sum(axis=0)),
        drafts=counts.sum(axis=1)[1:],
        usd_per_hour=how.usd_per_hour,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A figure that counts: its words, the fields it can't do without, and how it is computed."""

    blank: Figure
    needs: tuple[str, ...]
    compute: Callable[[Figure, Cohort], Figure]

    def of(self, cohort: Cohort) -> Figure:
        absent = [_FIELDS[field] for field in self.needs if field not in cohort.tickets.recorded]
        if absent:
            return replace(self.blank, unknown=f"not recorded: {' or '.join(absent)}")
        return self.compute(self.blank, cohort)


_FIELDS = {
    "alerts": "alerts of a ticket",
    "closed_by_policy": "who closed a ticket",
    "draft": "what became of drafts",
    "minutes": "people's minutes",
    "model_usd": "the model's price",
    "moves": "changes of group",
    "needed_work": "whether work was needed",
    "reopens": "reopenings",
    "wrong": "whether a close was wrong",
}


def count_figures(cohort: Cohort) -> Iterator[Figure]:
    """Every figure that counts, in a fixed order."""
    return (counted.of(cohort) for counted in COUNTS)


def _left_out(*reasons: tuple[str, Bools]) -> tuple[Exclusion, ...]:
    return _counted(*((reason, count(hit)) for reason, hit in reasons))


def _counted(*reasons: tuple[str, int]) -> tuple[Exclusion, ...]:
    return tuple(Exclusion(reason=reason, count=count) for reason, count in reasons if count)


def _of_closes(compute: Callable[[Figure, Closes], Figure]) -> Callable[[Figure, Cohort], Figure]:
    return lambda figure, cohort: compute(figure, cohort.closes)


def _share(figure: Figure, hits: Bools, rows: Bools, clusters: Ints, nobody: str) -> Figure:
    """The share of `hits` among `rows`; `nobody` says why it is unknown if there are none."""
    _, missed, hit = _counted_by(clusters, rows.astype(np.int8) + (hits & rows), 3)
    return _share_among(figure, missed + hit, hit, nobody)


def _share_among(figure: Figure, counts: Floats, hits: Floats, nobody: str) -> Figure:
    """The same of how many rows and hits each cluster has."""
    n = int(counts.sum())
    if not n:
        return replace(figure, unknown=nobody)
    value, low, high, error = share_among(counts, hits)
    return replace(figure, value=value, low=low, high=high, n=n, detectable=_detectable(error))


def _detectable(error: float) -> float | None:
    """Of a share."""
    return detectable_change(error, most=1.0)


def _mean(figure: Figure, values: Floats, cohort: Cohort, reason: str) -> Figure:
    """The mean of the values that are known; `reason` tells about the others."""
    known = np.isfinite(values)
    figure = replace(figure, n=count(known), excluded=_left_out((f"{reason} are not known", ~known)))
    if not figure.n:
        return replace(figure, unknown=f"{reason} are not known for any ticket")
    values = kept(values, known)
    mean = float(values.mean())
    variance, groups = clustered((values - mean) / figure.n, kept(cohort.clusters, known))
    error = float(np.sqrt(variance))
    limits = around(mean, error, groups - 1)
    if limits is None:
        return replace(figure, value=mean)
    return replace(figure, value=mean, low=limits[0], high=limits[1], detectable=detectable_change(error))


def _ratio(figure: Figure, upper: Floats, lower: Floats, known: Bools, cohort: Cohort, nobody: str) -> Figure:
    """The ratio of two sums over the tickets of which both are known; `nobody` says why there is none."""
    figure = replace(figure, excluded=_left_out(("what it needs is not known of the ticket", ~known)))
    clusters = kept(cohort.clusters, known)
    sums = [np.bincount(clusters, weights=kept(values, known)) for values in (upper, lower)]
    found = ratio_of(sums[0], sums[1], cluster_count(clusters))
    if found is None:
        return replace(figure, unknown=nobody)
    n = len(clusters)
    value, low, high, error = found
    if error == 0:  # all or nothing: the linearised interval has no width, Wilson's has
        low, high = wilson(value * n, n)
    return replace(figure, value=value, low=low, high=min(1.0, high), n=n, detectable=_detectable(error))


def _finished_share(
    figure: Figure, cohort: Cohort, hits: Bools, finished: Bools, known: Bools, what: str
) -> Figure:
    excluded = _left_out(
        ("it has not been finished yet", ~finished), (f"{what} are not known", finished & ~known)
    )  # fmt: skip
    figure = replace(figure, excluded=excluded)
    return _share(figure, hits, finished & known, cohort.clusters, "no ticket has been finished")


def _reopen_rate(figure: Figure, cohort: Cohort) -> Figure:
    reopens = cohort.reopens
    ever = cohort.finished | (reopens > 0)
    return _finished_share(figure, cohort, reopens > 0, ever, np.isfinite(reopens), "its reopenings")


def _first_touch_rate(figure: Figure, cohort: Cohort) -> Figure:
    moves, reopens = cohort.tickets.moves, cohort.reopens
    known = np.isfinite(moves) & np.isfinite(reopens)
    once = (moves == 0) & (reopens == 0)
    return _finished_share(figure, cohort, once, cohort.finished, known, "its changes of group or reopenings")


def _reassignments(figure: Figure, cohort: Cohort) -> Figure:
    return _mean(figure, cohort.tickets.moves, cohort, "changes of group")


def _close_rate(figure: Figure, closes: Closes) -> Figure:
    figure = replace(figure, excluded=_counted(("it is not known who closed it", closes.unknown)))
    return _share_among(figure, closes.known, closes.closed, "there is no ticket")


def _wrong_close_rate(figure: Figure, closes: Closes) -> Figure:
    not_judged = int(closes.closed.sum()) - closes.judged
    figure = replace(figure, n=closes.judged, excluded=_counted(("it has not been judged", not_judged)))
    if not figure.n:
        return replace(figure, unknown="no close by the policy has been judged")
    value, worth = closes.wrong / closes.weight, closes.worth
    low, high = wilson(value * worth, worth)
    cautious = (value * worth + 2) / (worth + 4)
    error = float(np.sqrt(cautious * (1 - cautious) / worth))
    return replace(figure, value=value, low=low, high=high, detectable=_detectable(error))


def _wrong_closes(figure: Figure, cohort: Cohort) -> Figure:
    """What goes wrong again and again in the same way is worth less than as many independent closes."""
    closes, judged = cohort.closes, _judged(cohort.tickets)
    if not len(judged):
        return _wrong_close_rate(figure, closes)
    share, weight, group = (
        closes.wrong / closes.weight,
        cohort.tickets.weight[judged],
        cohort.clusters[judged],
    )
    parts = weight * ((cohort.tickets.wrong[judged] == 1) - share) / closes.weight
    worth = worth_of(closes.worth, share, np.bincount(group, weights=parts), cluster_count(group))
    return _wrong_close_rate(figure, replace(closes, worth=worth))


def deflection(closes: Closes) -> Figure:
    """The figure of closes that were counted already, where it is recorded what they need."""
    return _deflection_rate(DEFLECTION_RATE.blank, closes)


def _deflection_rate(figure: Figure, closes: Closes) -> Figure:
    closed = _close_rate(CLOSE_RATE.blank, closes)
    wrong = _wrong_close_rate(WRONG_CLOSE_RATE.blank, closes)
    figure = replace(figure, n=closed.n, excluded=closed.excluded)
    if closed.value == 0:
        return replace(figure, value=0.0, low=0.0, high=closed.high, detectable=closed.detectable)
    all_closed, all_wrong = _bounded(closed), _bounded(wrong)
    if all_closed is None or all_wrong is None:
        return replace(figure, n=0, unknown=closed.unknown or wrong.unknown)
    kept = (1 - all_wrong[0], 1 - all_wrong[2], 1 - all_wrong[1])
    value, low, high = net_of(all_closed, kept)
    return replace(figure, value=value, low=low, high=high, detectable=_detectable((high - low) / (2 * Z95)))


def _bounded(figure: Figure) -> tuple[float, float, float] | None:
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return figure.value, figure.low, figure.high


def _noise_ratio(figure: Figure, cohort: Cohort) -> Figure:
    alerts, needed = cohort.tickets.alerts, cohort.tickets.needed_work
    known = np.isfinite(alerts) & (needed != UNKNOWN)
    return _ratio(figure, alerts * (needed == 0), alerts, known, cohort, "no ticket has been finished")


def _duplicate_ratio(figure: Figure, cohort: Cohort) -> Figure:
    alerts = cohort.tickets.alerts
    known = np.isfinite(alerts)
    return _ratio(figure, np.clip(alerts - 1, 0.0, None), alerts, known, cohort, "there is no alert")


def _minutes_per_ticket(figure: Figure, cohort: Cohort) -> Figure:
    return _mean(figure, cohort.tickets.minutes, cohort, "people's minutes")


def _cost_per_ticket(figure: Figure, cohort: Cohort) -> Figure:
    if cohort.usd_per_hour is None:
        return replace(figure, unknown=UNPRICED)
    told = f"{figure.definition} An hour of people's time costs {shown(cohort.usd_per_hour, 'usd')}."
    figure = replace(figure, definition=told)
    cost = cohort.tickets.minutes / 60 * cohort.usd_per_hour + cohort.tickets.model_usd
    return _mean(figure, cost, cohort, "people's minutes or the model's price")


def _drafts(use: DraftUse) -> Callable[[Figure, Cohort], Figure]:
    def compute(figure: Figure, cohort: Cohort) -> Figure:
        names, written = cohort.tickets.draft.names, cohort.drafts.sum(axis=0)
        hits = cohort.drafts[names.index(use)] if use in names else np.zeros(len(written))
        return _share_among(figure, written, hits, "no draft was written")

    return compute


def _named(key: str, title: str, definition: str, better: Better, unit: Unit = "share") -> Figure:
    return Figure(key=key, title=title, definition=definition, unit=unit, better=better)


REOPEN_RATE = Counted(
    blank=_named(
        "reopen_rate",
        "Reopened",
        "Tickets reopened at least once, of those resolved or closed at least once.",
        "lower",
    ),
    needs=("reopens",),
    compute=_reopen_rate,
)
FIRST_TOUCH_RATE = Counted(
    blank=_named(
        "first_touch_rate",
        "Resolved at first touch",
        "Tickets finished without changing the group and without being reopened, of all finished.",
        "higher",
    ),
    needs=("moves", "reopens"),
    compute=_first_touch_rate,
)
REASSIGNMENTS = Counted(
    blank=_named(
        "reassignments",
        "Changes of group",
        "How often people give a ticket to another group, on average, as far as its desk's history shows.",
        "lower",
        "count",
    ),
    needs=("moves",),
    compute=_reassignments,
)
DEFLECTION_RATE = Counted(
    blank=_named(
        "deflection_rate",
        "Deflection",
        "Tickets closed without a person, and rightly so, of all tickets: those closed by the policy less the wrong "
        "closes, as far as closes were judged.",
        "higher",
    ),
    needs=("closed_by_policy", "wrong"),
    compute=_of_closes(_deflection_rate),
)
CLOSE_RATE = Counted(
    blank=_named(
        "close_rate",
        "Closed by the policy",
        "Tickets closed without a person, rightly or not, of all tickets.",
        "higher",
    ),
    needs=("closed_by_policy",),
    compute=_of_closes(_close_rate),
)
WRONG_CLOSE_RATE = Counted(
    blank=_named(
        "wrong_close_rate",
        "Wrong closes",
        "Closes by the policy that were wrong, of those judged; each stands for as many as it was drawn from.",
        "lower",
    ),
    needs=("closed_by_policy", "wrong"),
    compute=_wrong_closes,
)
NOISE_RATIO = Counted(
    blank=_named(
        "noise_ratio",
        "Alert noise",
        "Alerts of tickets in which nobody had to do anything, of all alerts of finished tickets: closed without a "
        "person and not objected to, or informational, flapping or recovered by itself, and not called anything else.",
        "lower",
    ),
    needs=("alerts", "needed_work"),
    compute=_noise_ratio,
)
DUPLICATE_RATIO = Counted(
    blank=_named(
        "duplicate_ratio",
        "Repeated alerts",
        "Alerts beyond the first of their ticket, of all alerts.",
        "lower",
    ),
    needs=("alerts",),
    compute=_duplicate_ratio,
)
MINUTES_PER_TICKET = Counted(
    blank=_named(
        "minutes_per_ticket",
        "People's time per ticket",
        "Minutes people worked on a ticket, on average of those on which time was logged.",
        "lower",
        "min",
    ),
    needs=("minutes",),
    compute=_minutes_per_ticket,
)
COST_PER_TICKET = Counted(
    blank=_named(
        "cost_per_ticket",
        "Cost per ticket",
        "People's minutes at their hourly cost plus the model's price, on average of tickets on which time was logged.",
        "lower",
        "usd",
    ),
    needs=("minutes", "model_usd"),
    compute=_cost_per_ticket,
)
_DRAFT_WORDS: tuple[tuple[DraftUse, str, str, Better], ...] = (
    (DraftUse.AS_IS, "Drafts used as they are", "used as they were", "higher"),
    (DraftUse.EDITED, "Drafts edited", "changed before use", "neither"),
    (DraftUse.REJECTED, "Drafts rejected", "turned down", "lower"),
    (
        DraftUse.UNSEEN,
        "Drafts without an answer",
        "said nothing to so far, whether they read them or not",
        "lower",
    ),
)
DRAFTS = tuple(
    Counted(
        blank=_named(f"drafts.{use}", title, f"Drafts that people {words}, of all drafts written.", better),
        needs=("draft",),
        compute=_drafts(use),
    )
    for use, title, words, better in _DRAFT_WORDS
)
COUNTS = (
    DEFLECTION_RATE,
    CLOSE_RATE,
    WRONG_CLOSE_RATE,
    REOPEN_RATE,
    FIRST_TOUCH_RATE,
    REASSIGNMENTS,
    NOISE_RATIO,
    DUPLICATE_RATIO,
    MINUTES_PER_TICKET,
    COST_PER_TICKET,
    *DRAFTS,
)
