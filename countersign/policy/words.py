"""A policy told in plain words, for someone who does not read YAML."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.policy.durations import format_duration
from countersign.policy.phrases import conditions, consequence, listed, percent, say
from countersign.policy.schema import Policy

_AUTONOMY = {
    "observe": "It only records what it would do, and writes nowhere.",
    "draft": "It writes drafts, and a person approves each close and each change.",
    "act": "It closes within the rules by itself, and drafts the rest.",
}


def describe(policy: Policy) -> list[str]:
    """The policy in sentences, in the order in which its questions are asked."""
    return [
        f"{policy.use_case}, version {policy.version} ({policy.fingerprint}): {policy.purpose}",
        _AUTONOMY[policy.autonomy],
        *_scope(policy),
        *_model(policy),
        *(f"Rule {rule.name}: when {conditions(rule.when)}, {consequence(rule)}." for rule in policy.rules),
        *_boundaries(policy),
        *_people(policy),
        *_report(policy),
    ]


def _scope(policy: Policy) -> Iterator[str]:
    scope = policy.scope
    tickets = f"tickets of {scope.desk}" + (
        f" that match {scope.tickets.match}" if scope.tickets.match else ""
    )
    create = "opens one where it is missing" if scope.tickets.create == "when_missing" else "never opens one"
    yield f"It reads alerts from {listed(scope.sources)}, works in {tickets}, and {create}."
    if scope.services is not None:
        yield f"Only these services: {listed(scope.services)}."
    if scope.require:
        yield f"Without {listed(scope.require, 'or')} a case goes to people unassessed."


def _model(policy: Policy) -> Iterator[str]:
    model, data = policy.model, policy.scope.data
    hidden = f"with {listed(data.redact)} masked" if data.redact else "with nothing masked"
    yield f"The model sees {listed(data.visible)}, {hidden}."
    yield f"Asked in this order: {', '.join(model.candidates)} ({model.question} {model.prompt})."
    if model.samples > 1:
        yield f"A language model is asked {model.samples} times about each case; what most of its answers say counts."
    if model.sure_enough_locally is not None:
        sure = percent(model.sure_enough_locally)
        yield f"The embedded model answers alone where labels certify that {sure} of its answers are right."
    if model.budget.usd_per_day is not None:
        then = {"route": "then people get the tickets", "local": "then the embedded model answers"}
        yield f"It may cost {model.budget.usd_per_day} US dollars a day; {then[model.budget.when_spent]}."


def _boundaries(policy: Policy) -> Iterator[str]:
    never = policy.never_close
    parts = (
        never.severity and f"from severity {never.severity.at_least} upwards",
        never.services and f"for {listed(never.services, 'or')}",
        never.tags and f"with the tag {listed(never.tags, 'or')}",
        never.calendars and f"during {listed(never.calendars, 'or')}",
        never.first_seen and "what has not been seen before",
        f"in a storm of {policy.storms.at_least} alerts within {format_duration(policy.storms.window)}",
    )
    yield f"It never closes {', '.join(part for part in parts if part)}."
    limits = policy.limits
    yield (
        f"It closes at most {limits.closes_per_hour} tickets an hour, "
        f"and {limits.closes_per_service_per_day} per service and day."
    )
    raised = policy.control_lane_raised or 0.0
    more = (
        f" ({percent(raised)} near a threshold and for what is new)" if raised > policy.control_lane else ""
    )
    yield f"In {percent(policy.control_lane)} of cases{more} people work without seeing its verdict."


def _people(policy: Policy) -> Iterator[str]:
    approvals, who = policy.approvals, policy.approvals.approvers
    groups = tuple(f"the group {group}" for group in (who.servicenow_group, who.jira_group) if group)
    taker = policy.escalation.route_to if approvals.then == "route" else None
    after = f"is dropped, and a ticket that nobody has goes to {taker}" if taker else "is dropped"
    if who.nobody:
        yield "Nobody is named to approve drafts."
    else:
        yield (
            f"Drafts are approved by {listed((*groups, *who.people), 'or')}; "
            f"after {format_duration(approvals.expires_after)} a draft {after}."
        )
    who_activates = listed(policy.rights.retrain, "or") if policy.rights.retrain else "whoever runs it"
    yield (
        f"What {policy.feedback.quorum} people, or one approver, say of a kind of trouble may be learnt, "
        f"once {who_activates} has activated it."
    )
    if policy.rollback:
        yield (
            f"{policy.rollback.owner} can undo everything within {format_duration(policy.rollback.within)}, "
            f"with {policy.rollback.per_minute} writes a minute."
        )
    rights = policy.rights
    named = (
        (rights.change, "sign a new version"),
        (rights.promote, "sign for more autonomy"),
        (rights.roll_back, "take back what was done"),
    )
    if any(people for people, _ in named):
        told = (f"{listed(people, 'or') if people else 'nobody'} may {what}" for people, what in named)
        yield f"Where keys are configured, {', '.join(told)}."
    missing = policy.owners.missing
    yield f"Owners still missing: {listed(missing)}." if missing else f"Owners: {say(policy.owners)[1:-1]}."
    if policy.worst_case:
        yield f"The worst case: {policy.worst_case}"


def _report(policy: Policy) -> Iterator[str]:
    report = policy.report
    if report is None:
        return
    record = f", and put on {report.record}" if report.record else ""
    yield f"Its report is mailed to {listed(report.to)}, {report.when} ({report.zone}){record}."
    if report.usd_per_hour is None:
        yield "What an hour of people's time costs is not told: the cost of a ticket stays unknown."
    else:
        yield f"In it an hour of people's time costs {say(report.usd_per_hour)} US dollars."
