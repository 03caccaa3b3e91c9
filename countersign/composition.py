"""Composition: a report made of a policy, the histories of its cases and what else the ledger holds of them.

Pure: the same rows and the same period give the same report, whenever it is composed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from countersign.effects import effects
from countersign.ended_changes import EndedChange, changes_between
from countersign.kpis.changes import Changes
from countersign.kpis.counts import COST_PER_TICKET, UNPRICED
from countersign.kpis.engine import category_mix, measure, resolve_spans
from countersign.kpis.figures import Figure, shown, shown_interval
from countersign.kpis.history import Histories
from countersign.kpis.settings import Measuring
from countersign.kpis.times import BusinessHours
from countersign.kpis.trend import WEEKS, trends
from countersign.kpis.weeks import Weeks, unsettled_since
from countersign.ledger import Span
from countersign.policy import Policy
from countersign.policy.rules import Rule, Threshold
from countersign.reports import CostLine, Goal, PolicyLine, Report
from countersign.results import LabelCount, ModelUse, Results
from countersign.thresholds.binomial import labels_needed
from countersign.thresholds.certificate import Promise
from countersign.thresholds.words import promise_words

MICRO = 1_000_000
OTHERS = "(all others)"
_NO_PERSON = "nothing is closed without a person"
_DONE = {
    "close": "act: closes",
    "draft_change": "draft: a change request",
    "draft_note": "draft: a note",
    "route": "routes to people",
    "hold": "observe: records only",
}
_ASSUMED = (
    "A close by the policy counts as right unless people have reopened the ticket or called it wrong so far; nobody "
    "looked at every one of them."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """What a report looks at: from `since` (included) to `until` (excluded), both aware."""

    since: datetime
    until: datetime

    @property
    def before(self) -> Period:
        """The period of the same length that ends where this one begins."""
        return Period(since=self.since - (self.until - self.since), until=self.since)

    @property
    def span(self) -> Span:
        """What has to be read: the period before as well, all weeks that are not settled yet, and sums of the others.

        A day more of the former, for tickets that were opened just after their cases.
        """
        first = self.until - timedelta(weeks=WEEKS)
        whole = min(self.before.since, unsettled_since(self.until) - timedelta(days=1))
        return Span(first=min(first, whole), whole=whole, until=self.until)


def measuring(policy: Policy, until: datetime) -> Measuring:
    """How the policy wants its figures measured."""
    how = Measuring(until=until, reopened_within=policy.feedback.reopened_within)
    wanted = policy.report
    if wanted is None:
        return how
    business = BusinessHours(text=wanted.business_hours, zone=wanted.zone)
    return replace(how, business=business, usd_per_hour=wanted.usd_per_hour)


def compose(
    policy: Policy,
    tickets: Histories,
    past: Weeks,
    results: Results,
    period: Period,
    *,
    ended: Sequence[EndedChange] = (),
    notes: tuple[str, ...] = (),
) -> Report:
    """The report of one use case, of the tickets of the period's span and the sums of those before it, and of the
    changes that ended in the period and the one before."""
    how = measuring(policy, period.until)
    now = tickets.opened_between(period.since, period.until)
    before = tickets.opened_between(period.before.since, period.before.until)
    zone = how.business.zone
    # Both periods at one mix of categories, so that what the policy closes makes neither look slower.
    mix = Counter(category_mix(before)) + Counter(category_mix(now))
    resolve = resolve_spans(now, how)
    figures = measure(now, how, changes=_changes(ended, period), mix=mix, resolve=resolve)
    return Report(
        use_case=policy.use_case,
        title=f"Countersign: {policy.use_case}",
        since=period.since,
        until=period.until,
        zone=zone,
        figures=figures,
        goal=_goal(policy),
        effects=effects(now, how, resolve),
        previous=measure(
            before,
            measuring(policy, period.before.until),
            changes=_changes(ended, period.before),
            mix=mix,
        ),
        trends=trends(tickets, how, past),
        policy=tuple(_policy_lines(policy, results)),
        corrections=results.corrections,
        costs=(*_costs(results.models), _peoples_time(now, how.usd_per_hour), _a_ticket(figures)),
        notes=(_ASSUMED, *_then(before), *_unpriced(results.models), *notes),
    )


def _changes(ended: Sequence[EndedChange], period: Period) -> Changes:
    return changes_between(ended, period.since, period.until)


def _goal(policy: Policy) -> Goal | None:
    if policy.kpi is None:
        return None
    return Goal(metric=policy.kpi.metric, target=policy.kpi.target, baseline=policy.kpi.baseline)


def _policy_lines(policy: Policy, results: Results) -> Iterator[PolicyLine]:
    """One line for each category that a rule names, and one for the rest, by the first rule that may take them."""
    for category, rule in _taken(policy).items():
        yield _line(policy, rule, category, results)
    yield _line(policy, policy.rules[-1], OTHERS, results)


def _taken(policy: Policy) -> Mapping[str, Rule]:
    """The categories that a rule names, each with the first that may take it."""
    taken: dict[str, Rule] = {}
    for rule in policy.rules:
        for category in rule.when.category or ():
            taken.setdefault(category, rule)
    return {category: taken[category] for category in policy.categories if category in taken}


def promised(policy: Policy) -> frozenset[str]:
    """The categories whose closes are promised to be right: those whose labels a report counts."""
    return frozenset(
        category
        for category, rule in _taken(policy).items()
        if rule.then == "close" and rule.threshold is not None and _promise(rule.threshold) is not None
    )


def _line(policy: Policy, rule: Rule, category: str, results: Results) -> PolicyLine:
    threshold = rule.threshold
    if rule.then != "close" or threshold is None:
        return PolicyLine(
            category=category,
            threshold=_NO_PERSON,
            certificate="needs none",
            labels_needed=0,
            autonomy=_autonomy(policy, rule, certified=True),
        )
    promise = _promise(threshold)
    granted = results.certificates.get(category)
    holds = granted is not None and granted.withdrawn is None
    needed = 0 if promise is None or holds else _needed(promise, results.labels.get(category))
    return PolicyLine(
        category=category,
        threshold=promise_words(promise) if promise else f"risk below {threshold.risk_below:g}",
        certificate=_certificate(category, results) if promise else "a plain limit, which promises nothing",
        labels_needed=needed,
        autonomy=_autonomy(policy, rule, certified=promise is None or holds),
    )


def _promise(threshold: Threshold) -> Promise | None:
    if threshold.wrong_closes_at_most is None or threshold.sure is None:
        return None
    return Promise(alpha=threshold.wrong_closes_at_most, delta=1 - threshold.sure)


def _needed(promise: Promise, labels: LabelCount | None) -> int:
    """Further labels without an error that would show the promise if this category alone were certified once."""
    known = labels or LabelCount(n=0, wrong=0)
    return labels_needed(alpha=promise.alpha, delta=promise.delta, errors=known.wrong, n=known.n)


def _certificate(category: str, results: Results) -> str:
    granted = results.certificates.get(category)
    if granted is None:
        return ""
    found = granted.certificate
    if granted.withdrawn is not None:
        return f"withdrawn on {granted.withdrawn:%Y-%m-%d}: {granted.why}"
    return (
        f"for risks up to {found.threshold:g}: {found.errors} of {found.n} labels wrong, "
        f"since {found.valid_from:%Y-%m-%d}"
    )


def _autonomy(policy: Policy, rule: Rule, *, certified: bool) -> str:
    if policy.autonomy == "observe":
        return _DONE["hold"]
    if rule.then == "close" and (policy.autonomy == "draft" or not certified):
        return "draft: asks before it closes"
    return _DONE[rule.then]


def _then(before: Histories) -> Iterator[str]:
    """What of the period before is not as of its own end."""
    if len(before):
        yield (
            "The period before is measured as of its own end, but wrong closes, drafts, changes of group and logged "
            "time as they are known now: they have had longer to come in."
        )


def _costs(models: tuple[ModelUse, ...]) -> Iterator[CostLine]:
    for use in models:
        detail = f"{use.calls:,} calls, {use.tokens_in:,} tokens in, {use.tokens_out:,} tokens out"
        yield CostLine(
            what=f"Model {use.model}",
            usd=use.micro_usd / MICRO if _priced(use) else None,
            detail=detail if _priced(use) else f"{detail}; no price of it is known",
        )


def _priced(use: ModelUse) -> bool:
    """Where tokens cost nothing, nobody knows what they cost. The local model needs none."""
    return use.micro_usd > 0 or use.tokens_in + use.tokens_out == 0


def _unpriced(models: tuple[ModelUse, ...]) -> Iterator[str]:
    if names := [use.model for use in models if not _priced(use)]:
        yield f"What {' and '.join(names)} costs is not known, and is not in the cost of a ticket."


def _peoples_time(tickets: Histories, usd_per_hour: float | None) -> CostLine:
    """Minutes logged at the desks; they have no price while nobody told what an hour costs."""
    logged = tickets.minutes[np.isfinite(tickets.minutes)]
    if not len(logged):
        return CostLine(what="People's time", usd=None, detail="nobody logged time at the desks")
    detail = f"{logged.sum():,.0f} min, logged on {len(logged):,} of {len(tickets):,} tickets"
    if usd_per_hour is None:
        return CostLine(what="People's time", usd=None, detail=f"{detail}; {UNPRICED}")
    usd = float(logged.sum()) / 60 * usd_per_hour
    return CostLine(
        what="People's time", usd=usd, detail=f"{detail}, at {shown(usd_per_hour, 'usd')} an hour"
    )


def _a_ticket(figures: Iterable[Figure]) -> CostLine:
    """What one ticket costs, as measured, wherever the figure stands besides."""
    found = next(figure for figure in figures if figure.key == COST_PER_TICKET.blank.key)
    interval = shown_interval(found)
    parts = (
        f"95 %: {interval}" if interval else "",
        f"n = {found.n:,}",
        "people's time and the model's price",
    )
    detail = found.unknown if found.value is None else "; ".join(part for part in parts if part)
    return CostLine(what="A ticket, on average", usd=found.value, detail=detail)
