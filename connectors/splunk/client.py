"""The client: Splunk's SDK on our transport, giving JSON as it came."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from splunklib import client as splunk
from splunklib.binding import ResponseReader, UrlEncoded

from connectors.payload import decoded, rows
from connectors.transport import CONNECT_S, READ_S, Wire, calling, new_session, sendable

_FIRED = "alerts/fired_alerts"
_JSON = "json"
# Splunk ends a search by itself then, and gives what it has found; so no search outlives our patience.
_LONGEST_SEARCH_S = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class SplunkConfig:
    """`url` is the management port (https://splunk.example.com:8089), `web_url` where people look."""

    url: str
    token: str = field(repr=False)
    web_url: str = ""
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    ca: str = ""

    @property
    def people_url(self) -> str:
        parts = urlsplit(self.url)
        return (self.web_url or f"{parts.scheme}://{parts.hostname}:8000").rstrip("/")


class SplunkClient:
    """The calls that we make, in all apps and for all owners; threads may share one. Raises OutsideError."""

    def __init__(self, config: SplunkConfig) -> None:
        self.web_url = config.people_url
        parts = urlsplit(config.url)
        wire = Wire(
            vendor="splunk",
            url=config.url,
            connect_s=config.connect_s,
            read_s=config.read_s,
            ca=config.ca,
        )
        self._session = new_session(wire)
        # The SDK's own handler has no timeout and does not verify TLS. Without "-" it sees one app only.
        self._service = splunk.connect(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or 8089,
            splunkToken=sendable("splunk", config.token),
            handler=_handler(self._session),
            owner="-",
            app="-",
            autologin=False,
            retries=0,
        )

    def close(self) -> None:
        self._session.close()

    def info(self) -> list[Any]:
        return self._list("server/info", "entry", count=1)

    def fired_searches(self) -> list[Any]:
        """One entry for each saved search that has fired, and one named `-` with their total."""
        return self._list(_FIRED, "entry", count=0)

    def firings(self, search: str) -> list[Any]:
        """All kept firings of one saved search."""
        return self._list(f"{_FIRED}/{quote(search, safe='')}", "entry", count=0)

    def results(self, sid: str, limit: int) -> list[Any]:
        """The first rows that a firing found; Permanent once Splunk has thrown them away."""
        path = f"search/v2/jobs/{quote(sid, safe='')}/results"
        return self._list(path, "results", count=limit)

    def search(self, spl: str, *, since: datetime, until: datetime, limit: int) -> list[Any]:
        """Runs one search to its end and gives its rows."""
        with calling("splunk", wrote=False):
            answer = self._service.post(
                "search/v2/jobs",
                search=spl,
                exec_mode="oneshot",
                earliest_time=f"{since.timestamp():.3f}",
                latest_time=f"{until.timestamp():.3f}",
                count=limit,
                max_time=_LONGEST_SEARCH_S,
                output_mode=_JSON,
            )
            return rows(decoded(answer.body.read()), "results")

    def _list(self, path: str, key: str, *, count: int) -> list[Any]:
        """The list under `key`; 0 as `count` means all. No content (204) is an empty list."""
        with calling("splunk", wrote=False):
            # A path that is quoted already must say so, or the SDK quotes it again.
            quoted = UrlEncoded(path, skip_encode=True)
            answer = self._service.get(quoted, output_mode=_JSON, count=count)
            return [] if answer.status == 204 else rows(decoded(answer.body.read()), key)


def _handler(session: requests.Session) -> Callable[..., Mapping[str, Any]]:
    """What the SDK calls for every request, on our session."""

    def handle(url: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = session.request(
            message.get("method", "GET"),
            str(url),
            data=message.get("body") or None,
            headers=dict(message["headers"]),
        )
        return {
            "status": answer.status_code,
            "reason": answer.reason,
            "headers": list(answer.headers.items()),
            "body": ResponseReader(io.BytesIO(answer.content)),
        }

    return handle
