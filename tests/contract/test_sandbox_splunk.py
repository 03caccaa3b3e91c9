"""The imitated Splunk, asked by its own SDK (which reads Atom XML) and in plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
import requests
from splunklib import client as splunk_client
from splunklib.binding import AuthenticationError, HTTPError
from splunklib.results import JSONResultsReader, Message

from sandbox.server import Sandbox
from sandbox.splunk import TOKEN

pytestmark = pytest.mark.contract
ALL = "/servicesNS/-/-"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7) as box:
        yield box


@pytest.fixture
def service(box: Sandbox) -> Any:
    return _connect(box, TOKEN)


def _connect(box: Sandbox, token: str) -> Any:
    at = urlparse(box.urls["splunk"])
    where = {"scheme": "http", "host": at.hostname, "port": at.port, "owner": "-", "app": "-"}
    return splunk_client.connect(**where, splunkToken=token)


def _json(box: Sandbox, path: str, **asked: str) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = box.urls["splunk"] + path
    return requests.get(url, params={"output_mode": "json"} | asked, headers=headers, timeout=5).json()


def _fire(box: Sandbox, search: str = "Payment errors", ago: float = 1, rows: int = 2) -> str:
    at = box.world.clock.now() - timedelta(hours=ago)
    found = [{"host": f"pay-0{number}", "count": number} for number in range(rows)]
    return str(box.run(lambda: box.splunk.fire(search, found, 5, at)))


def test_splunk_lists_what_fired_by_saved_search(box: Sandbox, service: Any) -> None:
    """Each saved search is one entry with its count, beside the roll-up called "-"."""
    _fire(box)
    _fire(box)
    _fire(box, "Login failures")
    assert {group.name: group.count for group in service.fired_alerts} == {
        "-": 3,
        "Payment errors": 2,
        "Login failures": 1,
    }


def test_splunk_firings_tell_when_and_by_which_job(box: Sandbox, service: Any) -> None:
    """A firing has its search, severity, epoch and job, and the job still holds the rows that set it off."""
    name = _fire(box, "Payment errors (95 %)")
    group = next(group for group in service.fired_alerts if group.name == "Payment errors (95 %)")
    (firing,) = group.alerts
    assert (firing.name, firing["savedsearch_name"], firing["severity"]) == (
        name,
        "Payment errors (95 %)",
        "5",
    )
    assert abs(int(firing["trigger_time"]) - box.world.clock.now().timestamp() + 3600) < 60
    rows = JSONResultsReader(service.job(firing["sid"]).results(output_mode="json"))
    assert [row["host"] for row in rows] == ["pay-00", "pay-01"]


def test_splunk_gives_thirty_entries_unless_told(box: Sandbox) -> None:
    """The list stops at 30 entries; count=0 asks for all."""
    for number in range(40):
        _fire(box, f"search {number}")
    assert len(_json(box, f"{ALL}/alerts/fired_alerts")["entry"]) == 30
    assert len(_json(box, f"{ALL}/alerts/fired_alerts", count="0")["entry"]) == 41


def test_splunk_forgets_firings_after_a_day(box: Sandbox) -> None:
    """A firing older than 24 hours is gone from the list."""
    _fire(box, ago=23.9)
    assert len(_json(box, f"{ALL}/alerts/fired_alerts/Payment errors")["entry"]) == 1
    box.run(lambda: box.world.clock.step(timedelta(hours=1)))
    assert _json(box, f"{ALL}/alerts/fired_alerts/Payment errors")["entry"] == []


def test_splunk_shows_nothing_while_it_restarts(box: Sandbox) -> None:
    """An empty list is no proof that nothing fired."""
    _fire(box)
    box.splunk.restarting = True
    assert _json(box, f"{ALL}/alerts/fired_alerts")["entry"] == []
    box.splunk.restarting = False
    assert len(_json(box, f"{ALL}/alerts/fired_alerts")["entry"]) == 2


def test_splunk_hides_other_apps_from_the_plain_path(box: Sandbox) -> None:
    """/services shows the user's own app only, /servicesNS/-/- shows all."""
    _fire(box)
    assert _json(box, "/services/alerts/fired_alerts")["entry"] == []
    assert _json(box, "/services/saved/searches")["entry"] == []
    assert len(_json(box, f"{ALL}/saved/searches")["entry"]) == 1


def _log(box: Sandbox) -> None:
    now = box.world.clock.now()
    rows = [
        {"at": now - timedelta(minutes=5), "_raw": "ERROR card declined", "host": "pay-01", "level": "ERROR"},
        {"at": now - timedelta(minutes=4), "_raw": "INFO card accepted", "host": "pay-01", "level": "INFO"},
        {"at": now - timedelta(hours=3), "indexed_at": now, "_raw": "ERROR late row", "host": "pay-02"},
    ]
    box.run(lambda: box.splunk.add_logs(rows))


def test_splunk_runs_a_search_as_a_job_that_is_polled(box: Sandbox, service: Any) -> None:
    """A job says RUNNING, then DONE, and gives its rows newest first."""
    _log(box)
    job = service.jobs.create("search index=main host=pay-01 | head 5", exec_mode="normal")
    assert job.is_done() is False
    assert job.is_done() is True
    assert job["dispatchState"] == "DONE"
    rows = list(JSONResultsReader(job.results(output_mode="json", count=0)))
    assert [row["_raw"] for row in rows] == ["INFO card accepted", "ERROR card declined"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("search card", 2),
        ('search "card declined"', 1),
        ("search host=pay-* error", 2),
        ("search error | head 1", 1),
        ("search nothing", 0),
    ],
)
def test_splunk_exports_what_fits(box: Sandbox, service: Any, search: str, found: int) -> None:
    """Words, phrases and fields with wildcards narrow a search."""
    _log(box)
    assert len(list(JSONResultsReader(service.jobs.export(search, output_mode="json")))) == found


def test_splunk_finds_late_rows_by_when_they_arrived(box: Sandbox, service: Any) -> None:
    """A late row lies outside of a window on event time, and inside of one on index time."""
    _log(box)
    since = box.world.clock.now().timestamp() - 120
    by_event = service.jobs.export(f"search earliest={since:.0f} error", output_mode="json")
    by_arrival = service.jobs.export(f"search _index_earliest={since:.0f} error", output_mode="json")
    assert list(JSONResultsReader(by_event)) == []
    assert [row["_raw"] for row in JSONResultsReader(by_arrival)] == ["ERROR late row"]


def test_splunk_tells_of_a_partial_result_with_status_200(box: Sandbox, service: Any) -> None:
    """When a search peer is down the rows come all the same, and only a message tells."""
    _log(box)
    box.splunk.warning = "Search peer idx2 is down."
    told = list(JSONResultsReader(service.jobs.export("search card", output_mode="json")))
    assert [str(one.message) for one in told if isinstance(one, Message)] == ["Search peer idx2 is down."]
    assert len(told) == 3


@pytest.mark.parametrize("search", ["error", "search x | delete"])
def test_splunk_refuses_a_search_that_it_cannot_run(service: Any, search: str) -> None:
    """A search must begin with a known command."""
    with pytest.raises(HTTPError, match="Unknown search command"):
        service.jobs.create(search)


def test_splunk_answers_strangers_in_its_own_words(box: Sandbox) -> None:
    """A wrong token is a 401 with a message of type WARN."""
    with pytest.raises(AuthenticationError):
        list(_connect(box, "wrong").fired_alerts)
    assert '<msg type="WARN">' in str(box.splunk.error(401).text)


def test_splunk_entries_have_the_fields_of_a_real_server(box: Sandbox, contracts_dir: Path) -> None:
    """Every field of the recorded entries is in the imitation's entries too, with the same type."""
    _fire(box)
    asked = {"list": "alerts/fired_alerts", "detail": "alerts/fired_alerts/Payment errors"}
    for name, path in asked.items():
        recorded = json.loads((contracts_dir / "splunk" / f"fired_alerts.{name}.json").read_text())
        here = _json(box, f"{ALL}/{path}", count="0")
        for real, ours in zip(recorded["entry"], here["entry"], strict=True):
            shown = {key: type(ours["content"].get(key)) for key in real["content"]}
            assert shown == {key: type(value) for key, value in real["content"].items()}
            assert set(real) - {"published"} <= set(ours)
