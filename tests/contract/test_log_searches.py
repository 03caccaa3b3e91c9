"""Log lines around an alert: they come in time and in small, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from connectors.datadog.client import DatadogClient, DatadogConfig
from connectors.datadog.logs import DatadogLogs
from connectors.splunk.client import SplunkClient, SplunkConfig
from connectors.splunk.logs import SplunkLogs
from connectors.transport import READ_S
from countersign.errors import Transient
from countersign.ports import LogSearch
from tests.unkind import Unkind, answer, endless, hang

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LINE = "x" * 5000


def _datadog(url: str, read_s: float = 5) -> LogSearch:
    config = DatadogConfig(api_key="a", app_key="b", url=url, read_s=read_s)
    return DatadogLogs(client=DatadogClient(config), clock=lambda: START)


def _splunk(url: str, read_s: float = 5) -> LogSearch:
    return SplunkLogs(
        client=SplunkClient(SplunkConfig(url=url, token="t", read_s=read_s)), clock=lambda: START
    )


SEARCHES: dict[str, tuple[Callable[..., LogSearch], dict[str, object]]] = {
    "datadog": (_datadog, {"data": [{"attributes": {"message": LINE}}] * 900}),
    "splunk": (_splunk, {"results": [{"_time": "t", "_raw": LINE}] * 900}),
}


@pytest.mark.parametrize("vendor", SEARCHES)
def test_lines_that_do_not_come_in_time_are_missing(vendor: str) -> None:
    """A vendor that hangs costs the context its lines, and nothing else."""
    with Unkind(hang) as server, pytest.raises(Transient, match="in time"):
        SEARCHES[vendor][0](server.url, 0.3).lines(service="cart", around=START, limit=5)


@pytest.mark.parametrize("vendor", SEARCHES)
def test_a_body_that_drips_has_a_deadline(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte in time is still too late in the end."""
    monkeypatch.setattr("connectors.transport._WHOLE_CALL_S", 0.3)
    with Unkind(endless) as server, pytest.raises(Transient, match="in time"):
        SEARCHES[vendor][0](server.url, 0.3).lines(service="cart", around=START, limit=5)


@pytest.mark.parametrize("vendor", SEARCHES)
def test_no_more_than_was_asked_for(vendor: str) -> None:
    """At most so many lines of 500 characters, whatever the vendor gives."""
    search, body = SEARCHES[vendor]
    with Unkind(answer(200, json.dumps(body).encode())) as server:
        lines = search(server.url).lines(service="cart", around=START, limit=5)
    assert [len(line) for line in lines] == [500] * 5


def test_a_splunk_search_ends_by_itself_before_we_give_up() -> None:
    """Else it would go on in there and count against the user's quota."""
    with Unkind(answer(200, b'{"results": []}')) as server:
        _splunk(server.url).lines(service="cart", around=START, limit=5)
    sent = parse_qs(server.asked[0].body.decode())
    assert 0 < int(sent["max_time"][0]) < READ_S
