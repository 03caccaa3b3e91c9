"""Splunk's firings become alerts, or say why not."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.splunk.mapping import to_alert
from countersign.alerts import AlertState
from countersign.errors import UnreadableAlert
from countersign.severity import Severity

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIRING: dict[str, Any] = {
    "entry": {
        "name": "scheduler__admin__noc__RMD5x_at_1795176000_1_1795176000",
        "content": {
            "savedsearch_name": "Cart errors",
            "severity": 4,
            "sid": "scheduler__admin__noc__RMD5x_at_1795176000_1",
            "trigger_time": 1795176000,
            "triggered_alerts": 2,
        },
    },
    "results": [
        {"_raw": "boom", "host": "web-1", "service": "cart", "_cd": "1"},
        {"count": "7", "host": ["web-2", "web-3"], "_time": "x"},
    ],
}


def _firing(**content: Any) -> dict[str, Any]:
    firing = deepcopy(FIRING)
    firing["entry"]["content"].update(content)
    return firing


def test_a_firing_fills_every_field() -> None:
    """What Splunk knows of a firing, and the first rows that it found, are in the alert."""
    alert = to_alert(FIRING, web_url="https://splunk.example.com:8000")
    assert alert.source_id == FIRING["entry"]["name"]
    assert alert.dedup_key == "splunk:Cart errors"
    assert alert.state is AlertState.FIRING
    assert alert.occurred_at == datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    assert (alert.summary, alert.rule) == ("Cart errors", "Cart errors")
    assert (alert.service, alert.ci) == ("cart", "web-1")
    assert alert.body == 'boom\ncount=7 host=["web-2", "web-3"]'
    assert alert.link.startswith("https://splunk.example.com:8000/app/search/@go?sid=scheduler__")


@pytest.mark.parametrize(
    ("number", "severity"),
    [
        (1, Severity.INFO),
        ("2", Severity.LOW),
        (3, Severity.MEDIUM),
        ("4", Severity.HIGH),
        (5, Severity.CRITICAL),
        (6, Severity.CRITICAL),
        (None, Severity.MEDIUM),
    ],
)
def test_severities_are_those_of_splunks_form(number: object, severity: Severity) -> None:
    """1 to 5 are Info to Critical; a firing without one is of medium severity."""
    assert to_alert(_firing(severity=number)).severity is severity


@pytest.mark.parametrize(
    "firing",
    [
        None,
        [],
        {},
        {"entry": None},
        {"entry": {"name": "x", "content": "text"}},
        _firing(savedsearch_name=""),
        _firing(savedsearch_name=["x"]),
        _firing(trigger_time=None),
        _firing(trigger_time="2026-11-20 17:30 IST"),
        _firing(severity=7),
        FIRING | {"results": "none"},
        FIRING | {"results": ["row"]},
    ],
)
def test_what_can_not_be_read_says_why(firing: Any) -> None:
    """A firing of another shape is refused with a sentence that says where and what to do."""
    with pytest.raises(UnreadableAlert, match=r"firing.*; \w+"):
        to_alert(firing)


@given(JSON)
def test_any_json_is_an_alert_or_unreadable(value: Any) -> None:
    """No shape whatever raises anything else."""
    for firing in (value, {"entry": value}, _firing(trigger_time=value), FIRING | {"results": [value]}):
        with suppress(UnreadableAlert):
            to_alert(firing)
