"""Replay: a recorded decision made again from its record, offline; equal when nothing has changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from countersign.alerts import AlertState
from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.chances import risk_figure
from countersign.circumstances import Circumstances
from countersign.decision import Decision, decide
from countersign.errors import NotFound
from countersign.ledger import DecisionRecord, Story
from countersign.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """A decision as it was recorded and as it is made now, with what differs as (what, then, now)."""

    case_id: str
    revision: int
    then: str
    now: str
    decision: Decision
    differences: tuple[tuple[str, str, str], ...]

    @property
    def equal(self) -> bool:
        return self.then == self.now


def replay(
    story: Story, policy: Policy, assessment: Assessment | Unassessed | None = None, *, revision: int = 0
) -> Replayed:
    """The newest decision of a case (or that of a revision) made again, under this policy.

    `assessment` stands in for the recorded one, as when another model was asked. Raises NotFound where there is no
    decision, or where it was recorded by a release that did not keep what it rested on.
    """
    record = recorded(story, revision)
    if record.facts is None or record.circumstances is None:
        raise NotFound(
            f"Decision {record.revision} of {story.case.id} was recorded without what it rested on; "
            "only decisions of this release on can be replayed."
        )
    case = as_it_was(story.case, record.circumstances, record.alerts)
    decision = decide(case, assessment or record.assessment, policy, record.facts)
    return Replayed(
        case_id=story.case.id,
        revision=record.revision,
        then=decision_hash(record.decision),
        now=decision_hash(decision),
        decision=decision,
        differences=tuple(_differences(record, decision, assessment, policy)),
    )


def policy_then(story: Story, text: Callable[[str], str | None], *, revision: int = 0) -> Policy | None:
    """The policy as it was when it made the decision, by what the ledger kept of it; None where it kept nothing."""
    body = text(recorded(story, revision).policy_hash)
    return None if body is None else Policy.model_validate_json(body)


def decision_hash(decision: Decision) -> str:
    """12 hex characters over everything that a decision says."""
    told = json.dumps(dataclasses.asdict(decision), sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def as_it_was(case: Case, then: Circumstances, alerts: int) -> Case:
    """The case with what `decide` reads of it put back to how it was; its words are not read.

    `alerts`: how many it had, 0 where that is not known.
    """
    lead = replace(
        case.lead,
        source=then.source,
        severity=then.severity,
        service=then.service,
        tags=tuple(sorted(then.tags)),
        state=AlertState.RECOVERED if then.recovered else AlertState.FIRING,
    )
    ticket = case.ticket if then.ticket is not None else None
    if ticket is not None and then.ticket is not None:
        assignee = (ticket.assignee or "somebody") if then.assigned else ""
        ticket = replace(ticket, state=then.ticket, group=then.group, assignee=assignee, service=then.service)
    firing = 0 if then.recovered else max(1, case.firing)
    count = alerts or case.alert_count
    return replace(case, alerts=(lead,), alert_count=count, firing=firing, ticket=ticket)


def recorded(story: Story, revision: int) -> DecisionRecord:
    """The decision of a revision, 0 for the newest. Raises NotFound where there is none."""
    found = [one for one in story.decisions if revision in (0, one.revision)]
    if not found:
        raise NotFound(f"Case {story.case.id} has no such decision; `countersign case show` lists them.")
    return found[-1]


def _differences(
    record: DecisionRecord, now: Decision, assessment: Assessment | Unassessed | None, policy: Policy
) -> Iterator[tuple[str, str, str]]:
    then = record.decision
    pairs = [
        (
            "policy",
            f"v{record.policy_version} {record.policy_hash}",
            f"v{policy.version} {policy.fingerprint}",
        ),
        ("assessment", _told(record.assessment), _told(assessment or record.assessment)),
        ("outcome", then.outcome.value, now.outcome.value),
        ("rule", then.rule, now.rule),
        ("because", "; ".join(then.because), "; ".join(now.because)),
        ("without a person", _alone(then), _alone(now)),
        ("severity", str(then.severity), str(now.severity)),
    ]
    yield from ((what, before, after) for what, before, after in pairs if before != after)


def _told(said: Assessment | Unassessed) -> str:
    if isinstance(said, Unassessed):
        return f"not assessed ({said.reason})"
    return f"{said.model}: {said.category}, {said.severity}, risk {risk_figure(said.risk)}"


def _alone(decision: Decision) -> str:
    return ", ".join(intent.kind for intent in decision.intents if not intent.needs_approval) or "nothing"
