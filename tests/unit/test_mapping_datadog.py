"""Datadog's events become alerts, or say why not."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.datadog.mapping import to_alert
from countersign.alerts import AlertState
from countersign.errors import UnreadableAlert
from countersign.fingerprint import fingerprint
from countersign.severity import Severity
from sandbox.datadog import Datadog
from sandbox.world import World

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
EVENT: dict[str, Any] = {
    "id": "AwAAAZ",
    "type": "event",
    "attributes": {
        "message": "%%%\nMore than **0** errors\n%%%",
        "tags": ["monitor", "service:cart", "host:web-1", "team:shop", "env:prod"],
        "timestamp": "2026-11-20T12:00:00.250Z",
        "attributes": {
            "title": "[Triggered on {service:cart,env:prod}] Errors in cart",
            "timestamp": 1795176000250,
            "status": "error",
            "priority": "1",
            "service": "undefined",
            "monitor_id": 160076582,
            "monitor_groups": ["service:cart", "env:prod"],
            "evt": {"id": "7879702138782271851", "name": "Errors in cart"},
            "monitor": {
                "id": 160076582,
                "name": "Errors in cart",
                "query": "logs('status:error')",
                "transition": {
                    "trans_name": "Triggered",
                    "destination_state": "Alert",
                },
            },
        },
    },
}


def _event(**inner: Any) -> dict[str, Any]:
    event = deepcopy(EVENT)
    event["attributes"]["attributes"].update(inner)
    return event


def test_a_monitors_event_fills_every_field() -> None:
    """What Datadog knows of a firing is in the alert, under our names."""
    alert = to_alert(EVENT, app_url="https://app.datadoghq.eu")
    assert alert.source_id == "AwAAAZ"
    assert alert.dedup_key == "datadog:160076582:service:cart,env:prod"
    assert alert.state is AlertState.FIRING
    assert alert.occurred_at == datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)
    assert alert.summary == "Errors in cart"
    assert alert.severity is Severity.CRITICAL
    assert alert.body == "More than **0** errors"
    assert (alert.rule, alert.service, alert.ci, alert.group) == ("160076582", "cart", "web-1", "shop")
    assert alert.link == "https://app.datadoghq.eu/event/event?id=7879702138782271851"
    assert alert.details["query"] == "logs('status:error')"


@pytest.mark.parametrize(
    ("transition", "state"),
    [
        ("Alert", AlertState.FIRING),
        ("Warn", AlertState.FIRING),
        ("No Data", AlertState.FIRING),
        ("OK", AlertState.RECOVERED),
    ],
)
def test_the_transition_decides_what_the_event_tells(transition: str, state: AlertState) -> None:
    """Where a monitor's transition leads goes before the event's own status."""
    assert to_alert(_event(monitor={"transition": {"destination_state": transition}})).state is state


@pytest.mark.parametrize(
    ("priority", "status", "severity"),
    [
        ("1", "warn", Severity.CRITICAL),
        ("P2", "warn", Severity.HIGH),
        ("3", "error", Severity.MEDIUM),
        ("4", "error", Severity.LOW),
        ("5", "error", Severity.INFO),
        (None, "error", Severity.HIGH),
        ("normal", "warning", Severity.MEDIUM),
        ("low", "ok", Severity.INFO),
    ],
)
def test_the_priority_goes_before_the_status(priority: str | None, status: str, severity: Severity) -> None:
    """A monitor's own priority decides how bad it is; without one, what kind of event it is."""
    assert to_alert(_event(priority=priority, status=status)).severity is severity


@pytest.mark.parametrize(
    "title",
    [
        "Errors in cart",
        "[Triggered] Errors in cart",
        "[Re-Triggered on {service:cart}] Errors in cart",
        "[P1] [Triggered on {service:cart,env:prod}] Errors in cart",
        "[Warn on {host:a.b}] Errors in cart",
        "[No Data on {host:x}] Errors in cart",
        "[Recovered on {service:cart}] Errors in cart",
    ],
)
def test_the_summary_is_the_same_for_a_firing_and_its_recovery(title: str) -> None:
    """Prefixes that change from event to event are not part of what went wrong."""
    assert to_alert(_event(title=title)).summary == "Errors in cart"


def test_brackets_that_belong_to_the_title_stay() -> None:
    """Only Datadog's own prefixes are taken off."""
    assert to_alert(_event(title="[Triggered] [staging] Disk")).summary == "[staging] Disk"


def test_a_plain_event_is_of_severity_info() -> None:
    """A deployment is no alert, however its event is coloured; it stands alone."""
    alert = to_alert(_event(monitor_id=None, monitor=None, status="error", title="Deployed cart 1.2"))
    assert alert.severity is Severity.INFO
    assert (alert.rule, alert.dedup_key) == ("", "datadog:event:AwAAAZ")


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"id": 5},
        {"id": "A", "attributes": "none"},
        {"id": "A", "attributes": {"attributes": []}},
        _event(timestamp="yesterday"),
        _event(timestamp=1e300),
        _event(title=None, evt=None, monitor=None),
        _event(title={"en": "Errors"}),
        _event(status="snapshot", monitor={}),
        _event(monitor_groups="service:cart"),
        _event(monitor_groups=[{"service": "cart"}]),
        _event(evt=[1]),
        _event(priority=True),
    ],
)
def test_what_can_not_be_read_says_why(event: Any) -> None:
    """An event of another shape is refused with a sentence that says where and what to do."""
    with pytest.raises(UnreadableAlert, match=r"event.*; \w+"):
        to_alert(event)


def test_what_a_database_refuses_does_not_come_in() -> None:
    """NUL and halves of surrogate pairs are taken out, or one alert would stop a whole page."""
    alert = to_alert(_event(title="Err\x00ors \ud800 in cart"))
    assert alert.summary == "Errors ? in cart"


@given(JSON)
def test_any_json_is_an_alert_or_unreadable(value: Any) -> None:
    """No shape whatever raises anything else."""
    for event in (value, {"id": "A", "attributes": value}, _event(monitor=value), _event(timestamp=value)):
        with suppress(UnreadableAlert):
            to_alert(event)


def test_real_webhook_bodies_become_alerts_that_join(data_dir: Path) -> None:
    """Every recorded body maps, and each recovery has the fingerprint and the key of its firing."""
    lines = gzip.decompress((data_dir / "keep-datadog-raw" / "webhooks.jsonl.gz").read_bytes()).splitlines()
    datadog = Datadog(World())
    for line in lines:
        datadog.fire_webhook_body(json.loads(line))
    alerts = [to_alert(json.loads(row.shown)) for row in datadog.events]
    assert len(alerts) == len(lines)
    recovered = {alert.dedup_key for alert in alerts if alert.state is AlertState.RECOVERED}
    joined = [alert for alert in alerts if alert.dedup_key in recovered]
    assert recovered
    assert len({(alert.dedup_key, fingerprint(alert)) for alert in joined}) == len(recovered)
    assert not [alert.summary for alert in alerts if alert.summary.startswith("[")]
