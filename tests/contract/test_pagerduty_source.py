"""PagerDuty's log through its SDK: pages, halved windows, what fires now, and each way of failing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, repeat
from typing import Any

import pdpyras
import pytest
import requests

from connectors.cursor import Pace, Window
from connectors.pagerduty.client import PagerDutyClient, PagerDutyConfig
from connectors.pagerduty.log import entries
from connectors.pagerduty.source import PagerDutySource
from countersign.alerts import Alert, AlertState
from countersign.errors import OutsideError, Permanent, Transient
from countersign.ports import Firing, Page
from sandbox.faults import Fault
from sandbox.pagerduty import BOT_EMAIL, TOKEN
from sandbox.server import Sandbox
from tests.statuses import each_status_of_a_read
from tests.unkind import Asked, Unkind, answer, hang, reset

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EAGER = Pace(settle=timedelta(0))


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


def _client(url: str, *, key: str = TOKEN, read_s: float = 5) -> PagerDutyClient:
    return PagerDutyClient(PagerDutyConfig(api_key=key, from_email=BOT_EMAIL, url=url, read_s=read_s))


def _source(box: Sandbox, *, pace: Pace = EAGER, page_size: int = 100) -> PagerDutySource:
    return PagerDutySource(
        client=_client(box.urls["pagerduty"]), clock=box.world.clock.now, pace=pace, page_size=page_size
    )


def _fire(box: Sandbox, *ages: float) -> list[str]:
    """Opens an incident for each age in seconds; gives their ids."""
    return box.run(
        lambda: [
            box.pagerduty.fire(
                f"CPU high {age}", "database", "critical", f"k{age}", {}, START - timedelta(seconds=age)
            )
            for age in ages
        ]
    )


def _alerts(pages: list[Page]) -> list[Alert]:
    return [alert for page in pages for alert in page.alerts]


def _incidents(pages: list[Page]) -> list[str]:
    return [alert.dedup_key.removeprefix("pagerduty:") for alert in _alerts(pages)]


def test_pages_come_oldest_first_and_end_with_a_cursor(box: Sandbox) -> None:
    """PagerDuty lists the newest first; we give the oldest first, each once."""
    ids = _fire(box, 300, 200, 100, 50, 10)
    pages = list(_source(box, page_size=2).read(None))
    assert _incidents(pages) == ids
    assert json.loads(pages[-1].cursor) == {"until": START.isoformat()}


def test_firings_and_recoveries_are_read_and_nothing_else(box: Sandbox) -> None:
    """Notes and acknowledgements of people are no alerts."""
    (incident_id,) = _fire(box, 60)
    box.run(lambda: box.pagerduty.add_note(incident_id, BOT_EMAIL, "looking"))
    box.run(lambda: box.world.clock.step(timedelta(seconds=5)))
    box.run(lambda: box.pagerduty.recover("k60"))
    box.run(lambda: box.world.clock.step(timedelta(seconds=5)))
    states = [alert.state for alert in _alerts(list(_source(box).read(None)))]
    assert states == [AlertState.FIRING, AlertState.RECOVERED]


def test_a_crash_between_two_pages_loses_nothing(box: Sandbox) -> None:
    """Whatever page was the last to be recorded, reading on from its cursor gives all the rest."""
    ids = _fire(box, 3000, 2000, 1000, 500, 10)
    source = _source(box, page_size=1)
    for recorded in range(1, 6):
        pages = list(islice(source.read(None), recorded))
        assert set(_incidents(pages) + _incidents(list(source.read(pages[-1].cursor)))) == set(ids)


def test_a_storm_is_read_in_halves(box: Sandbox) -> None:
    """A window with more entries than are read at once is halved until each piece is small, and none is lost."""
    ids = _fire(box, *range(10, 2010, 5))
    client = _client(box.urls["pagerduty"])
    pieces = list(entries(client, Window(since=START - timedelta(hours=1), until=START), most=100))
    found = [entry["incident"]["id"] for piece in pieces for entry in piece]
    assert max(len(piece) for piece in pieces) <= 100
    assert set(found) == set(ids)
    assert list(dict.fromkeys(found)) == ids[::-1]


def test_more_than_the_limit_in_one_moment_is_said_aloud() -> None:
    """Where no half is small enough we stop, instead of stopping silently at 10,000 as the SDK does."""
    body = json.dumps({"log_entries": [{"id": "R"}], "more": True, "total": 12_000}).encode()
    with Unkind(answer(200, body)) as server, pytest.raises(Permanent, match="10000"):
        list(entries(_client(server.url), Window(since=START - timedelta(minutes=1), until=START)))


def test_a_window_is_never_longer_than_pagerduty_takes(box: Sandbox) -> None:
    """After a year of silence the log is read month by month: more than six months are refused."""
    ids = _fire(box, 300 * 86400, 10)
    source = _source(box, pace=Pace(settle=timedelta(0), look_back=timedelta(days=365)))
    assert _incidents(list(source.read(None))) == ids


def test_times_are_sent_in_utc() -> None:
    """Without an offset they would be taken for the account's zone."""
    with Unkind(answer(200, b'{"log_entries": []}')) as server:
        list(PagerDutySource(client=_client(server.url), clock=lambda: START, pace=EAGER).read(None))
        assert "since=2026-11-20T11%3A00%3A00Z" in server.asked[0].path
        assert "until=2026-11-20T12%3A00%3A00Z" in server.asked[0].path


def test_an_incident_that_is_only_named_is_asked_for_once() -> None:
    """Where the log holds a reference, the incident is fetched, and remembered for the page."""
    entry = {
        "type": "trigger_log_entry",
        "created_at": "2026-11-20T11:59:00Z",
        "incident": {"id": "Q1ABCDEF", "type": "incident_reference", "summary": "[#7] CPU"},
    }
    log = {"log_entries": [entry | {"id": "R1"}, entry | {"id": "R2"}]}
    incident = {"incident": {"id": "Q1ABCDEF", "title": "CPU high", "status": "triggered", "urgency": "high"}}
    answers = _first(answer(200, json.dumps(log).encode()), then=answer(200, json.dumps(incident).encode()))
    with Unkind(answers) as server:
        source = PagerDutySource(client=_client(server.url), clock=lambda: START, pace=EAGER)
        alerts = _alerts(list(source.read(None)))
        assert [asked.path.partition("?")[0] for asked in server.asked] == [
            "/log_entries",
            "/incidents/Q1ABCDEF",
        ]
    assert [alert.summary for alert in alerts] == ["CPU high", "CPU high"]


def test_an_entry_that_can_not_be_read_is_kept_beside_the_others(box: Sandbox) -> None:
    """One odd payload neither stops the page nor disappears: it comes with its id, reason and text."""
    good = _fire(box, 60)
    sent = {"cef_details": "x"}
    odd = box.run(lambda: box.pagerduty.fire_raw({}, sent, "database", START - timedelta(seconds=5)))
    pages = list(_source(box).read(None))
    (unreadable,) = [one for page in pages for one in page.unreadable]
    assert _incidents(pages) == good
    assert json.loads(unreadable.payload)["incident"]["id"] == odd
    assert "cef_details" in unreadable.reason


def _post_with_bare_sdk(server: Unkind) -> list[Asked]:
    """What the SDK does by itself, with its waits shortened."""
    session = pdpyras.APISession(TOKEN, default_from=BOT_EMAIL)
    session.url, session.sleep_timer, session.sleep_timer_base = server.url, 0.001, 1
    with pytest.raises(pdpyras.PDClientError):
        session.post("/incidents/Q1/notes", json={"note": {"content": "hello"}})
    return server.asked


def test_the_sdk_alone_would_write_a_note_four_times() -> None:
    """The danger is real: this shows that the guard in the next test guards against something."""
    with Unkind(reset) as server:
        assert len(_post_with_bare_sdk(server)) == 4


@pytest.mark.parametrize(
    "behave",
    [hang, reset, answer(429, ratelimit_reset="3"), answer(500), answer(503), answer(401), answer(400)],
)
def test_a_note_is_sent_once_whatever_happens(behave: Callable[..., None]) -> None:
    """Neither a reset nor a 429 makes the SDK send again: the server saw exactly one request."""
    with Unkind(behave) as server:
        with pytest.raises(OutsideError):
            _client(server.url, read_s=0.3).add_note("Q1ABCDEF", "hello")
        assert len(server.asked) == 1


@pytest.mark.parametrize("behave", [reset, answer(429), answer(503)])
def test_the_sdks_own_settings_would_not_send_again_either(behave: Callable[..., None]) -> None:
    """A second line: with our transport taken out, what we set on the SDK alone makes it send once."""
    with Unkind(_first(behave, then=answer(404))) as server:
        client = _client(server.url)
        client._session.mount("http://", requests.adapters.HTTPAdapter())
        client._session.sleep_timer = 0.001
        with pytest.raises((OutsideError, pdpyras.PDClientError)):
            client.add_note("Q1ABCDEF", "hello")
        assert len(server.asked) == 1


def _first(behave: Callable[[Any], None], then: Callable[[Any], None]) -> Callable[[Any], None]:
    turns = chain([behave], repeat(then))

    def in_turn(handler: Any) -> None:
        next(turns)(handler)

    return in_turn


@pytest.mark.parametrize("behave", [hang, reset, answer(429, ratelimit_reset="3"), answer(500), answer(503)])
def test_a_bad_moment_is_one_request_and_transient(behave: Callable[..., None]) -> None:
    """The SDK alone would ask for ever on 429."""
    with Unkind(behave) as server:
        source = PagerDutySource(client=_client(server.url, read_s=0.3), clock=lambda: START, pace=EAGER)
        with pytest.raises(Transient):
            list(source.read(None))
        assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<html/>", b"", b"[]", b'{"log_entries": {}}', b"\xff", b"[" * 99_999])
def test_nonsense_is_transient(body: bytes) -> None:
    """An answer that is not a log is no empty log."""
    with Unkind(answer(200, body)) as server:
        source = PagerDutySource(client=_client(server.url), clock=lambda: START, pace=EAGER)
        with pytest.raises(Transient, match="something else"):
            list(source.read(None))


@each_status_of_a_read
def test_each_status_becomes_our_error(box: Sandbox, status: int, kind: type[OutsideError]) -> None:
    """Works, breaks, recovers: the error has the vendor's status, and the next reading is whole."""
    ids = _fire(box, 10)
    source = _source(box)
    assert _incidents(list(source.read(None))) == ids
    box.run(lambda: box.faults.add(Fault(vendor="pagerduty", kind="status", status=status)))
    with pytest.raises(OutsideError) as raised:
        list(source.read(None))
    assert type(raised.value) is kind
    assert (raised.value.where, raised.value.status) == ("pagerduty", status)
    assert TOKEN[-4:] not in str(raised.value)
    assert _incidents(list(source.read(None))) == ids


def test_the_incident_is_asked_whether_it_still_fires(box: Sandbox) -> None:
    """YES while one is open, NO when all are resolved, UNKNOWN for one that is not there."""
    _fire(box, 60, 30)
    source = _source(box)
    alerts = _alerts(list(source.read(None)))
    assert source.still_firing(alerts) is Firing.YES
    box.run(lambda: box.pagerduty.recover("k60"))
    assert source.still_firing(alerts) is Firing.YES
    box.run(lambda: box.pagerduty.recover("k30"))
    assert source.still_firing(alerts) is Firing.NO
    box.run(lambda: box.pagerduty.incidents.pop(alerts[0].dedup_key.removeprefix("pagerduty:")))
    assert source.still_firing(alerts) is Firing.UNKNOWN
    assert source.still_firing([]) is Firing.UNKNOWN


def test_doctor_tells_what_is_missing(box: Sandbox) -> None:
    """All is well with a valid key; a wrong one says where to put another."""
    assert all(check.ok for check in _source(box).check())
    stranger = PagerDutySource(
        client=_client(box.urls["pagerduty"], key="wrong-key"), clock=box.world.clock.now
    )
    (check,) = stranger.check()
    assert "COUNTERSIGN_PAGERDUTY__TOKEN" in check.detail
    assert "s3cret" not in repr(PagerDutyConfig(api_key="s3cret"))


def test_a_page_that_comes_twice_is_an_error_and_nothing_is_passed_over(box: Sandbox) -> None:
    """Paging by offset, the second page would else be taken for read although the first came in its place."""
    _fire(box, *range(10, 160))
    box.run(lambda: box.faults.add(Fault(vendor="pagerduty", match="/log_entries", kind="repeat", times=2)))
    with pytest.raises(Permanent, match="not asked for"):
        list(_source(box).read(None))
    assert len(set(_incidents(list(_source(box).read(None))))) == 150
