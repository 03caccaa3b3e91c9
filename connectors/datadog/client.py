"""The client: Datadog's SDK on our transport, giving JSON as it came."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v2.api.events_api import EventsApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.events_list_request import EventsListRequest
from datadog_api_client.v2.model.events_query_filter import EventsQueryFilter
from datadog_api_client.v2.model.events_request_page import EventsRequestPage
from datadog_api_client.v2.model.events_sort import EventsSort
from datadog_api_client.v2.model.logs_list_request import LogsListRequest
from datadog_api_client.v2.model.logs_list_request_page import LogsListRequestPage
from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter
from datadog_api_client.v2.model.logs_sort import LogsSort

from connectors.payload import decoded, rows
from connectors.transport import CONNECT_S, READ_S, Loss, Lost, Wire, calling, new_session, sendable
from countersign.errors import Denied


@dataclass(frozen=True, kw_only=True, slots=True)
class DatadogConfig:
    """`url` is the API of the site where the account lives (https://api.datadoghq.eu, https://api.us5.datadoghq.com)."""

    api_key: str = field(repr=False)
    app_key: str = field(repr=False)
    url: str = "https://api.datadoghq.com"
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    ca: str = ""

    @property
    def app_url(self) -> str:
        """Where people look: sites with a subdomain of their own have no `app.`; behind a proxy, the first of all."""
        host = urlsplit(self.url).hostname or ""
        site = host.removeprefix("api.") if host.startswith("api.") else "datadoghq.com"
        return f"https://{site}" if site.count(".") > 1 else f"https://app.{site}"


class DatadogClient:
    """The calls that we make, each read whole and decoded. One may be shared by threads. Raises OutsideError.

    The SDK's models mark what they don't know as unparsed without a word, so its answers are taken before it
    makes models of them (`preload_content`): the mapping decides what it can read.
    """

    def __init__(self, config: DatadogConfig) -> None:
        self.app_url, url = config.app_url, config.url.rstrip("/")
        sdk = Configuration(host=url, enable_retry=False)  # type: ignore[no-untyped-call]
        # Set as an attribute: the constructor mixes `api_key` with DD_API_KEY of the environment.
        keys = {"apiKeyAuth": config.api_key, "appKeyAuth": config.app_key}
        sdk.api_key = {name: sendable("datadog", key) for name, key in keys.items()}
        sdk.request_timeout = (config.connect_s, config.read_s)
        sdk.preload_content = False
        api = ApiClient(sdk)
        wire = Wire(
            vendor="datadog",
            url=url,
            connect_s=config.connect_s,
            read_s=config.read_s,
            ca=config.ca,
        )
        self._session = new_session(wire)
        api.rest_client.pool_manager = _Pool(self._session)
        self._authentication = AuthenticationApi(api)  # type: ignore[no-untyped-call]
        self._monitors = MonitorsApi(api)  # type: ignore[no-untyped-call]
        self._events = EventsApi(api)  # type: ignore[no-untyped-call]
        self._logs = LogsApi(api)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self._session.close()

    def validate(self) -> None:
        """Denied unless the API key is valid; the application key shows in the other calls."""
        with calling("datadog", wrote=False):
            valid = decoded(_body(self._authentication.validate())).get("valid")
        if valid is not True:
            raise Denied("Datadog says that the API key is not valid; put a valid one in.", where="datadog")

    def monitor(self, monitor_id: int) -> dict[str, Any]:
        """One monitor with the state of all its groups."""
        with calling("datadog", wrote=False):
            return decoded(_body(self._monitors.get_monitor(monitor_id, group_states="all")))

    def monitor_names(self, limit: int) -> None:
        """Lists monitors and forgets them: the cheapest call that needs monitors_read."""
        with calling("datadog", wrote=False):
            _body(self._monitors.list_monitors(page=0, page_size=limit))

    def events(
        self, *, query: str, since: datetime, until: datetime, after: str, limit: int
    ) -> tuple[list[Any], str]:
        """A page of events between two times, oldest first, and the next page's token ("" after the last)."""
        page = EventsRequestPage(limit=limit, cursor=after) if after else EventsRequestPage(limit=limit)
        asked = EventsListRequest(
            filter=EventsQueryFilter(query=query, _from=_millis(since), to=_millis(until)),
            sort=EventsSort.TIMESTAMP_ASCENDING,
            page=page,
        )
        with calling("datadog", wrote=False):
            answer = _whole(_body(self._events.search_events(body=asked)))
            return rows(answer, "data"), _next(answer)

    def logs(self, *, query: str, since: datetime, until: datetime, limit: int) -> list[Any]:
        """The last `limit` log lines between two times, newest first."""
        asked = LogsListRequest(
            filter=LogsQueryFilter(query=query, _from=_millis(since), to=_millis(until)),
            sort=LogsSort.TIMESTAMP_DESCENDING,
            page=LogsListRequestPage(limit=limit),
        )
        with calling("datadog", wrote=False):
            return rows(decoded(_body(self._logs.list_logs(body=asked))), "data")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the SDK asks of a response of urllib3."""

    status: int
    reason: str
    data: bytes
    headers: Mapping[str, str]


class _Pool:
    """Stands where the SDK has its urllib3 pool (no timeout, follows redirects), and uses our session."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def request(
        self,
        method: str,
        url: str,
        *,
        preload_content: bool,  # noqa: ARG002 - bodies are always read whole
        timeout: object,  # noqa: ARG002 - the session has its own
        headers: Mapping[str, str],
        body: bytes | str | None = None,
        fields: Sequence[tuple[str, str]] | None = None,
    ) -> _Answer:
        answer = self._session.request(method, url, params=list(fields or ()), data=body, headers=headers)
        return _Answer(answer.status_code, answer.reason, answer.content, answer.headers)

    def clear(self) -> None:
        self._session.close()


def _body(answer: Any) -> bytes:
    """The SDK promises a model; with `preload_content` off it is what the pool gave."""
    data: bytes = answer.data
    return data


def _whole(body: bytes) -> dict[str, Any]:
    """An answer that holds all that was found: after its time is up a search gives what it has, with the status 200."""
    answer = decoded(body)
    meta = answer.get("meta")
    if isinstance(meta, dict) and (meta.get("status") == "timeout" or meta.get("warnings")):
        raise Lost(Loss.PARTIAL, "its API")
    return answer


def _next(answer: Mapping[str, Any]) -> str:
    meta = answer.get("meta")
    page = meta.get("page") if isinstance(meta, dict) else None
    token = page.get("after") if isinstance(page, dict) else None
    if token is None:
        return ""
    if not isinstance(token, str):
        # Taken for the last page, it would end the reading before its time, and the cursor would pass over the rest.
        raise json.JSONDecodeError("the next page's token is no text", "", 0)
    return token


def _millis(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))
