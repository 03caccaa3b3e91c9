"""The mapping: from one firing of a saved search, with the first rows that it found, to an Alert."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from connectors.payload import LARGEST_TEXT, Node
from countersign.alerts import Alert, AlertState
from countersign.severity import Severity

# The numbers behind Info, Low, Medium, High and Critical in Splunk's own form; 6 is the old "fatal".
_SEVERITIES = {
    "1": Severity.INFO,
    "2": Severity.LOW,
    "3": Severity.MEDIUM,
    "4": Severity.HIGH,
    "5": Severity.CRITICAL,
    "6": Severity.CRITICAL,
}
_SERVICE_FIELDS = ("service", "service_name", "app")
_CI_FIELDS = ("ci", "dest", "host")


def to_alert(payload: Any, *, web_url: str = "") -> Alert:
    """`payload` is {"entry": the firing as the API shows it, "results": its first rows}.

    Splunk tells of no recovery. Raises UnreadableAlert.
    """
    firing = Node(payload, "firing")
    entry, results = firing["entry"], firing["results"].items()
    content = entry["content"]
    search = content["savedsearch_name"].needed()
    severity = content["severity"].text()
    if severity and severity not in _SEVERITIES:
        raise content["severity"].wrong("a severity from 1 to 6")
    sid = content["sid"].text()
    return Alert(
        source="splunk",
        source_id=entry["name"].needed(),
        dedup_key=f"splunk:{search}",
        state=AlertState.FIRING,
        occurred_at=content["trigger_time"].epoch(),
        summary=search,
        severity=_SEVERITIES.get(severity, Severity.MEDIUM),
        body=_body(results),
        rule=search,
        service=_first(results, _SERVICE_FIELDS),
        ci=_first(results, _CI_FIELDS),
        link=f"{web_url}/app/search/@go?sid={quote(sid, safe='')}" if web_url and sid else "",
        details={"triggered_alerts": content["triggered_alerts"].text(), "sid": sid},
    )


def _first(results: tuple[Node, ...], names: tuple[str, ...]) -> str:
    """The first of these fields that a row has."""
    return next((text for name in names for row in results if (text := _flat(row[name]))), "")


def _flat(value: Node) -> str:
    """A field of several values is a list."""
    return ", ".join(value.texts()) if isinstance(value.value, list) else value.text()


def _body(results: tuple[Node, ...]) -> str:
    """One line per row: what was logged, or its fields without Splunk's own (_time, _cd, …)."""
    return "\n".join(_line(row) for row in results)[:LARGEST_TEXT]


def _line(row: Node) -> str:
    if raw := _flat(row["_raw"]):
        return raw
    shown = row.details()
    return " ".join(f"{key}={text}" for key, text in shown.items() if not key.startswith("_"))
