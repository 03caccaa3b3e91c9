"""The imitated Datadog, asked by its own SDK and judged by the published specifications."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException, NotFoundException
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v2.api.events_api import EventsApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.events_list_request import EventsListRequest
from datadog_api_client.v2.model.events_query_filter import EventsQueryFilter
from datadog_api_client.v2.model.events_request_page import EventsRequestPage
from datadog_api_client.v2.model.events_sort import EventsSort
from datadog_api_client.v2.model.logs_list_request import LogsListRequest
from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter

from sandbox.datadog import API_KEY, APP_KEY
from sandbox.server import Sandbox
from tests.deviations import parts
from tests.specs import Specification

pytestmark = pytest.mark.contract
# The SDK's constructors have no types.
configuration: Any = Configuration
events_api: Any = EventsApi
logs_api: Any = LogsApi
monitors_api: Any = MonitorsApi
HEADERS = {"DD-API-KEY": API_KEY, "DD-APPLICATION-KEY": APP_KEY, "Accept": "application/json"}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7) as box:
        yield box


@pytest.fixture
def client(box: Sandbox) -> Iterator[ApiClient]:
    with _client(box, API_KEY) as client:
        yield client


def _client(box: Sandbox, api_key: str) -> ApiClient:
    settings = configuration(host=box.urls["datadog"], api_key={"apiKeyAuth": api_key, "appKeyAuth": APP_KEY})
    return ApiClient(settings)


def _fire(box: Sandbox, scope: str = "service:cart", transition: str = "Triggered", ago: int = 5) -> str:
    at = box.world.clock.now() - timedelta(minutes=ago)
    told = "14 % of requests fail"
    return str(box.run(lambda: box.datadog.fire("Error rate", 42, scope, transition, message=told, at=at)))


def _asked(box: Sandbox, query: str = "*", cursor: str | None = None, limit: int = 100) -> EventsListRequest:
    now = box.world.clock.now()
    page = EventsRequestPage(limit=limit, cursor=cursor) if cursor else EventsRequestPage(limit=limit)
    hours = EventsQueryFilter(_from=(now - timedelta(hours=8)).isoformat(), to=now.isoformat(), query=query)
    return EventsListRequest(filter=hours, page=page, sort=EventsSort.TIMESTAMP_ASCENDING)


def _search(box: Sandbox, client: ApiClient, query: str = "*") -> list[Any]:
    return list(events_api(client).search_events(body=_asked(box, query)).data)


def test_datadog_tells_which_monitor_changed_from_what_to_what(box: Sandbox, client: ApiClient) -> None:
    """A firing is an event with its monitor, its group and the transition, and the SDK can read all of it."""
    _fire(box, "service:cart,env:prod")
    (event,) = _search(box, client)
    inner = event.attributes.attributes
    assert not event._unparsed
    assert (inner.monitor.id, inner.monitor.groups) == (42, ["service:cart", "env:prod"])
    assert inner.monitor.transition["trans_name"] == "Triggered"
    assert (inner.monitor.transition["source_state"], inner.monitor.transition["destination_state"]) == (
        "OK",
        "Alert",
    )
    assert inner.title == "[Triggered on {service:cart,env:prod}] Error rate"
    assert event.attributes.message == "14 % of requests fail"


def test_datadog_pages_by_cursor_through_equal_times(box: Sandbox, client: ApiClient) -> None:
    """Every event comes once, although many share one millisecond; the end is an empty page."""
    at = box.world.clock.now() - timedelta(minutes=1)
    made = box.run(lambda: [box.datadog.fire("Storm", 42, f"host:{number}", at=at) for number in range(7)])
    read, cursor = [], None
    while (page := events_api(client).search_events(body=_asked(box, cursor=cursor, limit=3))).data:
        read += [event.id for event in page.data]
        cursor = page.meta.page.after
    assert sorted(read) == sorted(made)


def test_datadog_gives_ten_events_unless_told(box: Sandbox, client: ApiClient) -> None:
    """Without a page limit a page holds ten events."""
    for number in range(12):
        _fire(box, f"host:{number}")
    assert len(events_api(client).list_events().data) == 10


def test_datadog_moves_a_relative_window_with_the_clock(box: Sandbox, client: ApiClient) -> None:
    """now-15m is taken anew with every request, so that an event can fall out of it between two pages."""
    _fire(box, ago=10)
    assert len(events_api(client).list_events(filter_from="now-15m", filter_to="now").data) == 1
    box.run(lambda: box.world.clock.step(timedelta(minutes=10)))
    assert events_api(client).list_events(filter_from="now-15m", filter_to="now").data == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("source:alert", 2),
        ("service:cart", 1),
        ("service:(cart OR login)", 2),
        ("-service:cart", 1),
        ("status:ok", 1),
        ("@monitor.id:42 service:c*", 1),
        ('"requests fail"', 2),
        ("service:nothing", 0),
    ],
)
def test_datadog_searches_by_tags_fields_and_words(
    box: Sandbox, client: ApiClient, query: str, found: int
) -> None:
    """A query narrows the events by tag, by field, by word, by alternatives and by what must not be."""
    _fire(box, "service:cart")
    _fire(box, "service:login", "Recovered")
    assert len(_search(box, client, query)) == found


def test_datadog_refuses_a_cursor_that_it_did_not_give(box: Sandbox, client: ApiClient) -> None:
    """A made-up cursor is a 400 with Datadog's error body."""
    with pytest.raises(ApiException) as refusal:
        events_api(client).search_events(body=_asked(box, cursor="made-up"))
    assert (refusal.value.status, list(refusal.value.body)) == (400, ["errors"])


def test_datadog_monitors_know_the_state_of_each_group(box: Sandbox, client: ApiClient) -> None:
    """A group's state tells when it last triggered and was resolved; only the groups asked for are shown."""
    _fire(box, "service:cart", ago=9)
    _fire(box, "service:login", ago=8)
    _fire(box, "service:cart", "Recovered", ago=3)
    monitor = monitors_api(client).get_monitor(42, group_states="all")
    cart, login = monitor.state.groups["service:cart"], monitor.state.groups["service:login"]
    assert (str(cart.status), str(login.status), str(monitor.overall_state)) == ("OK", "Alert", "Alert")
    assert cart.last_resolved_ts - cart.last_triggered_ts == 6 * 60
    assert list(monitors_api(client).get_monitor(42, group_states="alert").state.groups) == ["service:login"]
    with pytest.raises(NotFoundException):
        monitors_api(client).get_monitor(43)


def test_datadog_shows_a_webhook_body_as_the_event_it_was(box: Sandbox, client: ApiClient) -> None:
    """The body that a monitor's webhook sent becomes the event of that transition, at its own time."""
    body = {
        "title": "[Warn on {host:db-01}] Disk",
        "body": "91 % used",
        "alert_transition": "Warn",
        "alert_query": "max:system.disk.in_use{*} by {host} > 0.9",
        "event_type": "query_alert_monitor",
        "monitor_id": "7",
        "scopes": "host:db-01",
        "tags": "monitor,host:db-01",
        "date": str(int((box.world.clock.now() - timedelta(hours=1)).timestamp() * 1000)),
    }
    box.run(lambda: box.datadog.fire_webhook_body(body))
    (event,) = _search(box, client)
    inner = event.attributes.attributes
    assert (inner.title, inner.monitor.id, str(inner.status)) == (body["title"], 7, "warn")
    assert event.attributes.tags == ["source:alert", "monitor", "host:db-01"]


def test_datadog_logs_are_searched_like_events(box: Sandbox, client: ApiClient) -> None:
    """Logs are found by service and time."""
    now = box.world.clock.now()
    rows = [
        {"message": "card declined", "service": name, "at": now - timedelta(minutes=2)}
        for name in ("pay", "cart")
    ]
    box.run(lambda: box.datadog.add_logs(rows))
    hour = LogsQueryFilter(
        _from=(now - timedelta(hours=1)).isoformat(), to=now.isoformat(), query="service:pay"
    )
    (log,) = logs_api(client).list_logs(body=LogsListRequest(filter=hour)).data
    assert (log.attributes.message, log.attributes.service) == ("card declined", "pay")


def test_datadog_posted_events_are_logged_and_found(box: Sandbox, client: ApiClient) -> None:
    """An event posted over HTTP is in the stream, and the write log names who wrote it with which marker."""
    body = {"title": "note", "text": "done [countersign:ab12]"}
    answer = requests.post(f"{box.urls['datadog']}/api/v1/events", json=body, headers=HEADERS, timeout=5)
    assert answer.status_code == 202
    assert len(_search(box, client, "note")) == 1
    (write,) = box.world.writes
    assert (write.kind, write.actor, write.marker) == ("event.create", "countersign", "countersign:ab12")


def test_datadog_answers_strangers_in_its_own_words(box: Sandbox) -> None:
    """A wrong key is refused with Datadog's error body."""
    with _client(box, "wrong") as stranger, pytest.raises(ApiException) as refusal:
        events_api(stranger).list_events()
    assert (refusal.value.status, refusal.value.body["errors"]) == (401, ["Unauthorized"])


def test_datadog_tells_the_rate_reset_in_seconds(box: Sandbox) -> None:
    """Its 429 carries X-RateLimit-Reset, in seconds from now."""
    headers = box.datadog.error(429).headers
    assert (headers["X-RateLimit-Remaining"], int(headers["X-RateLimit-Reset"]) < 60) == ("0", True)


@pytest.mark.parametrize(
    ("version", "method", "path", "body"),
    [
        (
            "v2",
            "POST",
            "/api/v2/events/search",
            {"filter": {"from": "now-1h", "to": "now"}, "page": {"limit": 2}},
        ),
        ("v2", "GET", "/api/v2/events?filter[from]=now-1h&page[limit]=2", None),
        ("v2", "POST", "/api/v2/events/search", {"page": {"cursor": "made-up"}}),
        ("v2", "POST", "/api/v2/logs/events/search", {"filter": {"from": "now-1h", "to": "now"}}),
        ("v1", "GET", "/api/v1/monitor/42?group_states=all", None),
        ("v1", "GET", "/api/v1/monitor/43", None),
        ("v1", "GET", "/api/v1/monitor?group_states=alert", None),
        ("v1", "GET", "/api/v1/validate", None),
        ("v1", "POST", "/api/v1/events", {"title": "a", "text": "b"}),
    ],
)
def test_datadog_exchanges_are_true_to_the_specification(
    box: Sandbox, contracts_dir: Path, version: str, method: str, path: str, body: object
) -> None:
    """What we send and what the imitation answers is what Datadog published."""
    for transition in ("Triggered", "Warn", "No Data", "Recovered"):
        _fire(box, "service:cart", transition)
    box.run(lambda: box.datadog.add_logs([{"message": "hello", "service": "cart"}]))
    spec = Specification(contracts_dir / "datadog" / f"slice-{version}.json", box.urls["datadog"])
    answer = requests.request(method, box.urls["datadog"] + path, json=body, headers=HEADERS, timeout=5)
    assert [
        one for one in spec.complaints(answer) if not any(known in one for known in parts("datadog"))
    ] == []
