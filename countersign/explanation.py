"""Explanations: why a case was decided as it was, rule by rule, for someone who does not read YAML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from countersign.assessment import Assessment, Unassessed, sureness
from countersign.cases import Case
from countersign.chances import risk_figure
from countersign.decision import (
    Facts,
    Outcome,
    decide,
    destination,
    effective_severity,
    matching_rule,
    mismatches,
    objections,
    too_doubtful,
)
from countersign.lanes import Lane
from countersign.ledger import DecisionRecord
from countersign.policy import Policy, Rule
from countersign.policy.phrases import conditions, consequence, percent
from countersign.severity import Severity

_OUTCOMES: dict[Outcome, str] = {
    Outcome.CLOSE: "close",
    Outcome.DRAFT_CHANGE: "draft a change request",
    Outcome.DRAFT_NOTE: "draft a note",
    Outcome.ROUTE: "give it to people",
    Outcome.HOLD: "hold",
}
_INTENTS = {"create_ticket": "a new ticket", "note": "a note", "draft_change": "a change request"}


def explain(case: Case, assessment: Assessment | Unassessed, policy: Policy, facts: Facts) -> Iterator[str]:
    """One line a thought: severity, every rule, every objection, the lane, and what came of it."""
    yield f"Policy {policy.use_case}, version {policy.version} ({policy.fingerprint}), autonomy {policy.autonomy}."
    if isinstance(assessment, Unassessed):
        yield f"Nobody assessed the case: {assessment.because}. So no rule was asked; people get it."
    else:
        yield from _by_rules(case, assessment, policy, facts)
    yield _lane(facts)
    decision = decide(case, assessment, policy, facts)
    would = f" (without that: {_OUTCOMES[decision.would]})" if decision.would else ""
    yield f'Decision: {_OUTCOMES[decision.outcome]}{would}, by "{decision.rule}".'
    yield from (f"  because {reason}" for reason in decision.because)
    wrote = [
        _INTENTS.get(intent.kind, intent.kind)
        + (f" to {intent.group}" if intent.group else "")
        + (", if approved" * intent.needs_approval)
        for intent in decision.intents
    ]
    yield f"Written: {'; '.join(wrote) or 'nothing'}."


def _by_rules(case: Case, assessment: Assessment, policy: Policy, facts: Facts) -> Iterator[str]:
    severity = effective_severity(case, assessment)
    yield (
        f"Severity {severity}: the sources say {case.severity_floor}, the model says {assessment.severity}; "
        "the worse counts, and a model never lowers it."
    )
    risk = risk_figure(assessment.risk)
    yield f"The model says {assessment.category} with a risk of {risk} ({sureness(assessment)})."
    found = matching_rule(case, assessment, policy)
    asked = True
    for rule in policy.rules:
        yield _rule(rule, case, assessment, severity, asked=asked)
        if rule is found:
            asked = False
            yield from _against(rule, case, assessment, policy, facts)


def _against(found: Rule, case: Case, assessment: Assessment, policy: Policy, facts: Facts) -> Iterator[str]:
    """What keeps the rule that matched from what it says, below it."""
    if found.then == "close":
        against = tuple(objections(case, assessment, found, policy, facts))
        for objection in against:
            final = "; not even offered for approval" if objection.final else ""
            yield f"  against closing without a person: {objection.because}{final}."
        if not against:
            yield "  nothing speaks against closing without a person."
    elif doubt := too_doubtful(assessment):
        if found.then == "draft_change":
            yield f"  no change request is drafted: {doubt}."
        elif group := destination(found, case, policy):
            yield f"  it is not given to {group}: {doubt}."


def _rule(rule: Rule, case: Case, assessment: Assessment, severity: Severity, *, asked: bool) -> str:
    head = f'Rule "{rule.name}" (when {conditions(rule.when)}, {consequence(rule)})'
    why = mismatches(rule, case, assessment, severity)
    if why:
        return f"{head}: does not match, because {' and '.join(why)}."
    return f"{head}: matches." if asked else f"{head}: would match, but a rule above matched first."


def _lane(facts: Facts) -> str:
    share = percent(facts.control_share)
    if facts.lane is Lane.CONTROL:
        return f"Lane: control (drawn with a probability of {share}): people work without seeing the verdict."
    return f"Lane: treated (the control lane draws {share})."


def as_decided(case: Case, record: DecisionRecord) -> tuple[Case, Facts]:
    """The case and the facts as they were when it was decided: its ticket may have been closed since.

    A decision of a release that kept no facts gets the cautious ones.
    """
    facts = record.facts or Facts(now=record.at)
    case = replace(case, alert_count=record.alerts or case.alert_count)
    then, ticket = record.circumstances, case.ticket
    if then is None or ticket is None or then.ticket is None:
        return case, facts
    somebody = ticket.assignee or "somebody"
    ticket = replace(ticket, state=then.ticket, group=then.group, assignee=somebody if then.assigned else "")
    return replace(case, ticket=ticket, firing=0 if then.recovered else max(1, case.firing)), facts
