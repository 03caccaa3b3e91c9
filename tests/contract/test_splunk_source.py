"""Splunk through its SDK: firings, cursors, what fires now, logs, and each way of failing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from connectors.cursor import Pace
from connectors.splunk.client import SplunkClient, SplunkConfig
from connectors.splunk.logs import SplunkLogs
from connectors.splunk.source import SplunkSource
from countersign.alerts import Alert
from countersign.errors import ConfigError, Denied, OutsideError, Transient
from countersign.ports import Firing, Page
from sandbox.faults import Fault
from sandbox.server import Sandbox
from sandbox.splunk import TOKEN
from tests.statuses import each_status_of_a_read
from tests.unkind import Unkind, answer, hang, reset

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EAGER = Pace(settle=timedelta(0), overlap=timedelta(minutes=15))


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


def _client(url: str, *, token: str = TOKEN, read_s: float = 5) -> SplunkClient:
    return SplunkClient(SplunkConfig(url=url, token=token, read_s=read_s))


def _source(box: Sandbox, *, pace: Pace = EAGER, page_size: int = 100) -> SplunkSource:
    return SplunkSource(
        client=_client(box.urls["splunk"]), clock=box.world.clock.now, pace=pace, page_size=page_size
    )


def _fire(box: Sandbox, *ages: float, search: str = "Cart errors") -> list[str]:
    rows = [{"_raw": "boom", "host": "web-1", "service": "cart"}]
    return box.run(lambda: [box.splunk.fire(search, rows, at=START - timedelta(seconds=age)) for age in ages])


def _ids(pages: list[Page]) -> list[str]:
    return [alert.source_id for page in pages for alert in page.alerts]


def test_firings_of_all_searches_come_oldest_first(box: Sandbox) -> None:
    """Searches of every app, with any sign in their names, are read in the order in which they fired."""
    first = _fire(box, 300, search="Disk / full 100%")
    second = _fire(box, 200, search="Ünïcode + plus")
    third = _fire(box, 100, search="Disk / full 100%")
    pages = list(_source(box, page_size=2).read(None))
    assert _ids(pages) == first + second + third
    assert [alert.rule for alert in pages[0].alerts] == ["Disk / full 100%", "Ünïcode + plus"]


def test_more_firings_than_splunk_shows_by_itself(box: Sandbox) -> None:
    """Splunk gives 30 by default: all 31 firings and all 31 searches are asked for."""
    many = _fire(box, *range(100, 131))
    others = [name for number in range(31) for name in _fire(box, 50, search=f"search {number}")]
    assert set(_ids(list(_source(box).read(None)))) == set(many + others)


def test_the_total_is_not_an_alert(box: Sandbox) -> None:
    """The entry named `-` counts all firings, and is not one."""
    ids = _fire(box, 10)
    assert _ids(list(_source(box).read(None))) == ids


def test_a_firing_is_known_by_its_name(box: Sandbox) -> None:
    """Read again with an overlap, a firing that was taken is neither given nor are its rows fetched again."""
    _fire(box, 60)
    source = _source(box)
    cursor = list(source.read(None))[-1].cursor
    late = _fire(box, 120)
    assert _ids(list(source.read(cursor))) == late


def test_a_crash_between_two_pages_loses_nothing(box: Sandbox) -> None:
    """Whatever page was the last to be recorded, reading on gives exactly the rest."""
    ids = _fire(box, 3000, 2000, 1000, 500, 10)
    source = _source(box, page_size=1)
    for recorded in range(1, 6):
        pages = list(islice(source.read(None), recorded))
        assert _ids(pages) + _ids(list(source.read(pages[-1].cursor))) == ids


def test_the_cursor_forgets_what_lies_before_the_overlap(box: Sandbox) -> None:
    """It does not grow with every firing that ever was."""
    _fire(box, 60)
    source = _source(box)
    cursor = list(source.read(None))[-1].cursor
    assert len(json.loads(cursor)["taken"]) == 1
    box.run(lambda: box.world.clock.step(timedelta(hours=1)))
    assert json.loads(list(source.read(cursor))[-1].cursor)["taken"] == {}


def test_rows_that_are_gone_do_not_lose_the_firing(box: Sandbox) -> None:
    """Splunk throws results away before it forgets the firing: the alert comes without a body."""
    ids = _fire(box, 10)
    box.run(box.splunk.jobs.clear)
    pages = list(_source(box).read(None))
    assert _ids(pages) == ids
    assert [alert.body for page in pages for alert in page.alerts] == [""]


def test_a_search_that_is_listed_but_not_shown_stops_the_reading(box: Sandbox) -> None:
    """Reading on would pass over its firings for good."""
    _fire(box, 10)
    gone = Fault(vendor="splunk", kind="status", status=404, match="fired_alerts/Cart")
    box.run(lambda: box.faults.add(gone))
    with pytest.raises(Transient, match="read permission"):
        list(_source(box).read(None))
    assert len(_ids(list(_source(box).read(None)))) == 1


@pytest.mark.parametrize(
    "content",
    [
        {"savedsearch_name": "Cart errors", "trigger_time": "yesterday"},
        {"savedsearch_name": None, "trigger_time": int(START.timestamp()) - 5},
        {"savedsearch_name": "Cart errors", "trigger_time": int(START.timestamp()) - 5, "severity": "bad"},
    ],
)
@pytest.mark.odd
def test_a_firing_that_can_not_be_read_is_kept_beside_the_others(
    box: Sandbox, content: dict[str, object]
) -> None:
    """One odd payload neither stops the page nor disappears: it comes with its name, reason and text."""
    good = _fire(box, 10)
    odd = box.run(lambda: box.splunk.fire_raw("Cart errors", content, at=START - timedelta(seconds=5)))
    pages = list(_source(box).read(None))
    (unreadable,) = [one for page in pages for one in page.unreadable]
    assert _ids(pages) == good
    assert unreadable.source_id == odd
    assert json.loads(unreadable.payload)["entry"]["content"].items() >= content.items()


@pytest.mark.parametrize("behave", [hang, reset, answer(429, Retry_After="3"), answer(500), answer(503)])
def test_a_bad_moment_is_one_request_and_transient(behave: Callable[..., None]) -> None:
    """Without our handler the SDK hangs for ever; and no call is repeated behind our back."""
    with Unkind(behave) as server:
        source = SplunkSource(client=_client(server.url, read_s=0.3), clock=lambda: START, pace=EAGER)
        with pytest.raises(Transient):
            list(source.read(None))
        assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<response/>", b"", b"[]", b'{"entry": {}}', b"\xff", b"[" * 99_999])
def test_nonsense_is_transient(body: bytes) -> None:
    """An answer that is not a list of firings is no empty list."""
    with Unkind(answer(200, body)) as server:
        source = SplunkSource(client=_client(server.url), clock=lambda: START, pace=EAGER)
        with pytest.raises(Transient, match="something else"):
            list(source.read(None))


def test_the_sdk_does_not_follow_redirects() -> None:
    """The place that a redirect names would get our token."""
    with Unkind(answer(200)) as elsewhere, Unkind(answer(303, Location=elsewhere.url)) as server:
        source = SplunkSource(client=_client(server.url), clock=lambda: START, pace=EAGER)
        with pytest.raises(Denied):
            list(source.read(None))
        assert elsewhere.asked == []


@each_status_of_a_read
def test_each_status_becomes_our_error(box: Sandbox, status: int, kind: type[OutsideError]) -> None:
    """Works, breaks, recovers: the error has the vendor's status, and the next reading is whole."""
    ids = _fire(box, 10)
    source = _source(box)
    assert _ids(list(source.read(None))) == ids
    box.run(lambda: box.faults.add(Fault(vendor="splunk", kind="status", status=status)))
    with pytest.raises(OutsideError) as raised:
        list(source.read(None))
    assert type(raised.value) is kind
    assert (raised.value.where, raised.value.status) == ("splunk", status)
    assert _ids(list(source.read(None))) == ids


def _read(box: Sandbox) -> list[Alert]:
    return [alert for page in _source(box).read(None) for alert in page.alerts]


def test_a_newer_firing_means_that_it_still_fires(box: Sandbox) -> None:
    """Splunk tells of no recovery: NO is that the last firing is listed and none came after it."""
    _fire(box, 60)
    alerts = _read(box)
    assert _source(box).still_firing(alerts) is Firing.NO
    _fire(box, 5)
    assert _source(box).still_firing(alerts) is Firing.YES


def test_an_empty_list_proves_nothing(box: Sandbox) -> None:
    """While Splunk restarts, after it forgot the firing, and for a deleted search the answer is UNKNOWN."""
    _fire(box, 60)
    alerts = _read(box)
    box.splunk.restarting = True
    assert _source(box).still_firing(alerts) is Firing.UNKNOWN
    box.splunk.restarting = False
    box.run(lambda: box.world.clock.step(timedelta(hours=25)))
    assert _source(box).still_firing(alerts) is Firing.UNKNOWN
    box.run(box.splunk.searches.clear)
    assert _source(box).still_firing(alerts) is Firing.UNKNOWN
    assert _source(box).still_firing([]) is Firing.UNKNOWN


def test_logs_around_an_alert_come_oldest_first(box: Sandbox) -> None:
    """Lines of the service within the window, the last ones if there are too many."""
    rows = [
        {"_raw": f"boom {number}", "service": "cart", "at": START - timedelta(seconds=age)}
        for number, age in enumerate((4000, 9, 8, 7))
    ]
    box.run(lambda: box.splunk.add_logs([*rows, {"_raw": "fine", "service": "shop", "at": START}]))
    logs = SplunkLogs(client=_client(box.urls["splunk"]), clock=box.world.clock.now)
    lines = logs.lines(service="cart", around=START, limit=2)
    assert [line.partition(" ")[2] for line in lines] == ["boom 2", "boom 3"]
    assert len(logs.lines(service="cart", around=START, limit=9)) == 3


@pytest.mark.parametrize("service", ['x" | delete', "x [search index=_audit]", "", "a\nb", "x" * 300])
def test_a_services_name_can_not_become_a_search(service: str) -> None:
    """A name that came with an alert is searched for only if it is a plain one."""
    with Unkind(answer(200, b'{"results": []}')) as server:
        logs = SplunkLogs(client=_client(server.url), clock=lambda: START)
        assert logs.lines(service=service, around=START, limit=1) == ()
        assert server.asked == []


def test_doctor_tells_what_is_missing(box: Sandbox) -> None:
    """All is well with a valid token; a wrong one and a missing right say what to do."""
    logs = SplunkLogs(client=_client(box.urls["splunk"]), clock=box.world.clock.now)
    assert all(check.ok for check in (*_source(box).check(), *logs.check()))
    stranger = SplunkSource(client=_client(box.urls["splunk"], token="wrong"), clock=box.world.clock.now)
    assert ["COUNTERSIGN_SPLUNK__TOKEN" in check.detail for check in stranger.check()] == [True, True]
    box.run(lambda: box.faults.add(Fault(vendor="splunk", kind="status", status=403, match="fired_alerts")))
    assert [check.detail for check in _source(box).check() if not check.ok] == [
        "Give the token's user the capability list_settings and read permission on the alerts' apps."
    ]


def test_the_token_does_not_show_and_an_address_must_be_whole() -> None:
    """A configuration prints without its token, and a bare host name is refused with how to write it."""
    assert "s3cret" not in repr(SplunkConfig(url="https://splunk.example.com:8089", token="s3cret"))
    with pytest.raises(ConfigError, match="https://host"):
        _client("splunk.example.com")


def test_an_empty_list_takes_no_cursor_on(box: Sandbox) -> None:
    """While splunkd starts it lists nothing; what it lists afterwards may be older than the overlap."""
    source = _source(box, pace=Pace(settle=timedelta(0), overlap=timedelta(minutes=5)))
    cursor = list(source.read(None))[-1].cursor
    box.splunk.restarting = True
    missed = _fire(box, 0)
    for _ in range(3):
        box.run(lambda: box.world.clock.step(timedelta(minutes=4)))
        cursor = list(source.read(cursor))[-1].cursor
    box.splunk.restarting = False
    assert _ids(list(source.read(cursor))) == missed
