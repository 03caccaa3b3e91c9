"""Cursors: whatever arrives when, however it is paged and wherever we crash, each alert is recorded exactly once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from connectors.cursor import Pace
from connectors.datadog.client import DatadogClient, DatadogConfig
from connectors.datadog.source import DatadogSource
from connectors.jira.client import JiraClient, JiraConfig
from connectors.jira.source import JiraSource
from connectors.pagerduty.client import PagerDutyClient, PagerDutyConfig
from connectors.pagerduty.source import PagerDutySource
from connectors.servicenow.client import ServiceNowClient, ServiceNowConfig
from connectors.servicenow.source import ServiceNowSource
from connectors.splunk.client import SplunkClient, SplunkConfig
from connectors.splunk.source import SplunkSource
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from countersign.errors import OutsideError
from countersign.ledger import Entry
from countersign.ports import AlertSource
from sandbox import datadog, pagerduty, splunk
from sandbox.faults import Fault
from sandbox.server import Sandbox

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EXAMPLES = 300 if os.environ.get("COUNTERSIGN_NIGHTLY") else 5
MINUTES = 6
LATEST = 240  # seconds; the shortest overlap is five minutes
PACE = Pace(settle=timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One source: how something happens in the sandbox, which gives the alert's id, and our reader of it.

    `page` is the request whose answer comes twice in a row; `lag` is how long the vendor's search lags.
    """

    tell: Callable[[Sandbox, int, datetime], str]
    reader: Callable[[Sandbox, int], AlertSource]
    page: str
    lag: timedelta = timedelta(0)


def _tell_pagerduty(box: Sandbox, number: int, at: datetime) -> str:
    incident = box.pagerduty.fire(f"CPU {number}", "db", "critical", f"k{number}", {}, at)
    return str(next(entry["id"] for entry in box.pagerduty.log if entry["incident"]["id"] == incident))


def _tell_servicenow(box: Sandbox, number: int, at: datetime) -> str:
    """The row bears a time before it can be seen: its transaction took that long."""
    stamp = at.strftime("%Y-%m-%d %H:%M:%S")
    return box.servicenow.open_incident(short_description=f"x {number}", sys_created_on=stamp)["sys_id"]


def _read_datadog(box: Sandbox, size: int) -> AlertSource:
    config = DatadogConfig(api_key=datadog.API_KEY, app_key=datadog.APP_KEY, url=box.urls["datadog"])
    return DatadogSource(client=DatadogClient(config), clock=box.world.clock.now, pace=PACE, page_size=size)


def _read_splunk(box: Sandbox, size: int) -> AlertSource:
    client = SplunkClient(SplunkConfig(url=box.urls["splunk"], token=splunk.TOKEN))
    return SplunkSource(client=client, clock=box.world.clock.now, pace=PACE, page_size=size)


def _read_pagerduty(box: Sandbox, size: int) -> AlertSource:
    client = PagerDutyClient(PagerDutyConfig(api_key=pagerduty.TOKEN, url=box.urls["pagerduty"]))
    return PagerDutySource(client=client, clock=box.world.clock.now, pace=PACE, page_size=size)


def _read_servicenow(box: Sandbox, size: int) -> AlertSource:
    config = ServiceNowConfig(url=box.urls["servicenow"], user="us", password="x", page_size=size)
    return ServiceNowSource(ServiceNowClient(config), clock=box.world.clock.now)


def _read_jira(box: Sandbox, size: int) -> AlertSource:
    config = JiraConfig(url=box.urls["jira"], user="us@example.com", token="x", project="OPS", page_size=size)
    return JiraSource(JiraClient(config), clock=box.world.clock.now)


FEEDS: Mapping[str, Feed] = {
    "datadog": Feed(
        tell=lambda box, n, at: box.datadog.fire("Errors", 5, f"host:h{n}", at=at),
        reader=_read_datadog,
        page="/events/search",
    ),
    "splunk": Feed(
        tell=lambda box, n, at: box.splunk.fire(f"search {n % 3}", [{"host": f"h{n}"}], at=at),
        reader=_read_splunk,
        page="/fired_alerts$",
    ),
    "pagerduty": Feed(tell=_tell_pagerduty, reader=_read_pagerduty, page="/log_entries"),
    "servicenow": Feed(tell=_tell_servicenow, reader=_read_servicenow, page="/table/incident"),
    "jira": Feed(
        tell=lambda box, n, at: box.jira.open_issue(summary=f"x {n}", opened=at).id,
        reader=_read_jira,
        page="/search/jql",
        lag=timedelta(minutes=1),
    ),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger without rows, to be copied."""
    file = tmp_path_factory.mktemp("empty") / "ledger.db"
    migrate(f"sqlite:///{file}")
    return file


def _pull(ledger: SqlLedger, source: AlertSource, pages: int) -> None:
    """Reads and records at most so many pages, as a worker that dies then; nothing of it but the ledger is left."""
    claimed = ledger.intake.claim_feed(source.name, worker="w", lease=timedelta(minutes=2))
    assert claimed is not None
    fence, cursor = claimed
    try:
        for page in islice(source.read(cursor), pages):
            assert page.unreadable == ()
            entries = [Entry(alert=one, use_case="u", fingerprint=one.summary) for one in page.alerts]
            ledger.intake.record_page(source.name, fence, entries=entries, unreadable=(), cursor=page.cursor)
    except OutsideError:
        pass  # a page that came twice: noticed, and read again by the next pull
    finally:
        ledger.intake.release_feed(source.name, fence)


def _recorded(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [str(row[0]) for row in connection.execute(text("SELECT source_id FROM alerts"))]
    engine.dispose()
    return sorted(found)


@pytest.mark.parametrize("name", FEEDS)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(
    arrivals=st.lists(st.tuples(st.integers(0, MINUTES - 1), st.integers(0, LATEST)), min_size=1, max_size=9),
    page_size=st.integers(1, 4),
    crashes=st.lists(st.integers(0, 4), min_size=MINUTES, max_size=MINUTES),
    repeats=st.lists(st.booleans(), min_size=MINUTES, max_size=MINUTES),
)
def test_every_alert_is_recorded_exactly_once(
    empty: Path,
    name: str,
    arrivals: list[tuple[int, int]],
    page_size: int,
    crashes: list[int],
    repeats: list[bool],
) -> None:
    """For any order of arrival, delay within the overlap, page size, crash point and page that comes twice."""
    feed = FEEDS[name]
    with _ledger(empty) as (url, open_ledger), Sandbox(seed=7, start=START, speed=0) as box:
        box.world.search_lag = feed.lag
        ledger, told = open_ledger(box.world.clock.now), []
        for minute in range(MINUTES + 4):
            due = [delay for at, delay in arrivals if at == minute]
            told += [_tell(box, feed, minute * 100 + number, late) for number, late in enumerate(due)]
            box.run(lambda: box.world.clock.step(timedelta(minutes=1)))
            running = minute < MINUTES
            if running and repeats[minute]:
                again = Fault(vendor=name, match=feed.page, kind="repeat", times=2)
                box.run(lambda again=again: box.faults.add(again))  # type: ignore[misc]
            _pull(ledger, feed.reader(box, page_size), crashes[minute] if running else 1000)
            box.run(box.faults.clear)
        ledger.close()
        assert _recorded(url) == sorted(told)


def _tell(box: Sandbox, feed: Feed, number: int, late: int) -> str:
    """Something that happened `late` seconds ago, and is to be seen from now on."""
    at = box.world.clock.now() - timedelta(seconds=late)
    return box.run(lambda: feed.tell(box, number, at))


class _ledger:
    """A fresh ledger in a folder of its own: its URL, and a function that opens it on a clock."""

    def __init__(self, empty: Path) -> None:
        self._empty = empty
        self._folder = TemporaryDirectory()

    def __enter__(self) -> tuple[str, Callable[[Callable[[], datetime]], SqlLedger]]:
        file = Path(self._folder.name) / "ledger.db"
        shutil.copy(self._empty, file)
        url = f"sqlite:///{file}"
        return url, lambda clock: SqlLedger.open(url, clock=clock)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
