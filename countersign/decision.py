"""The decision: what the policy lets happen to a case. This is the only place where that is decided.

`decide` is pure and total: it reads no clock, opens no socket and always answers. A model's words reach it as
values of a closed set, so text can change what is said about a case, never what is allowed.

How it thinks, in the order of `decide`:

1. Nobody assessed the case            -> people get it, with the reason.
2. The severity is the worse of what the source and the model say.
3. The first rule that matches decides what is wanted.
4. A close is wanted: every objection is collected. Any objection turns the close into a draft; where a person
   may overrule it, the draft offers the close for approval. A change request is wanted, or that another group gets
   the ticket: that is done where the answer is more likely right than wrong; else people get a note. What is as
   likely wrong as right is not offered either: who approves in a hurry is the last guard.
5. Autonomy turns what is wanted into intents: `observe` writes nothing, `draft` asks, `act` does.
6. Stopped, control lane, no ticket, or a ticket that people have finished: nothing is written, and what would
   have been done is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.chances import risk_figure
from countersign.lanes import Lane
from countersign.policy import Policy, Rule, Threshold
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.tickets import TicketState


class Outcome(StrEnum):
    CLOSE = "close"
    DRAFT_CHANGE = "draft_change"
    DRAFT_NOTE = "draft_note"
    ROUTE = "route"
    HOLD = "hold"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the world says at the moment of deciding; a fact that could not be had takes its cautious value.

    `control_share` is the probability with which a case like it goes into the control lane. `firing` is the
    source's own answer when asked again, not a text. `certified` maps a category to the largest
    risk that its certificate covers; a category that is not in it is not certified. `demoted` names rules whose
    promise was broken.
    """

    now: datetime
    lane: Lane = Lane.TREATED
    control_share: float = 0.0
    firing: Firing = Firing.UNKNOWN
    closes_last_hour: int = 0
    closes_of_service_today: int = 0
    first_seen: bool = True
    certified: Mapping[str, float] = field(default_factory=dict)
    demoted: frozenset[str] = frozenset()
    stopped: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """One effect that the policy allows; `plans.py` fills in its words."""

    kind: Literal["create_ticket", "note", "close", "route", "draft_change"]
    group: str = ""
    needs_approval: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What happens to a case, by which rule and why (`because`: sentences, the weightiest first).

    `would` is what would have happened if `outcome` is a HOLD for a reason outside the rules.
    """

    outcome: Outcome
    rule: str
    because: tuple[str, ...]
    intents: tuple[Intent, ...] = ()
    severity: Severity
    lane: Lane
    would: Outcome | None = None

    @property
    def needs_approval(self) -> bool:
        return any(intent.needs_approval for intent in self.intents)

    @property
    def closes(self) -> bool:
        """True if a ticket is closed without a person."""
        return any(intent.kind == "close" and not intent.needs_approval for intent in self.intents)


def decide(case: Case, assessment: Assessment | Unassessed, policy: Policy, facts: Facts) -> Decision:
    """What the policy lets happen to this case now."""
    if isinstance(assessment, Unassessed):
        decision = _given_to_people(case, assessment, policy, facts)
    else:
        decision = _by_rule(case, assessment, policy, facts)
    for reason in _reasons_to_hold(case, policy, facts):
        return replace(
            decision,
            outcome=Outcome.HOLD,
            intents=(),
            because=(reason, *decision.because),
            would=decision.outcome,
        )
    return _with_ticket(case, decision)


def effective_severity(case: Case, assessment: Assessment) -> Severity:
    """The worse of what the sources and the model say: a model may raise a severity, never lower it."""
    return max(case.severity_floor, assessment.severity)


def matching_rule(case: Case, assessment: Assessment, policy: Policy) -> Rule:
    """The first rule that matches. The last rule of a loaded policy matches everything."""
    severity = effective_severity(case, assessment)
    return next((r for r in policy.rules if not mismatches(r, case, assessment, severity)), policy.rules[-1])


def mismatches(rule: Rule, case: Case, assessment: Assessment, severity: Severity) -> tuple[str, ...]:
    """Why a rule does not match, as sentences; empty if it does."""
    when = rule.when
    tests = (
        (
            when.category is None or assessment.category in when.category,
            f"the category is {assessment.category}",
        ),
        (when.severity is None or when.severity.covers(severity), f"the severity is {severity}"),
        (
            when.services is None or case.service in when.services,
            f"the service is {case.service or 'unknown'}",
        ),
        (when.tags is None or not case.tags.isdisjoint(when.tags), "none of its tags is on the case"),
        (when.source is None or case.lead.source in when.source, f"the source is {case.lead.source}"),
        (
            when.recovered is None or when.recovered == (case.firing == 0 and not case.born_in_desk),
            "the alerts have all recovered"
            if case.firing == 0
            else f"{case.firing} of its alerts have not recovered",
        ),
    )
    return tuple(reason for holds, reason in tests if not holds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Objection:
    """Why a ticket is not closed without a person. `final`: not offered for approval either."""

    because: str
    final: bool = False


def wanted(case: Case, assessment: Assessment | Unassessed, policy: Policy, facts: Facts) -> bool:
    """Whether nothing but a certificate can stand between this case and a close without a person.

    These are the cases that a certificate is about: its labels come from them alone.
    """
    if isinstance(assessment, Unassessed):
        return False
    rule = matching_rule(case, assessment, policy)
    if rule.then != "close":
        return False
    promised = replace(facts, certified={assessment.category: 1.0}, demoted=frozenset())
    return not any(objections(case, assessment, rule, policy, promised))


# At this risk an answer is as likely wrong as right.
EVEN_ODDS = 0.5
# Categories that claim something about now, which only the source can confirm.
CLAIMS_QUIET = frozenset({"recovered", "flapping"})


def objections(
    case: Case, assessment: Assessment, rule: Rule, policy: Policy, facts: Facts
) -> Iterator[Objection]:
    """Everything that speaks against closing this case without a person, in the order a reader wants it."""
    severity = effective_severity(case, assessment)
    yield from _never(case, severity, policy, facts)
    yield from _still_firing(case, assessment, facts)
    yield from _threshold(assessment, rule, facts)
    if rule.name in facts.demoted:
        yield Objection(because=f'rule "{rule.name}" has lost its autonomy and drafts until it has it back')
    if policy.never_close.first_seen and facts.first_seen:
        yield Objection(because="nothing like it has been seen before")
    if case.ticket and case.ticket.assignee:
        yield Objection(because="somebody is working on the ticket")
    limits = policy.limits
    if facts.closes_last_hour >= limits.closes_per_hour:
        yield Objection(because=f"the limit of {limits.closes_per_hour} closes per hour is used up")
    if facts.closes_of_service_today >= limits.closes_per_service_per_day:
        yield Objection(
            because=f"the limit of {limits.closes_per_service_per_day} closes per day is used up for "
            f"{case.service or 'tickets without a service'}"
        )


def _never(case: Case, severity: Severity, policy: Policy, facts: Facts) -> Iterator[Objection]:
    never = policy.never_close
    if never.severity is not None and severity >= never.severity.at_least:
        yield Objection(because=f"severity {severity} is never closed without a person", final=True)
    if case.service in never.services:
        yield Objection(because=f"service {case.service} is never closed without a person", final=True)
    for tag in sorted(case.tags.intersection(never.tags)):
        yield Objection(because=f"a ticket tagged {tag} is never closed without a person", final=True)
    for name in never.calendars:
        if any(window.covers(facts.now) for window in policy.calendars[name]):
            yield Objection(because=f"nothing is closed during {name}", final=True)
    if case.alert_count >= policy.storms.at_least:
        yield Objection(because=f"{case.alert_count} alerts are a storm, which a person looks at", final=True)


def _still_firing(case: Case, assessment: Assessment, facts: Facts) -> Iterator[Objection]:
    """The source's word alone counts. A ticket that people opened has no source to ask."""
    if case.born_in_desk:
        if assessment.category in CLAIMS_QUIET:
            yield Objection(
                because=f"it reads as {assessment.category}, but there is no source to confirm it"
            )
    elif facts.firing is Firing.YES:
        yield Objection(because=f"{case.lead.source} says that it still fires", final=True)
    elif facts.firing is Firing.UNKNOWN:
        yield Objection(because=f"{case.lead.source} could not say whether it still fires")
    elif assessment.category == "recovered" and case.firing:
        # Quiet at this moment is not recovered: that is an event of the source, which no text can stand for.
        yield Objection(because=f"it reads as recovered, but {case.lead.source} told of no recovery")


def _threshold(assessment: Assessment, rule: Rule, facts: Facts) -> Iterator[Objection]:
    threshold = rule.threshold
    against = None if threshold is None else _above(assessment, threshold, facts)
    if against:
        yield Objection(because=against, final=bool(too_doubtful(assessment)))


def _above(assessment: Assessment, threshold: Threshold, facts: Facts) -> str:
    """How the risk is above a threshold; "" where it is not."""
    risk = risk_figure(assessment.risk)
    if threshold.risk_below is not None:
        below = assessment.risk < threshold.risk_below
        return "" if below else f"the risk {risk} is not below {threshold.risk_below:g}"
    certified = facts.certified.get(assessment.category)
    if certified is None:
        promise = f"at most {threshold.wrong_closes_at_most:.1%} wrong closes"
        return f'"{promise}" is not certified yet for {assessment.category}'
    covered = assessment.risk <= certified
    return "" if covered else f"the risk {risk} is above the certified {risk_figure(certified)}"


def destination(rule: Rule, case: Case, policy: Policy) -> str:
    """The group that a rule gives this ticket to; "" where it stays with the people who have it."""
    if rule.then == "hold":
        return ""
    group = rule.route or (policy.escalation.route_to if rule.then == "route" else None)
    return group if group and not (case.ticket and case.ticket.group == group) else ""


def too_doubtful(assessment: Assessment) -> str:
    """Why no more than a note is written by itself; "" where it is more likely right than wrong."""
    if assessment.risk < EVEN_ODDS:
        return ""
    return f"with a risk of {risk_figure(assessment.risk)} it is as likely not {assessment.category}"


def _by_rule(case: Case, assessment: Assessment, policy: Policy, facts: Facts) -> Decision:
    rule = matching_rule(case, assessment, policy)
    doubt, group = too_doubtful(assessment), destination(rule, case, policy)
    outcome, offered = Outcome(rule.then), False
    because: tuple[str, ...] = (f'rule "{rule.name}" matches',)
    if outcome is Outcome.CLOSE:
        against = tuple(objections(case, assessment, rule, policy, facts))
        if against:
            outcome = Outcome.DRAFT_NOTE
            offered = not any(objection.final for objection in against)
            because = (*(objection.because for objection in against), *because)
    elif outcome is Outcome.DRAFT_CHANGE and doubt:
        outcome, because = Outcome.DRAFT_NOTE, (f"no change request is drafted: {doubt}", *because)
    elif doubt and group:
        outcome, because = Outcome.DRAFT_NOTE, (f"it is not given to {group}: {doubt}", *because)
    return Decision(
        outcome=outcome,
        rule=rule.name,
        because=because,
        intents=_intents(outcome, policy, group="" if doubt else group, offered=offered),
        severity=effective_severity(case, assessment),
        lane=facts.lane,
    )


def _intents(outcome: Outcome, policy: Policy, *, group: str, offered: bool) -> tuple[Intent, ...]:
    """What is written for an outcome. Short of `act`, whatever goes beyond a draft waits for a person."""
    asks = policy.autonomy != "act"
    note, close = Intent(kind="note"), Intent(kind="close", needs_approval=asks or offered)
    moves = (Intent(kind="route", group=group, needs_approval=asks),) if group else ()
    by_outcome: dict[Outcome, tuple[Intent, ...]] = {
        Outcome.CLOSE: (note, close) if close.needs_approval else (close,),
        Outcome.DRAFT_CHANGE: (Intent(kind="draft_change"), note, *moves),
        Outcome.DRAFT_NOTE: (note, close) if offered else (note, *moves),
        Outcome.ROUTE: (note, *moves),
        Outcome.HOLD: (),
    }
    return by_outcome[outcome]


def _given_to_people(case: Case, unassessed: Unassessed, policy: Policy, facts: Facts) -> Decision:
    """No assessment: the ticket goes where the policy's own words send it, so no approval is needed."""
    group = policy.escalation.target(unassessed.reason)
    moves: tuple[Intent, ...] = ()
    if group and not (case.ticket and case.ticket.group == group):
        moves = (Intent(kind="route", group=group),)
    return Decision(
        outcome=Outcome.ROUTE,
        rule=f"escalation.{unassessed.reason}",
        because=(unassessed.because,),
        intents=(Intent(kind="note"), *moves),
        severity=case.severity_floor,
        lane=facts.lane,
    )


def _reasons_to_hold(case: Case, policy: Policy, facts: Facts) -> Iterator[str]:
    if facts.stopped:
        yield "Countersign is stopped; `countersign resume` lets it write again"
    if policy.autonomy == "observe":
        yield "the policy's autonomy is observe: it is recorded, nothing is written"
    if case.ticket is None and policy.scope.tickets.create == "never":
        yield "it has no ticket, and the policy says that none is opened"
    if case.ticket is not None and case.ticket.state is not TicketState.OPEN:
        yield f"{case.ticket.ref.key} is {case.ticket.state} already"
    if facts.lane is Lane.CONTROL:
        yield "it is in the control lane: people work on it without seeing the verdict"


def _with_ticket(case: Case, decision: Decision) -> Decision:
    """A case without a ticket gets one first, if anything is to be written at all."""
    if case.ticket is not None or not decision.intents:
        return decision
    return replace(decision, intents=(Intent(kind="create_ticket"), *decision.intents))
