"""Bad input: whatever a vendor's answer holds, each thing in it is an alert or a dead letter, and nothing breaks."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.datadog.mapping import to_alert as from_datadog
from connectors.jira import mapping as jira
from connectors.pagerduty.mapping import to_alert as from_pagerduty
from connectors.servicenow import mapping as servicenow
from connectors.splunk.mapping import to_alert as from_splunk
from countersign.alerts import Alert
from countersign.errors import UnreadableAlert
from sandbox.jira_shapes import Shapes
from sandbox.server import Sandbox

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EXAMPLES = 5000 if os.environ.get("COUNTERSIGN_NIGHTLY") else 200
ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    7,
    -1.5,
    "x",
    "",
    [1],
    {"a": 1},
    True,
    10**30,
    "\x00",
    [[]],
    "2026-99-99",
)
PLACES = {"group": "label:team", "category": "customfield_10050", "ci": "label:ci", "service": "components"}

READERS: Mapping[str, Callable[[Any], Alert]] = {
    "datadog": from_datadog,
    "splunk": from_splunk,
    "pagerduty": from_pagerduty,
    "servicenow": lambda row: servicenow.to_alert(servicenow.to_ticket(row, "https://x")),
    "jira": lambda issue: jira.to_alert(jira.to_ticket(issue, "https://x", PLACES)),
}


@pytest.fixture(scope="module")
def payloads() -> dict[str, Any]:
    """One true payload of each vendor, as the sandbox shows it."""
    with Sandbox(seed=7, start=START, speed=0) as box:
        box.datadog.fire("Errors", 5, "host:a,service:cart", at=START - timedelta(seconds=5))
        box.splunk.fire("Cart errors", [{"_raw": "boom", "host": "a"}])
        incident = box.pagerduty.fire("CPU", "db", "critical", "k", {"host": "a"})
        row = box.servicenow.open_incident(short_description="x", impact="1")
        issue = box.jira.open_issue(summary="x", labels=["team:NOC"], description="y")
        entry = box.pagerduty.log[0] | {"incident": box.pagerduty.incidents[incident]}
        shown = {name: {"value": value, "display_value": value} for name, value in row.items()}
        name = box.splunk.firings[0]
        found = {
            "datadog": json.loads(box.datadog.events[0].shown),
            "splunk": {"entry": {"name": name.name, "content": name.content}, "results": [{"_raw": "boom"}]},
            "pagerduty": entry,
            "servicenow": shown,
            "jira": box.run(lambda: _issue(box, issue)),
        }
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def _issue(box: Sandbox, issue: Any) -> Any:
    three = Shapes(base="https://x/rest/api/3", version="3", account_of=box.jira.records.account_of)
    return three.issue(issue, box.jira.records.state_of(issue), ["*all"])


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from _places(one, (*path, key))


@pytest.mark.parametrize("vendor", READERS)
def test_a_true_payload_is_an_alert(vendor: str, payloads: dict[str, Any]) -> None:
    """So that the next test begins with something that can be read."""
    assert READERS[vendor](payloads[vendor]).source == vendor


@pytest.mark.parametrize("vendor", READERS)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_payload_with_odd_parts_is_an_alert_or_unreadable(
    vendor: str, payloads: dict[str, Any], data: st.DataObject
) -> None:
    """Up to three places hold something else than they should; nothing but the error of a dead letter is raised."""
    odd = copy.deepcopy(payloads[vendor])
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([place for place in _places(odd) if place]))
        holder = odd
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    assert _outcome(READERS[vendor], odd)


def _outcome(read: Callable[[Any], Alert], payload: Any) -> str:
    """The alert's id, or the reason why it can't be read."""
    try:
        return read(payload).source_id
    except UnreadableAlert as reason:
        return str(reason)
