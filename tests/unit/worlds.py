"""Strategies: any policy that loads, any case, any fact, and any answer that a model could give.

Whatever stands in the way of a close is drawn seldom: a dozen things do, and drawn evenly no world in a thousand
would close anything, so that nothing would be known of those that do.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from hypothesis import strategies as st

from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.decision import Facts
from countersign.lanes import Lane
from countersign.policy import CATEGORIES, Policy
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.tickets import TicketState
from tests.unit.builders import ALERT, ASSESSMENT, CASE, NOW, TICKET


def examples(number: int) -> int:
    """How many a property is tried with: ten times as many in the nightly run."""
    return number * 10 if os.environ.get("COUNTERSIGN_NIGHTLY") else number


SERVICES = ("", "payments", "login", "reporting", "search")
TAGS = ("customer-facing", "team:data", "batch")
SOURCES = ("datadog", "splunk", "pagerduty", "servicenow")
severities = st.sampled_from(Severity)
shares = st.floats(min_value=0.001, max_value=0.999)
Value = TypeVar("Value")


def mostly(usual: Value, anything: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    """The usual value, and one time in twelve any."""
    return st.integers(0, 11).flatmap(lambda roll: st.just(usual) if roll < 11 else anything)


def some_of(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Mostly none of them, sometimes up to two."""
    return mostly([], st.lists(st.sampled_from(values), max_size=2, unique=True))


@st.composite
def rules(draw: st.DrawFn, name: str, *, last: bool) -> dict[str, object]:
    """One rule as a policy file would say it."""
    then = draw(st.sampled_from((*("close",) * 4, "draft_change", "draft_note", "route", "hold")))
    rule: dict[str, object] = {"name": name, "then": then}
    if not last:
        low, high = sorted((draw(severities), draw(severities)))
        rule["when"] = {
            "category": draw(st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=6, unique=True)),
            **({"severity": {"at_least": low, "at_most": high}} if draw(st.booleans()) else {}),
            **({"services": ["reporting"]} if draw(st.booleans()) else {}),
        }
    if then == "close":
        promise = {"wrong_closes_at_most": draw(shares), "sure": draw(shares)}
        rule["threshold"] = draw(st.sampled_from((promise, {"risk_below": draw(mostly(0.9, shares))})))
    if then == "draft_change":
        rule["change"] = {"type": draw(st.sampled_from(("normal", "emergency")))}
    if draw(st.booleans()):
        rule["route"] = "tier-2"
    return rule


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that the schema admits, within the words above."""
    count = draw(st.integers(min_value=0, max_value=3))
    return Policy.model_validate(
        {
            "use_case": "alert-triage",
            "version": 1,
            "purpose": "Any policy.",
            "worst_case": "Something bad.",
            "kpi": {"metric": "deflection_rate", "target": 0.5},
            "rollback": {"owner": "ops"},
            "owners": dict.fromkeys(("product", "platform", "governance", "business"), "someone"),
            "scope": {
                "sources": SOURCES,
                "desk": "servicenow",
                "tickets": {"create": draw(mostly("when_missing", st.just("never")))},
            },
            "autonomy": draw(mostly("act", st.sampled_from(("observe", "draft")))),
            "rules": [
                *(draw(rules(f"rule {n}", last=False)) for n in range(count)),
                draw(rules("the rest", last=True)),
            ],
            "never_close": {
                **(
                    {"severity": {"at_least": draw(severities)}} if draw(mostly(False, st.just(True))) else {}
                ),
                "services": draw(some_of(SERVICES[1:])),
                "tags": draw(some_of(TAGS)),
                "first_seen": draw(st.booleans()),
            },
            "limits": {
                "closes_per_hour": draw(mostly(5, st.integers(0, 5))),
                "closes_per_service_per_day": draw(mostly(5, st.integers(0, 5))),
            },
            "approvals": {"approvers": {"people": ["dana"]}},
            "escalation": {"model_down": "tier-2", "route_to": draw(st.sampled_from((None, "noc")))},
        }
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A case of one to three alerts, with or without a ticket, born anywhere."""
    count = draw(st.integers(1, 3))
    alerts = tuple(
        replace(
            ALERT,
            source=draw(st.sampled_from(SOURCES[:3])),
            severity=draw(severities),
            service=draw(st.sampled_from(SERVICES)),
            tags=tuple(draw(st.lists(st.sampled_from(TAGS), max_size=2, unique=True))),
        )
        for _ in range(count)
    )
    ticket = replace(
        TICKET,
        state=draw(mostly(TicketState.OPEN, st.sampled_from(TicketState))),
        assignee=draw(mostly("", st.just("dana"))),
    )
    born = draw(st.booleans())
    if born:
        alerts = tuple(replace(alert, source="servicenow", ticket=TICKET.ref) for alert in alerts)
    return replace(
        CASE,
        alerts=alerts,
        alert_count=count + draw(mostly(0, st.integers(0, 100))),
        firing=draw(st.integers(0, count)),
        ticket=ticket if born or draw(st.booleans()) else None,
    )


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    """Anything that a model may say in the words it was given, however hostile."""
    return replace(
        ASSESSMENT,
        category=draw(st.sampled_from(CATEGORIES)),
        severity=draw(severities),
        actionability=draw(st.sampled_from(("none", "watch", "act"))),
        summary=draw(st.text(max_size=60)),
        likely_cause=draw(st.text(max_size=60)),
        confidence=draw(st.floats(0, 1)),
        risk=draw(st.floats(0, 1)),
    )


unassessed = st.builds(
    Unassessed,
    reason=st.sampled_from(("incomplete", "model_down", "budget_spent")),
    because=st.just("no model answered"),
)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Any state of the world."""
    return Facts(
        now=NOW + timedelta(days=draw(st.integers(0, 60))),
        lane=draw(mostly(Lane.TREATED, st.just(Lane.CONTROL))),
        firing=draw(mostly(Firing.NO, st.sampled_from(Firing))),
        closes_last_hour=draw(mostly(0, st.integers(0, 6))),
        closes_of_service_today=draw(mostly(0, st.integers(0, 6))),
        first_seen=draw(mostly(False, st.just(True))),
        certified=draw(
            mostly(
                dict.fromkeys(CATEGORIES, 0.9),
                st.dictionaries(st.sampled_from(CATEGORIES), shares, max_size=4),
            )
        ),
        demoted=draw(mostly(frozenset(), st.just(frozenset({"the rest"})))),
        stopped=draw(mostly(False, st.just(True))),
    )
