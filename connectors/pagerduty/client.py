"""The client: PagerDuty's SDK on our transport, giving JSON as it came."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from connectors.payload import decoded, rows
from connectors.transport import CONNECT_S, READ_S, Wire, calling, fit, sendable
from countersign.errors import Permanent

with warnings.catch_warnings():
    # It says at import that it is deprecated, which we know (docs tell why it is here still).
    warnings.filterwarnings("ignore", message='The package "pdpyras" is deprecated')
    from pdpyras import APISession

LARGEST_PAGE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class PagerDutyConfig:
    """`from_email` is the account's user in whose name we write; give us one of our own."""

    api_key: str = field(repr=False)
    from_email: str = ""
    url: str = "https://api.pagerduty.com"
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    ca: str = ""


class PagerDutyClient:
    """The calls that we make, each once; threads may share one. Raises OutsideError."""

    def __init__(self, config: PagerDutyConfig) -> None:
        self.from_email = config.from_email
        session = APISession(sendable("pagerduty", config.api_key), default_from=config.from_email or None)
        session.url = config.url.rstrip("/")
        # The SDK sends four times after a network failure, and for ever on 429. Our adapter raises what it does
        # not catch; this tells the SDK the same. 0 and -1, because it compares with "more than".
        session.max_network_attempts = 0
        session.max_http_attempts = -1
        session.retry = {429: 1}
        session.timeout = (config.connect_s, config.read_s)
        wire = Wire(
            vendor="pagerduty",
            url=session.url,
            connect_s=config.connect_s,
            read_s=config.read_s,
            ca=config.ca,
        )
        fit(session, wire)
        self._session = session

    def close(self) -> None:
        self._session.close()

    def log_page(
        self, since: datetime, until: datetime, *, offset: int, limit: int = LARGEST_PAGE
    ) -> dict[str, Any]:
        """A page of the account's log, newest first, with `log_entries`, `more` and `total`.

        Each entry has its whole incident and channel. Times are sent in UTC with Z: without an offset they
        would be taken for the account's.
        """
        asked = {
            "since": _zulu(since),
            "until": _zulu(until, up=True),
            "offset": offset,
            "limit": limit,
            "total": "true",
            "include": ["incidents", "services", "channels"],
        }
        with calling("pagerduty", wrote=False):
            answer = decoded(self._session.get("/log_entries", params=asked).content)
            rows(answer, "log_entries")
            return answer

    def incident(self, incident_id: str) -> dict[str, Any] | None:
        """One incident; None where there is none of this id."""
        return self._one("incident", "incidents", incident_id)

    def _one(self, key: str, *path: str) -> dict[str, Any] | None:
        try:
            with calling("pagerduty", wrote=False):
                return _inside(self._session.get(_path(*path)).content, key)
        except Permanent as error:
            if error.status != 404:
                raise
            return None

    def notes(self, incident_id: str) -> list[Any]:
        with calling("pagerduty", wrote=False):
            return rows(decoded(self._session.get(_path("incidents", incident_id, "notes")).content), "notes")

    def user(self, user_id: str) -> dict[str, Any] | None:
        """One user; None for one who was deleted since."""
        return self._one("user", "users", user_id)

    def users(self, query: str) -> list[Any]:
        with calling("pagerduty", wrote=False):
            asked = {"query": query, "limit": LARGEST_PAGE}
            return rows(decoded(self._session.get("/users", params=asked).content), "users")

    def add_note(self, incident_id: str, content: str) -> dict[str, Any]:
        with calling("pagerduty", wrote=True):
            sent = {"note": {"content": content}}
            answer = self._session.post(_path("incidents", incident_id, "notes"), json=sent)
            return _inside(answer.content, "note")

    def delete_note(self, incident_id: str, note_id: str) -> None:
        with calling("pagerduty", wrote=True):
            self._session.delete(_path("incidents", incident_id, "notes", note_id))

    def set_status(self, incident_id: str, status: str) -> None:
        """`status` is "acknowledged" or "resolved"."""
        with calling("pagerduty", wrote=True):
            sent = {"incident": {"type": "incident_reference", "status": status}}
            _inside(self._session.put(_path("incidents", incident_id), json=sent).content, "incident")


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _inside(body: bytes, key: str) -> dict[str, Any]:
    """The object under `key`. Raises json.JSONDecodeError where there is none."""
    found = decoded(body).get(key)
    if not isinstance(found, dict):
        raise json.JSONDecodeError(f"no object {key}", "", 0)
    return found


def _zulu(at: datetime, *, up: bool = False) -> str:
    """PagerDuty's times are whole seconds; `up` takes the next one."""
    whole = at.astimezone(UTC) + (timedelta(seconds=1) if up and at.microsecond else timedelta(0))
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")
