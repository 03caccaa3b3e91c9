"""The known dangers of the vendors' SDKs: each shown with the bare SDK, and shown to be gone with our connector."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import jira.resilientsession
import pdpyras
import pysnow
import pytest
import requests
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v2.api.events_api import EventsApi
from datadog_api_client.v2.model.events_list_request import EventsListRequest
from jira import JIRA
from splunklib import client as splunklib

from connectors.cursor import Pace
from connectors.datadog.client import DatadogClient, DatadogConfig
from connectors.datadog.source import DatadogSource
from connectors.jira.client import JiraClient, JiraConfig
from connectors.pagerduty.client import PagerDutyClient, PagerDutyConfig
from connectors.servicenow.client import ServiceNowClient, ServiceNowConfig
from connectors.splunk.client import SplunkClient, SplunkConfig
from countersign.errors import Denied, Permanent, Transient, Unsure
from tests.unkind import Unkind, answer, hang, reset

pytestmark = pytest.mark.contract
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SHORT = 0.3
_SELF_SIGNED = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 "
    "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
)
# The SDK's constructors have no types.
configuration: Any = Configuration
events_api: Any = EventsApi


class _Enough(Exception):
    """An SDK would have gone on."""


def _bare_datadog(url: str) -> Any:
    return events_api(ApiClient(configuration(host=url, api_key={"apiKeyAuth": "a", "appKeyAuth": "b"})))


def _bare_splunk(url: str, **more: Any) -> Any:
    scheme, _, place = url.partition("://")
    host, _, port = place.partition(":")
    return splunklib.connect(
        scheme=scheme, host=host, port=int(port), splunkToken="t", autologin=False, **more
    )


def _bare_jira(url: str, **more: Any) -> JIRA:
    return JIRA(server=url, basic_auth=("a", "b"), get_server_info=False, **more)


def _jira(url: str) -> JiraClient:
    return JiraClient(JiraConfig(url=url, user="a", token="b", project="OPS", read_s=SHORT))


def _servicenow(url: str) -> ServiceNowClient:
    return ServiceNowClient(ServiceNowConfig(url=url, user="a", password="b", read_s=SHORT))


HANGING: dict[str, tuple[Callable[[str], object], Callable[[str], object]]] = {
    "datadog": (
        lambda url: _bare_datadog(url).list_events(),
        lambda url: DatadogClient(DatadogConfig(api_key="a", app_key="b", url=url, read_s=SHORT)).validate(),
    ),
    "splunk": (
        lambda url: _bare_splunk(url).get("server/info"),
        lambda url: SplunkClient(SplunkConfig(url=url, token="t", read_s=SHORT)).info(),
    ),
    "jira": (lambda url: _bare_jira(url, max_retries=0).myself(), lambda url: _jira(url).myself()),
    "pagerduty": (
        lambda url: _at(pdpyras.APISession("k"), url).get("/users"),
        lambda url: PagerDutyClient(PagerDutyConfig(api_key="k", url=url, read_s=SHORT)).users("x"),
    ),
    "servicenow": (
        lambda url: _bare_pysnow(url).resource(api_path="/table/incident").get(query={}).all(),
        lambda url: _servicenow(url).rows("incident", "x=1", ("sys_id",)),
    ),
}


def _at(session: Any, url: str) -> Any:
    session.url = url
    return session


def _bare_pysnow(url: str) -> Any:
    return pysnow.Client(host=url.partition("://")[2], use_ssl=False, user="a", password="b")


@pytest.mark.parametrize("vendor", HANGING)
def test_a_server_that_never_answers(vendor: str) -> None:
    """The bare SDK still waits when ours has long given up: no or a minute's default timeout against our own."""
    bare, ours = HANGING[vendor]
    with Unkind(hang) as server:
        waiting = threading.Thread(target=_ignoring(bare), args=(server.url,), daemon=True)
        waiting.start()
        with pytest.raises(Transient, match="in time"):
            ours(server.url)
        assert waiting.is_alive()


def _ignoring(call: Callable[[str], object]) -> Callable[[str], None]:
    def quietly(url: str) -> None:
        try:
            call(url)
        except Exception:  # noqa: BLE001 - the server is shut down under it, and each SDK has its own word for that
            return

    return quietly


def _patience(monkeypatch: pytest.MonkeyPatch, module: Any, most: int) -> list[float]:
    """Lets the SDK sleep without waiting, and ends it when it has slept `most` times."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) >= most:
            raise _Enough

    monkeypatch.setattr(module.time, "sleep", sleep)
    return slept


def test_a_comment_is_sent_again_after_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare python-jira sends a POST four times; ours once, and is unsure."""
    with Unkind(reset) as server:
        site = _bare_jira(server.url)
        _patience(monkeypatch, jira.resilientsession, 100)
        with pytest.raises(requests.ConnectionError):
            site.add_comment("OPS-1", "hello")
        assert [asked.method for asked in server.asked] == ["POST"] * 4
    with Unkind(reset) as server:
        with pytest.raises(Unsure):
            _jira(server.url).create("issue/OPS-1/comment", {"body": {}})
        assert len(server.asked) == 1


def test_a_429_is_asked_again_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare pdpyras never stops; ours asks once and gives the vendor's own time."""
    with Unkind(answer(429, b"{}", ratelimit_reset="7")) as server:
        _patience(monkeypatch, pdpyras, 15)
        with pytest.raises(_Enough):
            _at(pdpyras.APISession("k"), server.url).get("/users")
        assert len(server.asked) == 15
    with Unkind(answer(429, b"{}", ratelimit_reset="7")) as server:
        client = PagerDutyClient(PagerDutyConfig(api_key="k", url=server.url))
        with pytest.raises(Transient) as raised:
            client.users("x")
        assert len(server.asked) == 1
        assert raised.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_record_that_was_never_made(status: int) -> None:
    """Bare pysnow's create returns as if all were well; ours raises before anything is read."""
    kind = {429: Transient, 500: Unsure, 503: Unsure}[status]
    with Unkind(answer(status, b'{"error": {"message": "no"}, "status": "failure"}')) as server:
        made = _bare_pysnow(server.url).resource(api_path="/table/incident").create(payload={"a": "b"})
        assert made is not None
        with pytest.raises(kind):
            _servicenow(server.url).insert("incident", {"short_description": "x"}, ("sys_id",))
        assert len(server.asked) == 2


def test_the_first_page_without_end() -> None:
    """Datadog's own helper, given no page, asks for the first one for ever; ours ends at a repeated token."""
    page = {"data": [{"id": "1", "type": "event"}] * 10, "meta": {"page": {"after": "same"}}}
    with Unkind(answer(200, json.dumps(page).encode(), Content_Type="application/json")) as server:
        helper = _bare_datadog(server.url).search_events_with_pagination(body=EventsListRequest())
        assert len(list(islice(helper, 95))) == 95
        assert [json.loads(asked.body).get("page", {}).get("cursor") for asked in server.asked] == [None] * 10
    with Unkind(answer(200, json.dumps({**page, "data": []}).encode())) as server:
        client = DatadogClient(DatadogConfig(api_key="a", app_key="b", url=server.url))
        with pytest.raises(Permanent, match="twice"):
            list(DatadogSource(client=client, clock=lambda: NOW, pace=Pace(settle=timedelta(0))).read(None))
        assert len(server.asked) == 2


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's side with a certificate that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with: install it")
    subprocess.run(_SELF_SIGNED.split(), cwd=tmp_path, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def test_a_token_for_whoever_answers(tls: ssl.SSLContext) -> None:
    """Bare splunklib gives its token to a server that nobody vouches for; ours gives it nothing."""
    with Unkind(answer(200, b"{}"), tls=tls) as server:
        _bare_splunk(server.url).get("server/info")
        assert server.asked[0].headers["Authorization"] == "Bearer t"
    with Unkind(answer(200, b"{}"), tls=tls) as server:
        with pytest.raises(Denied, match="not trusted"):
            SplunkClient(SplunkConfig(url=server.url, token="t")).info()
        assert server.asked == []
