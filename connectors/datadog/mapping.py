"""The mapping: from one Datadog event, as the v2 events API shows it, to an Alert."""

from __future__ import annotations

import re
from typing import Any

from connectors.payload import LARGEST_TEXT, Node
from countersign.alerts import Alert, AlertState
from countersign.errors import UnreadableAlert
from countersign.severity import Severity

# Where a monitor's transition leads.
_STATES = {
    "alert": AlertState.FIRING,
    "warn": AlertState.FIRING,
    "no data": AlertState.FIRING,
    "ok": AlertState.RECOVERED,
}
# The event's own status (alert_type, in Datadog's first API), where there is no transition.
_STATUS_STATES = {
    "error": AlertState.FIRING,
    "failure": AlertState.FIRING,
    "warn": AlertState.FIRING,
    "warning": AlertState.FIRING,
    "ok": AlertState.RECOVERED,
    "success": AlertState.RECOVERED,
}
_PRIORITIES = {
    "1": Severity.CRITICAL,
    "2": Severity.HIGH,
    "3": Severity.MEDIUM,
    "4": Severity.LOW,
    "5": Severity.INFO,
}
_STATUS_SEVERITIES = {
    "error": Severity.HIGH,
    "failure": Severity.HIGH,
    "warn": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "ok": Severity.INFO,
    "success": Severity.INFO,
}
_PREFIX = re.compile(
    r"^\s*\[(?:P[1-5]|(?:Re-)?(?:Triggered|Warn|No Data|Recovered|Renotify)(?: on \{[^}]*\})?)\]\s*",
    re.IGNORECASE,
)
_NO_SERVICE = ("", "undefined")


def to_alert(payload: Any, *, app_url: str = "https://app.datadoghq.com") -> Alert:
    """An alert from a monitor's event; any other event (a deployment, say) is one of severity info.

    Raises UnreadableAlert.
    """
    event = Node(payload, "event")
    outer = event["attributes"]
    inner = outer["attributes"]
    monitor = inner["monitor_id"].text() or inner["monitor"]["id"].text()
    tags = tuple(dict.fromkeys((*outer["tags"].texts(), *inner["tags"].texts())))
    number = inner["evt"]["id"].text()
    return Alert(
        source="datadog",
        source_id=event["id"].needed(),
        dedup_key=_dedup_key(event, monitor, inner),
        state=_state(inner) if monitor else AlertState.FIRING,
        occurred_at=_occurred_at(outer, inner),
        summary=_summary(inner),
        severity=_severity(inner) if monitor else Severity.INFO,
        body=outer["message"].text().replace("%%%", "").strip()[:LARGEST_TEXT],
        rule=monitor,
        service=_service(tags, inner),
        ci=_tag(tags, "ci") or _tag(tags, "host") or inner["hostname"].text(),
        component=_tag(tags, "component"),
        group=_tag(tags, "team"),
        tags=tags,
        link=f"{app_url}/event/event?id={number}" if number else "",
        details=_details(inner),
    )


def scope(inner: Node) -> str:
    """The group of a monitor that an event is about, as Datadog writes it in a monitor's state."""
    return ",".join(inner["monitor_groups"].texts() or inner["monitor"]["groups"].texts())


def _dedup_key(event: Node, monitor: str, inner: Node) -> str:
    return f"datadog:{monitor}:{scope(inner)}" if monitor else f"datadog:event:{event['id'].needed()}"


def _state(inner: Node) -> AlertState:
    leads_to = inner["monitor"]["transition"]["destination_state"].text().lower()
    state = _STATES.get(leads_to) or _STATUS_STATES.get(inner["status"].text().lower())
    if state is None:
        raise UnreadableAlert(
            f"event.status is {inner['status'].text()[:40] or 'missing'!r}, neither a firing nor a recovery; "
            "leave such events out with the source's query, or teach the mapping this status."
        )
    return state


def _severity(inner: Node) -> Severity:
    by_priority = _PRIORITIES.get(inner["priority"].text().upper().removeprefix("P"))
    return by_priority or _STATUS_SEVERITIES.get(inner["status"].text().lower(), Severity.MEDIUM)


def _occurred_at(outer: Node, inner: Node) -> Any:
    if inner["timestamp"].value is not None:
        return inner["timestamp"].epoch(per_second=1000)
    return outer["timestamp"].moment()


def _summary(inner: Node) -> str:
    """The title without what changes between a firing and its recovery."""
    title = inner["title"].text()
    while found := _PREFIX.match(title):
        title = title[found.end() :]
    return title or inner["monitor"]["name"].text() or inner["evt"]["name"].text() or inner["title"].needed()


def _service(tags: tuple[str, ...], inner: Node) -> str:
    told = inner["service"].text()
    return _tag(tags, "service") or ("" if told in _NO_SERVICE else told)


def _tag(tags: tuple[str, ...], key: str) -> str:
    return next((tag.partition(":")[2] for tag in tags if tag.startswith(f"{key}:")), "")


def _details(inner: Node) -> dict[str, str]:
    found = {
        "query": inner["monitor"]["query"].text(),
        "transition": inner["monitor"]["transition"]["trans_name"].text(),
        "scope": scope(inner),
        "priority": inner["priority"].text(),
    }
    return {key: text for key, text in found.items() if text}
