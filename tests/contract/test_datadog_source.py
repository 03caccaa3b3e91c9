"""Datadog through its SDK: pages, cursors, what fires now, logs, and each way of failing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.cursor import Pace
from connectors.datadog.client import DatadogClient, DatadogConfig
from connectors.datadog.logs import DatadogLogs
from connectors.datadog.source import DatadogSource
from countersign.alerts import Alert
from countersign.errors import ConfigError, Denied, OutsideError, Permanent, Transient
from countersign.ports import Firing, Page
from sandbox.datadog import API_KEY, APP_KEY
from sandbox.faults import Fault
from sandbox.server import Sandbox
from tests.statuses import each_status_of_a_read
from tests.unkind import Unkind, answer, hang, reset

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EAGER = Pace(settle=timedelta(0))
SCOPE = "service:cart,env:prod"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


def _client(url: str, *, api_key: str = API_KEY, read_s: float = 5) -> DatadogClient:
    return DatadogClient(DatadogConfig(api_key=api_key, app_key=APP_KEY, url=url, read_s=read_s))


def _source(
    box: Sandbox, *, pace: Pace = EAGER, page_size: int = 100, query: str = "source:alert"
) -> DatadogSource:
    return DatadogSource(
        client=_client(box.urls["datadog"]),
        clock=box.world.clock.now,
        pace=pace,
        page_size=page_size,
        query=query,
    )


def _fire(box: Sandbox, *ages: float, scope: str = SCOPE, transition: str = "Triggered") -> list[str]:
    """Fires once for each age in seconds; gives the ids of the events."""
    return box.run(
        lambda: [
            box.datadog.fire("Errors", 5, scope, transition, at=START - timedelta(seconds=age))
            for age in ages
        ]
    )


def _ids(pages: list[Page]) -> list[str]:
    return [alert.source_id for page in pages for alert in page.alerts]


def test_pages_come_oldest_first_and_end_with_a_cursor(box: Sandbox) -> None:
    """All events of the window come once, in order; the last cursor is the window's end."""
    ids = _fire(box, 300, 200, 100, 50, 10)
    pages = list(_source(box, page_size=2).read(None))
    assert _ids(pages) == ids
    assert json.loads(pages[-1].cursor) == {"until": START.isoformat()}


def test_a_crash_between_two_pages_loses_nothing(box: Sandbox) -> None:
    """Whatever page was the last to be recorded, reading on from its cursor gives all the rest."""
    ids = _fire(box, 3000, 2000, 1000, 500, 10)
    source = _source(box, page_size=1)
    pages = list(source.read(None))
    for recorded in range(len(pages)):
        rest = _ids(list(source.read(pages[recorded].cursor)))
        assert set(_ids(pages[: recorded + 1]) + rest) == set(ids)


def test_an_event_that_arrives_late_is_read_within_the_overlap(box: Sandbox) -> None:
    """The window begins before the cursor, since events become searchable out of order."""
    cursor = list(_source(box).read(None))[-1].cursor
    late = _fire(box, 240)
    assert _ids(list(_source(box).read(cursor))) == late


def test_what_has_not_settled_is_left_for_the_next_time(box: Sandbox) -> None:
    """Nothing younger than the settling time is read, and nothing of it is passed over."""
    old, young = _fire(box, 60, 5)
    source = _source(box, pace=Pace(settle=timedelta(seconds=30), overlap=timedelta(0)))
    pages = list(source.read(None))
    assert _ids(pages) == [old]
    box.run(lambda: box.world.clock.step(timedelta(seconds=60)))
    assert _ids(list(source.read(pages[-1].cursor))) == [young]


def test_a_page_of_the_overlap_does_not_take_the_cursor_back(box: Sandbox) -> None:
    """Crash after crash, the window would else move back by an overlap each time."""
    cursor = list(_source(box).read(None))[-1].cursor
    _fire(box, 240)
    assert next(_source(box).read(cursor)).cursor == cursor


def test_a_clock_that_was_ahead_passes_over_nothing(box: Sandbox) -> None:
    """Where our clock is set back, the cursor goes back with it: what fires until then is read as ever."""
    source = _source(box)
    box.run(lambda: box.world.clock.step(timedelta(hours=3)))
    ahead = list(source.read(None))[-1].cursor
    box.run(lambda: box.world.clock.step(timedelta(hours=-3)))
    cursor = list(source.read(ahead))[-1].cursor
    ids = _fire(box, -600, -1200)
    box.run(lambda: box.world.clock.step(timedelta(hours=1)))
    assert _ids(list(source.read(cursor))) == ids


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 240)), max_size=12),
    page_size=st.integers(1, 5),
    stop_after=st.integers(1, 4),
)
def test_every_event_is_read_whatever_its_delay_and_wherever_we_crash(
    arrivals: list[tuple[int, int]], page_size: int, stop_after: int
) -> None:
    """For any order of arrival within the overlap, any page size and any crash, all is read at least once."""
    with Sandbox(seed=7, start=START, speed=0) as box:
        source = _source(box, page_size=page_size)
        cursor: str | None = None
        read: set[str] = set()
        sent: set[str] = set()
        for minute, pages in enumerate([stop_after] * 20 + [1000] * 5):
            due = [at for at, delay in arrivals if minute * 60 <= at + delay < (minute + 1) * 60]
            for at in due:
                sent |= set(_fire(box, -at))
            box.run(lambda: box.world.clock.step(timedelta(seconds=60)))
            for page in islice(source.read(cursor), pages):
                read |= {alert.source_id for alert in page.alerts}
                cursor = page.cursor
        assert read == sent


@pytest.mark.odd
def test_an_event_that_can_not_be_read_is_kept_beside_the_others(box: Sandbox) -> None:
    """One odd payload neither stops the page nor disappears: it comes with its id, reason and text."""
    good = _fire(box, 10)
    odd = {
        "id": "odd",
        "type": "event",
        "attributes": {"tags": ["source:alert"], "attributes": {"title": [1]}},
    }
    box.run(lambda: box.datadog.put_raw(odd, START - timedelta(seconds=5)))
    pages = list(_source(box).read(None))
    (unreadable,) = [one for page in pages for one in page.unreadable]
    assert _ids(pages) == good
    assert unreadable.source_id == "odd"
    assert json.loads(unreadable.payload) == odd
    assert "event.attributes" in unreadable.reason


@pytest.mark.odd
def test_an_endless_payload_is_cut(box: Sandbox) -> None:
    """The dead letters keep 20 KB of a payload at most."""
    tags = ["source:alert", "x" * 50_000]
    odd = {"id": "odd", "attributes": {"tags": tags, "attributes": {"title": [1]}}}
    box.run(lambda: box.datadog.put_raw(odd, START - timedelta(seconds=5)))
    (unreadable,) = [one for page in _source(box).read(None) for one in page.unreadable]
    assert len(unreadable.payload) == 20_000


def test_a_cursor_of_another_making_is_refused_with_a_way_out(box: Sandbox) -> None:
    """A cursor that can't be read says to delete it."""
    with pytest.raises(ConfigError, match="delete it"):
        list(_source(box).read('{"offset": 7}'))


def _pages(*bodies: dict[str, Any]) -> Callable[[Any], None]:
    """Answers with these bodies in turn, and with the last one for ever."""
    left = list(bodies)

    def behave(handler: Any) -> None:
        answer(200, json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode())(handler)

    return behave


def _unkind_source(server: Unkind, *, read_s: float = 5) -> DatadogSource:
    return DatadogSource(client=_client(server.url, read_s=read_s), clock=lambda: START, pace=EAGER)


def test_a_repeated_page_token_ends_the_reading() -> None:
    """The SDK's own helper would ask for the same page for ever."""
    again = {"data": [], "meta": {"page": {"after": "same"}}}
    with Unkind(_pages(again)) as server:
        with pytest.raises(Permanent, match="twice"):
            list(_unkind_source(server).read(None))
        assert len(server.asked) == 2


def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    """The SDK's own helper stops at the first empty page, although there is more."""
    event = {"id": "A", "attributes": {"timestamp": "2026-11-20T11:59:00Z", "attributes": {"title": "x"}}}
    first, empty = (
        {"data": [], "meta": {"page": {"after": "1"}}},
        {"data": [], "meta": {"page": {"after": "2"}}},
    )
    with Unkind(_pages(first, empty, {"data": [event]})) as server:
        assert _ids(list(_unkind_source(server).read(None))) == ["A"]
        cursors = [json.loads(asked.body)["page"].get("cursor") for asked in server.asked]
        assert cursors == [None, "1", "2"]


def test_times_stay_the_same_while_paging() -> None:
    """A relative window would move under the cursor, so both ends are sent as epoch milliseconds."""
    with Unkind(_pages({"data": [], "meta": {"page": {"after": "1"}}}, {"data": []})) as server:
        list(_unkind_source(server).read(None))
        filters = [json.loads(asked.body)["filter"] for asked in server.asked]
    assert filters[0] == filters[1]
    assert (filters[0]["from"], filters[0]["to"]) == ("1795172400000", "1795176000000")


@pytest.mark.parametrize(
    "behave", [hang, reset, answer(429, X_RateLimit_Reset="3"), answer(500), answer(503)]
)
def test_a_bad_moment_is_one_request_and_transient(behave: Callable[..., None]) -> None:
    """Without our transport the SDK hangs for ever; and no call is repeated behind our back."""
    with Unkind(behave) as server:
        with pytest.raises(Transient):
            list(_unkind_source(server, read_s=0.3).read(None))
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body"), [b"<html></html>", b"", b"[]", b'{"data": {}}', b'{"nothing": 1}', b"\xff", b"[" * 99_999]
)
def test_nonsense_is_transient_and_moves_no_cursor(body: bytes) -> None:
    """An answer that is not a list of events is no empty list."""
    with Unkind(answer(200, body)) as server, pytest.raises(Transient, match="something else"):
        list(_unkind_source(server).read(None))


def test_the_sdk_does_not_follow_redirects() -> None:
    """Its own pool would, and take our keys along."""
    with Unkind(answer(200)) as elsewhere, Unkind(answer(307, Location=elsewhere.url)) as server:
        with pytest.raises(Denied):
            list(_unkind_source(server).read(None))
        assert elsewhere.asked == []


@each_status_of_a_read
def test_each_status_becomes_our_error(box: Sandbox, status: int, kind: type[OutsideError]) -> None:
    """Works, breaks, recovers: the error has the vendor's status, and the next reading is whole."""
    ids = _fire(box, 10)
    source = _source(box)
    assert _ids(list(source.read(None))) == ids
    box.run(lambda: box.faults.add(Fault(vendor="datadog", kind="status", status=status)))
    with pytest.raises(OutsideError) as raised:
        list(source.read(None))
    assert type(raised.value) is kind
    assert (raised.value.where, raised.value.status) == ("datadog", status)
    assert _ids(list(source.read(None))) == ids


def _alert(box: Sandbox, scope: str, transition: str) -> Alert:
    (event_id,) = _fire(box, 5, scope=scope, transition=transition)
    alerts = [alert for page in _source(box).read(None) for alert in page.alerts]
    return next(alert for alert in alerts if alert.source_id == event_id)


@pytest.mark.parametrize(
    ("transitions", "firing"),
    [
        (("Triggered",), Firing.YES),
        (("Warn",), Firing.YES),
        (("No Data",), Firing.YES),
        (("Recovered",), Firing.NO),
        (("Recovered", "Recovered"), Firing.NO),
        (("Recovered", "Triggered"), Firing.YES),
    ],
)
def test_the_monitor_is_asked_for_each_group(
    box: Sandbox, transitions: tuple[str, ...], firing: Firing
) -> None:
    """What fires is decided by the monitor's state of these groups, not by what the events said."""
    alerts = [_alert(box, f"service:s{number}", kind) for number, kind in enumerate(transitions)]
    assert _source(box).still_firing(alerts) is firing


def test_the_order_of_a_scope_does_not_matter(box: Sandbox) -> None:
    """Datadog names the members of a group in an order of its own."""
    alert = _alert(box, "env:prod,service:cart", "Triggered")
    groups = box.datadog.monitors[5]["state"]["groups"]
    box.run(lambda: groups.update({"service:cart,env:prod": groups.pop("env:prod,service:cart")}))
    assert _source(box).still_firing([alert]) is Firing.YES


def test_what_no_monitor_watches_is_unknown(box: Sandbox) -> None:
    """A deleted monitor, a vanished group, a plain event and no alert at all prove nothing."""
    alert = _alert(box, SCOPE, "Recovered")
    box.run(box.datadog.monitors[5]["state"]["groups"].clear)
    assert _source(box).still_firing([alert]) is Firing.UNKNOWN
    box.run(box.datadog.monitors.clear)
    assert _source(box).still_firing([alert]) is Firing.UNKNOWN
    assert _source(box).still_firing([]) is Firing.UNKNOWN


def test_logs_around_an_alert_come_oldest_first(box: Sandbox) -> None:
    """Lines of the service within the window, the last ones if there are too many, each on one line."""
    rows = [
        {
            "message": f"boom\n{number}",
            "service": "cart",
            "status": "error",
            "at": START - timedelta(seconds=9 - number),
        }
        for number in range(4)
    ]
    other = {"message": "fine", "service": "shop", "at": START}
    box.run(lambda: box.datadog.add_logs([*rows, other]))
    logs = DatadogLogs(client=_client(box.urls["datadog"]), clock=box.world.clock.now)
    lines = logs.lines(service="cart", around=START, limit=2)
    assert [line.partition("Z ")[2] for line in lines] == ["error boom 2", "error boom 3"]
    assert logs.lines(service="", around=START, limit=2) == ()


def test_a_services_name_can_not_widen_a_log_search() -> None:
    """Quotes in a name that came with an alert do not leave the quoted term."""
    with Unkind(answer(200, b'{"data": []}')) as server:
        logs = DatadogLogs(client=_client(server.url), clock=lambda: START)
        logs.lines(service='x" OR service:*', around=START, limit=1)
        assert json.loads(server.asked[0].body)["filter"]["query"] == 'service:"x OR service:*"'


def test_doctor_sees_that_all_is_well(box: Sandbox) -> None:
    """With both keys every check is good."""
    logs = DatadogLogs(client=_client(box.urls["datadog"]), clock=box.world.clock.now)
    assert all(check.ok for check in (*_source(box).check(), *logs.check()))


def test_doctor_says_what_to_grant(box: Sandbox) -> None:
    """A refused call names the scope, a wrong key where to put another."""
    box.run(
        lambda: box.faults.add(
            Fault(vendor="datadog", kind="status", status=403, match="monitor", times=None)
        )
    )
    refused = [check for check in _source(box).check() if not check.ok]
    assert [check.detail for check in refused] == [
        "Give the application key the scope monitors_read (Organization Settings, Application Keys)."
    ]
    box.run(box.faults.clear)
    stranger = DatadogSource(client=_client(box.urls["datadog"], api_key="wrong"), clock=box.world.clock.now)
    assert ["COUNTERSIGN_DATADOG__API_KEY" in check.detail for check in stranger.check()] == [True] * 3


def test_keys_do_not_show() -> None:
    """Neither the configuration's text nor an error holds a key."""
    config = DatadogConfig(api_key="s3cret-api", app_key="s3cret-app")
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("url", "app"),
    [
        ("https://api.datadoghq.com", "https://app.datadoghq.com"),
        ("https://api.datadoghq.eu/", "https://app.datadoghq.eu"),
        ("https://api.us5.datadoghq.com", "https://us5.datadoghq.com"),
        ("https://api.ddog-gov.com", "https://app.ddog-gov.com"),
        ("http://127.0.0.1:8080", "https://app.datadoghq.com"),
    ],
)
def test_an_alert_leads_to_the_site_where_the_account_lives(url: str, app: str) -> None:
    """The API's address is all that is configured; an event of an account in the EU is not found in the US."""
    config = DatadogConfig(api_key="a", app_key="b", url=url)
    assert DatadogClient(config).app_url == app


def test_a_mistyped_page_token_is_not_the_end(box: Sandbox) -> None:
    """Taken for the last page, it would let the cursor pass over all the others."""
    _fire(box, 30, 20, 10)
    box.run(lambda: box.faults.add(Fault(vendor="datadog", match="search", kind="mistyped")))
    with pytest.raises(Transient, match="something else"):
        list(_source(box, page_size=1).read(None))


def test_a_search_whose_time_was_up_is_asked_again(box: Sandbox) -> None:
    """It gives what it had found by then, with the status 200: the cursor would pass over the rest."""
    ids = _fire(box, 30, 20, 10)
    box.run(lambda: box.faults.add(Fault(vendor="datadog", match="search", kind="partial")))
    with pytest.raises(Transient, match="gave up"):
        list(_source(box).read(None))
    assert _ids(list(_source(box).read(None))) == ids
