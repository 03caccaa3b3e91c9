"""Replaying: any decision that could be made is made again from its record, whatever came since."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.alerts import AlertState
from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.circumstances import Circumstances
from countersign.decision import Facts, decide
from countersign.ledger import DecisionRecord, Story
from countersign.policy import Policy
from countersign.replay import replay
from countersign.severity import Severity
from countersign.tickets import TicketState
from tests.unit.worlds import assessments, cases, facts, policies, unassessed


def _later(case: Case, more: int) -> Case:
    """The case after its worst night: alerts of all kinds, and a ticket that others took, moved and closed."""
    worse = replace(
        case.lead,
        severity=Severity.CRITICAL,
        service="payments",
        tags=("customer-facing",),
        state=AlertState.FIRING,
    )
    ticket = case.ticket and replace(
        case.ticket, assignee="lena", group="tier-2", state=TicketState.CLOSED, service="payments"
    )
    return replace(
        case, alerts=(*case.alerts, worse), alert_count=case.alert_count + more, firing=1, ticket=ticket
    )


@given(cases(), st.one_of(assessments(), unassessed), policies(), facts(), st.integers(0, 500))
@settings(max_examples=200, deadline=None)
def test_a_decision_comes_out_the_same_whatever_came_since(
    case: Case, said: Assessment | Unassessed, policy: Policy, world: Facts, more: int
) -> None:
    """A close, a change request, a note, a move or a hold: equal to the last word, from what was kept of it."""
    decision = decide(case, said, policy, world)
    record = DecisionRecord(
        revision=1, at=world.now, policy_version=policy.version, policy_hash=policy.fingerprint,
        autonomy=policy.autonomy, assessment=said, decision=decision, calls=(), facts=world,
        circumstances=Circumstances.of(case, said, world), alerts=case.alert_count,
    )  # fmt: skip
    story = Story(
        case=_later(case, more), stage="decided", decisions=(record,), actions=(), corrections=(), audit=()
    )
    replayed = replay(story, policy)
    assert (replayed.equal, replayed.differences, replayed.decision) == (True, (), decision)
