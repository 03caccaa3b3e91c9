"""Small honest values for tests: a case, an assessment, a policy. Each test changes what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from countersign.alerts import Alert, AlertState
from countersign.assessment import Assessment
from countersign.cases import Case
from countersign.decision import Facts
from countersign.policy import Policy, load_policy
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.tickets import Ticket, TicketRef, TicketState

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
POLICIES = Path(__file__).parents[2] / "policies"

ALERT = Alert(
    source="datadog",
    source_id="e1",
    dedup_key="datadog:7:host:db-3",
    state=AlertState.FIRING,
    occurred_at=NOW,
    summary="Backup of db-3 finished",
    severity=Severity.INFO,
    body="Nightly backup finished in 41 minutes",
    rule="7",
    service="reporting",
    ci="db-3",
    tags=("team:data",),
)
TICKET = Ticket(
    ref=TicketRef(desk="servicenow", id="a" * 32, key="INC0010001"),
    title="Backup of db-3 finished",
    state=TicketState.OPEN,
    version="1",
    opened_at=NOW,
    updated_at=NOW,
    group="NOC",
)
CASE = Case(
    id="c1",
    use_case="alert-triage",
    fingerprint="f" * 16,
    alerts=(ALERT,),
    alert_count=1,
    firing=1,
    first_at=NOW,
    last_at=NOW,
    ticket=TICKET,
)
ASSESSMENT = Assessment(
    category="informational",
    severity=Severity.INFO,
    actionability="none",
    summary="A nightly backup finished",
    likely_cause="The scheduled backup of db-3 ran to its end",
    evidence=("a1",),
    group=None,
    confidence=0.99,
    risk=0.01,
    model="local",
    is_llm=False,
    prompt="triage/v1",
    prompt_hash="0" * 12,
)
# Facts under which nothing speaks against a close.
CALM = Facts(now=NOW, firing=Firing.NO, first_seen=False)


def shipped(name: str = "alert-triage") -> Policy:
    """A policy that is shipped."""
    file = POLICIES / f"{name}.yaml"
    return load_policy(file.read_text(encoding="utf-8"), name=file.name)


def with_severity(severity: Severity) -> Case:
    """The case, had its source said so."""
    return replace(CASE, alerts=(replace(ALERT, severity=severity),))
