"""PagerDuty's log entries become alerts and its incidents tickets, or say why not."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.pagerduty.mapping import concerns, to_alert, to_ticket
from countersign.alerts import AlertState
from countersign.errors import UnreadableAlert
from countersign.fingerprint import fingerprint
from countersign.severity import Severity
from countersign.tickets import TicketState

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
INCIDENT: dict[str, Any] = {
    "id": "Q1ABCDEF",
    "type": "incident",
    "summary": "[#7] CPU high on db1",
    "title": "CPU high on db1",
    "incident_number": 7,
    "status": "acknowledged",
    "urgency": "high",
    "priority": {"summary": "P2"},
    "service": {"summary": "database"},
    "teams": [{"summary": "DBA"}],
    "assignments": [{"assignee": {"summary": "Ada"}}],
    "acknowledgements": [{"at": "2026-11-20T12:05:00Z"}],
    "created_at": "2026-11-20T12:00:00Z",
    "updated_at": "2026-11-20T12:05:00Z",
    "resolved_at": None,
    "html_url": "https://acme.pagerduty.com/incidents/Q1ABCDEF",
}
ENTRY: dict[str, Any] = {
    "id": "R1",
    "type": "trigger_log_entry",
    "created_at": "2026-11-20T12:00:00Z",
    "service": {"summary": "database"},
    "incident": INCIDENT,
    "channel": {
        "type": "api",
        "details": {"load": 9.5},
        "cef_details": {
            "severity": "critical",
            "source_origin": "db1.example.com",
            "source_component": "postgres",
            "service_group": "shop",
            "details": {"load": 9.5, "nested": {"a": 1}},
        },
    },
}


def _entry(**fields: Any) -> dict[str, Any]:
    return deepcopy(ENTRY) | fields


def _incident(**fields: Any) -> dict[str, Any]:
    return deepcopy(INCIDENT) | fields


def test_a_trigger_fills_every_field() -> None:
    """What PagerDuty and the tool behind it know is in the alert, under our names."""
    alert = to_alert(ENTRY)
    assert (alert.source_id, alert.dedup_key) == ("R1", "pagerduty:Q1ABCDEF")
    assert alert.state is AlertState.FIRING
    assert alert.occurred_at == datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    assert (alert.summary, alert.rule) == ("CPU high on db1", "")
    assert (alert.service, alert.ci) == ("database", "db1.example.com")
    assert (alert.component, alert.group) == ("postgres", "shop")
    assert alert.details == {"load": "9.5", "nested": '{"a": 1}'}
    assert alert.link == INCIDENT["html_url"]


def test_a_recovery_joins_its_firing() -> None:
    """A resolve entry has no details, yet the same key and the same fingerprint."""
    resolved = to_alert(_entry(id="R2", type="resolve_log_entry", channel={"type": "website"}))
    assert resolved.state is AlertState.RECOVERED
    assert resolved.dedup_key == to_alert(ENTRY).dedup_key
    assert fingerprint(resolved) == fingerprint(to_alert(ENTRY))


@pytest.mark.parametrize(
    ("priority", "sent", "urgency", "severity"),
    [
        ("P1", "info", "low", Severity.CRITICAL),
        ("P2", "critical", "high", Severity.HIGH),
        ("P3", "critical", "high", Severity.MEDIUM),
        ("P4", "critical", "high", Severity.LOW),
        ("P5", "critical", "high", Severity.INFO),
        (None, "critical", "low", Severity.CRITICAL),
        (None, "error", "low", Severity.HIGH),
        (None, "warning", "high", Severity.MEDIUM),
        ("own scale", None, "high", Severity.HIGH),
        (None, None, "low", Severity.LOW),
        (None, None, None, Severity.MEDIUM),
    ],
)
def test_people_go_before_tools_and_tools_before_the_urgency(
    priority: str | None, sent: str | None, urgency: str | None, severity: Severity
) -> None:
    """The priority decides, else what the tool sent, else the urgency."""
    incident = _incident(priority={"summary": priority} if priority else None, urgency=urgency)
    assert (
        to_alert(_entry(incident=incident, channel={"cef_details": {"severity": sent}})).severity is severity
    )


@pytest.mark.parametrize(
    ("kind", "concerned"),
    [
        ("trigger_log_entry", True),
        ("resolve_log_entry", True),
        ("acknowledge_log_entry", False),
        ("annotate_log_entry", False),
        ("some_future_log_entry", False),
        ("surprise", True),
        (None, True),
    ],
)
def test_only_other_kinds_of_log_entry_are_left_out(kind: str | None, concerned: bool) -> None:
    """What is no log entry at all is not ignored: it must come to the dead letters."""
    assert concerns({"type": kind}) is concerned


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "text",
        {},
        _entry(id=None),
        _entry(type="surprise"),
        _entry(incident=None),
        _entry(incident="Q1"),
        _entry(incident={"id": "Q1"}),
        _entry(created_at="2026-11-20T12:00:00"),
        _entry(created_at=None),
        _entry(channel=[]),
        _entry(channel={"cef_details": "none"}),
    ],
)
def test_what_can_not_be_read_says_why(entry: Any) -> None:
    """An entry of another shape is refused with a sentence that says where and what to do."""
    with pytest.raises(UnreadableAlert, match=r"entry.*; \w+"):
        to_alert(entry)


def test_an_incident_is_a_ticket() -> None:
    """Its number is the key that people say, its id is what the API takes."""
    ticket = to_ticket(INCIDENT, "pagerduty")
    assert (ticket.ref.desk, ticket.ref.id, ticket.ref.key) == ("pagerduty", "Q1ABCDEF", "#7")
    assert (ticket.state, ticket.priority, ticket.group) == (TicketState.OPEN, "P2", "DBA")
    assert (ticket.assignee, ticket.service) == ("Ada", "database")
    assert ticket.acknowledged_at == datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
    assert ticket.resolved_at is None


@given(JSON)
def test_any_json_is_mapped_or_unreadable(value: Any) -> None:
    """No shape whatever raises anything else."""
    for entry in (value, _entry(incident=value), _entry(channel=value), _entry(created_at=value)):
        concerns(entry)
        with suppress(UnreadableAlert):
            to_alert(entry)
    for incident in (
        value,
        _incident(teams=value),
        _incident(assignments=value),
        _incident(updated_at=value),
    ):
        with suppress(UnreadableAlert):
            to_ticket(incident, "pagerduty")
