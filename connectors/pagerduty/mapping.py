"""The mapping: from PagerDuty's log entries and incidents to alerts and tickets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.payload import Node
from countersign.alerts import Alert, AlertState
from countersign.severity import Severity
from countersign.tickets import Ticket, TicketRef, TicketState

KEY = "pagerduty:"
_STATES = {"trigger_log_entry": AlertState.FIRING, "resolve_log_entry": AlertState.RECOVERED}
_PRIORITIES = {
    "P1": Severity.CRITICAL,
    "P2": Severity.HIGH,
    "P3": Severity.MEDIUM,
    "P4": Severity.LOW,
    "P5": Severity.INFO,
}
_SEVERITIES = {
    "critical": Severity.CRITICAL,
    "error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "info": Severity.INFO,
}
_URGENCIES = {"high": Severity.HIGH, "low": Severity.LOW}
_TICKET_STATES = {
    "triggered": TicketState.OPEN,
    "acknowledged": TicketState.OPEN,
    "resolved": TicketState.RESOLVED,
}
_NUMBER = re.compile(r"^\[#\d+\]\s*")
_CI_DETAILS = ("ci", "host", "hostname", "instance")


def concerns(entry: object) -> bool:
    """False for the log entries that tell neither of a firing nor of a recovery: notes, …"""
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    return not (isinstance(kind, str) and kind.endswith("_log_entry") and kind not in _STATES)


def to_alert(payload: Any) -> Alert:
    """An alert from a trigger or resolve log entry with its whole incident. Raises UnreadableAlert."""
    entry = Node(payload, "entry")
    incident, channel = entry["incident"], entry["channel"]
    cef = channel["cef_details"]
    details = (cef["details"] if cef["details"].value else channel["details"]).details()
    state = _STATES.get(entry["type"].text())
    if state is None:
        raise entry["type"].wrong("trigger_log_entry or resolve_log_entry")
    return Alert(
        source="pagerduty",
        source_id=entry["id"].needed(),
        dedup_key=f"{KEY}{incident['id'].needed()}",
        state=state,
        occurred_at=entry["created_at"].moment(),
        summary=_title(incident),
        severity=_severity(incident, cef),
        body=_body(channel, details),
        service=incident["service"]["summary"].text() or entry["service"]["summary"].text(),
        ci=next((details[name] for name in _CI_DETAILS if details.get(name)), "")
        or cef["source_origin"].text(),
        component=cef["source_component"].text(),
        group=cef["service_group"].text(),
        link=incident["html_url"].text() or entry["html_url"].text(),
        details=details,
    )


def to_ticket(payload: Any, desk: str) -> Ticket:
    """An incident as a ticket. Raises UnreadableAlert for a shape that is not an incident's."""
    incident = Node(payload, "incident")
    state = _TICKET_STATES.get(incident["status"].text())
    if state is None:
        raise incident["status"].wrong("triggered, acknowledged or resolved")
    opened = incident["created_at"].moment()
    changed = incident["updated_at"] if incident["updated_at"].value else incident["last_status_change_at"]
    return Ticket(
        ref=to_ref(incident, desk),
        title=_title(incident),
        state=state,
        version=f"{changed.text()} {incident['status'].text()}",
        opened_at=opened,
        updated_at=changed.moment() if changed.value else opened,
        priority=incident["priority"]["summary"].text() or incident["urgency"].text(),
        group=_first(incident["teams"])["summary"].text(),
        assignee=_first(incident["assignments"])["assignee"]["summary"].text(),
        service=incident["service"]["summary"].text(),
        updated_by=incident["last_status_change_by"]["summary"].text(),
        acknowledged_at=_moment(_first(incident["acknowledgements"])["at"]),
        resolved_at=_moment(incident["resolved_at"]),
    )


def to_ref(incident: Node, desk: str) -> TicketRef:
    number = incident["incident_number"].text()
    key = f"#{number}" if number else incident["id"].needed()
    return TicketRef(desk=desk, id=incident["id"].needed(), key=key, url=incident["html_url"].text())


def _title(incident: Node) -> str:
    return incident["title"].text() or _NUMBER.sub("", incident["summary"].needed())


def _severity(incident: Node, cef: Node) -> Severity:
    """The priority that people set goes before what the tool sent, and that before the urgency."""
    return (
        _PRIORITIES.get(incident["priority"]["summary"].text().upper())
        or _SEVERITIES.get(cef["severity"].text().lower())
        or _URGENCIES.get(incident["urgency"].text().lower())
        or Severity.MEDIUM
    )


def _body(channel: Node, details: Mapping[str, str]) -> str:
    lines = [channel["body"].text(), *(f"{name}: {text}" for name, text in details.items())]
    return "\n".join(line for line in lines if line)


def _first(place: Node) -> Node:
    return next(iter(place.items()), Node(None, place.path))


def _moment(place: Node) -> Any:
    return place.moment() if place.value else None
