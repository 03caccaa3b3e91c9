"""decide: what the policy lets happen, whatever a model says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.decision import Decision, Facts, Outcome, decide, effective_severity, matching_rule
from countersign.lanes import Lane
from countersign.policy import Policy, Rule
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.tickets import TicketState
from tests.unit.builders import ASSESSMENT, CALM, CASE, TICKET, shipped, with_severity
from tests.unit.worlds import assessments, cases, examples, facts, policies, unassessed

anything = st.one_of(assessments(), unassessed)


def _kinds(decision: Decision) -> list[str]:
    return [intent.kind for intent in decision.intents]


def test_the_worlds_hold_every_outcome() -> None:
    """Several of each, and closes without a person above all: what is said of any world is said about them."""
    seen: Counter[str] = Counter()

    @given(cases(), assessments(), policies(), facts())
    @settings(max_examples=150, derandomize=True)
    def look(case: Case, assessment: Assessment, policy: Policy, world: Facts) -> None:
        decision = decide(case, assessment, policy, world)
        seen.update([decision.outcome, *(["by itself"] * decision.closes)])

    look()
    assert set(seen) == {*Outcome, "by itself"}
    assert min(seen.values()) >= 3
    assert seen["by itself"] >= 20


@given(cases(), anything, policies(), facts())
@settings(max_examples=examples(60))
def test_decide_always_answers(
    case: Case, assessment: Assessment | Unassessed, policy: Policy, world: Facts
) -> None:
    """Whatever comes in, a decision comes out, with a rule and at least one reason."""
    decision = decide(case, assessment, policy, world)
    assert decision.rule
    assert decision.because
    assert all(decision.because)


@given(cases(), assessments(), policies(), facts())
@settings(max_examples=examples(150))
def test_a_close_without_a_person_has_every_permission(
    case: Case, assessment: Assessment, policy: Policy, world: Facts
) -> None:
    """Each closed ticket was allowed by autonomy, rule, floors, source, limits, ticket and lane at once."""
    decision = decide(case, assessment, policy, world)
    severity, rule, never = (
        effective_severity(case, assessment),
        matching_rule(case, assessment, policy),
        policy.never_close,
    )
    permissions = (
        policy.autonomy == "act",
        rule.then == "close",
        never.severity is None or severity < never.severity.at_least,
        case.service not in never.services,
        case.tags.isdisjoint(never.tags),
        case.born_in_desk or world.firing is Firing.NO,
        case.alert_count < policy.storms.at_least,
        not (never.first_seen and world.first_seen),
        rule.name not in world.demoted,
        _low_enough(assessment, rule, world),
        world.closes_last_hour < policy.limits.closes_per_hour,
        world.closes_of_service_today < policy.limits.closes_per_service_per_day,
        not world.stopped,
        world.lane is Lane.TREATED,
        case.ticket is None or (case.ticket.state is TicketState.OPEN and not case.ticket.assignee),
    )
    assert not decision.closes or all(permissions)


def _low_enough(assessment: Assessment, rule: Rule, world: Facts) -> bool:
    """Below what the rule says, or within what its promise is certified for."""
    below = rule.threshold and rule.threshold.risk_below
    certified = world.certified.get(assessment.category, -1.0)
    return assessment.risk < below if below else assessment.risk <= certified


@given(cases(), assessments(), assessments(), policies(), facts())
@settings(max_examples=examples(60))
def test_no_answer_opens_more_than_the_policy_has(
    case: Case, one: Assessment, other: Assessment, policy: Policy, world: Facts
) -> None:
    """What two different answers lead to is always something a rule of the policy names, for the same case."""
    allowed = {
        "close": {"note", "close", "route", "create_ticket"},
        "draft_change": {"draft_change", "note", "route", "create_ticket"},
        "draft_note": {"note", "route", "create_ticket"},
        "route": {"note", "route", "create_ticket"},
        "hold": set(),
    }
    may = set().union(*(allowed[rule.then] for rule in policy.rules))
    assert set(_kinds(decide(case, one, policy, world))) <= may
    assert set(_kinds(decide(case, other, policy, world))) <= may


@given(cases(), assessments(), policies(), facts(), st.sampled_from(Severity))
@settings(max_examples=examples(60))
def test_a_severity_floor_holds_whatever_the_model_says(
    case: Case, assessment: Assessment, policy: Policy, world: Facts, said: Severity
) -> None:
    """A source that says `high` is not talked down: neither closed nor offered for closing."""
    floor = {"severity": {"at_least": "high"}}
    policy = policy.model_copy(update={"never_close": policy.never_close.model_validate(floor)})
    loud = replace(case, alerts=(*case.alerts, replace(case.alerts[-1], severity=Severity.HIGH)))
    decision = decide(loud, replace(assessment, severity=said), policy, world)
    assert decision.severity >= Severity.HIGH
    assert "close" not in _kinds(decision)


@given(cases(), anything, policies(), facts())
@settings(max_examples=examples(50))
def test_observe_and_the_control_lane_write_nothing(
    case: Case, assessment: Assessment | Unassessed, policy: Policy, world: Facts
) -> None:
    """Observing, stopped or in the control lane: no intent at all, and what would have been done is kept."""
    observing = policy.model_copy(update={"autonomy": "observe"})
    for decision in (
        decide(case, assessment, observing, world),
        decide(case, assessment, policy, replace(world, lane=Lane.CONTROL)),
        decide(case, assessment, policy, replace(world, stopped=True)),
    ):
        assert (decision.outcome, decision.intents) == (Outcome.HOLD, ())
        assert decision.would is not None


@given(cases(), anything, policies(), facts())
@settings(max_examples=examples(50))
def test_short_of_act_everything_beyond_a_draft_waits_for_a_person(
    case: Case, assessment: Assessment | Unassessed, policy: Policy, world: Facts
) -> None:
    """With autonomy `draft`, a close is never done without approval, and a move only by the escalation's words."""
    asking = policy.model_copy(update={"autonomy": "draft"})
    decision = decide(case, assessment, asking, world)
    unasked = [intent for intent in decision.intents if not intent.needs_approval]
    assert "close" not in [intent.kind for intent in unasked]
    assert isinstance(assessment, Unassessed) or "route" not in [intent.kind for intent in unasked]


def test_noise_that_has_gone_quiet_is_closed() -> None:
    """The shipped policy closes an informational ticket below its threshold."""
    decision = decide(CASE, ASSESSMENT, shipped(), CALM)
    assert (decision.outcome, _kinds(decision), decision.rule) == (Outcome.CLOSE, ["close"], "noise")


@pytest.mark.parametrize(
    ("risk", "outcome", "kinds"),
    [
        (0.4999, Outcome.DRAFT_CHANGE, ["draft_change", "note"]),
        (0.5, Outcome.DRAFT_NOTE, ["note"]),
    ],
)
def test_a_change_request_is_drafted_where_the_answer_is_more_likely_right(
    risk: float, outcome: Outcome, kinds: list[str]
) -> None:
    """At even odds people get a note, which says why."""
    decision = decide(CASE, replace(ASSESSMENT, category="capacity", risk=risk), shipped(), CALM)
    assert (decision.outcome, _kinds(decision), decision.rule) == (outcome, kinds, "capacity")
    said = "no change request is drafted: with a risk of 0.5 it is as likely not capacity"
    assert (said in decision.because) == (outcome is Outcome.DRAFT_NOTE)


@pytest.mark.parametrize("then", ["draft_note", "route"])
@pytest.mark.parametrize(("risk", "moved"), [(0.4999, ["security-on-call"]), (0.5, [])])
def test_a_group_gets_a_ticket_where_the_answer_is_more_likely_right(
    then: Literal["draft_note", "route"], risk: float, moved: list[str]
) -> None:
    """At even odds the ticket stays where it is, with a note that says so, and the group is not offered either."""
    rule = Rule(name="theirs", then=then, route="security-on-call")
    policy = shipped().model_copy(update={"rules": (rule,)})
    decision = decide(CASE, replace(ASSESSMENT, category="security", risk=risk), policy, CALM)
    assert [intent.group for intent in decision.intents if intent.kind == "route"] == moved
    assert decision.intents[0].kind == "note"
    said = "it is not given to security-on-call: with a risk of 0.5 it is as likely not security"
    assert (said in decision.because, decision.outcome is Outcome.DRAFT_NOTE) == (
        not moved,
        not moved or then == "draft_note",
    )


OBJECTIONS = {
    "still firing": (CASE, ASSESSMENT, replace(CALM, firing=Firing.YES), "says that it still fires", False),
    "silent source": (CASE, ASSESSMENT, replace(CALM, firing=Firing.UNKNOWN), "could not say", True),
    "too risky": (CASE, replace(ASSESSMENT, risk=0.1), CALM, "the risk 0.1 is not below 0.1", True),
    "as likely wrong": (CASE, replace(ASSESSMENT, risk=0.5), CALM, "the risk 0.5 is not below 0.1", False),
    "protected service": (
        replace(CASE, alerts=(replace(CASE.lead, service="payments"),)),
        ASSESSMENT,
        CALM,
        "service payments is never closed",
        False,
    ),
    "protected tag": (
        replace(CASE, alerts=(replace(CASE.lead, tags=("customer-facing",)),)),
        ASSESSMENT,
        CALM,
        "tagged customer-facing is never closed",
        False,
    ),
    "freeze": (
        CASE,
        ASSESSMENT,
        replace(CALM, now=CALM.now.replace(month=12, day=24)),
        "nothing is closed during year-end-freeze",
        False,
    ),
    "storm": (replace(CASE, alert_count=50), ASSESSMENT, CALM, "50 alerts are a storm", False),
    "hourly limit": (
        CASE,
        ASSESSMENT,
        replace(CALM, closes_last_hour=200),
        "closes per hour is used up",
        True,
    ),
    "service limit": (
        CASE,
        ASSESSMENT,
        replace(CALM, closes_of_service_today=50),
        "closes per day is used up for reporting",
        True,
    ),
    "never seen": (CASE, ASSESSMENT, replace(CALM, first_seen=True), "nothing like it has been seen", True),
    "somebody is on it": (
        replace(CASE, ticket=replace(TICKET, assignee="dana")),
        ASSESSMENT,
        CALM,
        "somebody is working on the ticket",
        True,
    ),
    "demoted": (CASE, ASSESSMENT, replace(CALM, demoted=frozenset({"noise"})), "has lost its autonomy", True),
}


@pytest.mark.parametrize("name", OBJECTIONS)
def test_an_objection_turns_a_close_into_a_draft_that_says_why(name: str) -> None:
    """Each objection alone keeps the ticket open; those that a person may overrule offer the close for approval."""
    case, assessment, world, reason, offered = OBJECTIONS[name]
    policy = shipped()
    policy = policy.model_copy(
        update={"never_close": policy.never_close.model_copy(update={"first_seen": True})}
    )
    decision = decide(case, assessment, policy, world)
    assert decision.outcome is Outcome.DRAFT_NOTE
    assert reason in decision.because[0]
    assert [intent.kind for intent in decision.intents if intent.needs_approval] == ["close"] * offered


def test_an_uncertified_promise_drafts_and_a_certificate_closes() -> None:
    """`wrong_closes_at_most` closes nothing until a certificate covers the category at this risk."""
    policy = shipped()
    promise = policy.rules[0].model_copy(
        update={
            "threshold": policy.rules[0].threshold.model_validate(
                {"wrong_closes_at_most": 0.02, "sure": 0.95}
            )
        }  # type: ignore[union-attr]
    )
    policy = policy.model_copy(update={"rules": (promise, *policy.rules[1:])})
    uncertified = decide(CASE, ASSESSMENT, policy, CALM)
    covered = decide(CASE, ASSESSMENT, policy, replace(CALM, certified={"informational": 0.01}))
    above = decide(CASE, ASSESSMENT, policy, replace(CALM, certified={"informational": 0.009}))
    assert (uncertified.outcome, covered.outcome, above.outcome) == (
        Outcome.DRAFT_NOTE,
        Outcome.CLOSE,
        Outcome.DRAFT_NOTE,
    )
    assert "is not certified yet for informational" in uncertified.because[0]


def test_a_model_that_talks_an_error_down_changes_nothing() -> None:
    """The source says high, the model says info and harmless: the noise rule does not even match."""
    decision = decide(with_severity(Severity.HIGH), ASSESSMENT, shipped(), CALM)
    assert (decision.rule, decision.severity) == ("the rest", Severity.HIGH)


def test_nobody_answered_means_people_with_the_reason() -> None:
    """A model that is down sends the ticket where the policy's escalation says, without asking for approval."""
    down = Unassessed(reason="model_down", because="no model gave a usable answer")
    decision = decide(CASE, down, shipped(), CALM)
    assert (decision.outcome, _kinds(decision)) == (Outcome.ROUTE, ["note", "route"])
    assert not decision.needs_approval
    assert decision.because == ("no model gave a usable answer",)


def test_a_ticket_that_people_finished_is_left_alone() -> None:
    """Resolved by somebody in the meantime: nothing is written into it."""
    finished = replace(CASE, ticket=replace(TICKET, state=TicketState.RESOLVED))
    decision = decide(finished, ASSESSMENT, shipped(), CALM)
    assert (decision.outcome, decision.intents) == (Outcome.HOLD, ())
    assert decision.because[0] == "INC0010001 is resolved already"


def test_a_ticket_that_says_it_recovered_is_not_believed() -> None:
    """Text never proves recovery: a ticket born in the desk that reads as recovered is drafted, not closed."""
    born = replace(CASE, alerts=(replace(CASE.lead, source="servicenow", ticket=TICKET.ref),))
    decision = decide(born, replace(ASSESSMENT, category="recovered"), shipped(), CALM)
    assert decision.outcome is Outcome.DRAFT_NOTE
    assert "there is no source to confirm it" in decision.because[0]


def test_recovered_is_the_word_of_a_source_not_of_a_text() -> None:
    """A text that says so, while its source told of no recovery, is offered to a person though nothing fires."""
    reads = replace(ASSESSMENT, category="recovered")
    policy = shipped()
    told = decide(replace(CASE, firing=0), reads, policy, CALM)
    not_told = decide(replace(CASE, firing=1), reads, policy, CALM)
    assert (told.closes, not_told.closes) == (True, False)
    assert not_told.because[0] == "it reads as recovered, but datadog told of no recovery"
    assert "close" in _kinds(not_told)
