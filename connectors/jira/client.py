"""The client of one Jira Cloud site: python-jira for sign-in and search, our transport below it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Literal

from jira import JIRA

from connectors.transport import CONNECT_S, READ_S, Loss, Lost, Wire, calling, fit, sendable
from countersign.errors import Permanent

Json = dict[str, Any]
_VENDOR = "jira"
_PATH = re.compile(r"[A-Za-z0-9_:-]+(/[A-Za-z0-9_:-]+)*")
MOST_RECONCILED = 50
_FIELDS = {"group": "label:team", "category": "label:category", "ci": "label:ci", "service": "components"}


@dataclass(frozen=True, kw_only=True, slots=True)
class JiraConfig:
    """One site and how we use it.

    `url` is https://example.atlassian.net, `user` the e-mail address of the integration user. `match` is the
    JQL of the tickets that the source reads; changes are read of all tickets of `project`. `fields` says
    where our fields live: `label:team` (a label team:…), `option:customfield_1` (a select list),
    `components`, or the id of a text field. In a `service_project` (Jira Service Management) customers see
    comments that are not marked internal. `correlations` are beginnings of the labels by which alerts of
    other sources are found again.
    """

    url: str
    user: str
    token: str = field(repr=False)
    project: str
    match: str = ""
    service_project: bool = True
    ticket_type: str = "Task"
    change_project: str = ""
    change_type: str = "Change"
    link_type: str = "Relates"
    resolution: str = "Done"
    cancelled: str = "Won't Do"
    fields: Mapping[str, str] = field(default_factory=lambda: dict(_FIELDS))
    correlations: tuple[str, ...] = ("alert:", "datadog:", "splunk:", "pagerduty:", "countersign-")
    look_back: timedelta = timedelta(days=1)
    overlap: timedelta = timedelta(hours=2)
    page_size: int = 100
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    ca: str = ""


class JiraClient:
    """Reads and writes REST version 3. Threads may share one. Raises OutsideError."""

    def __init__(self, config: JiraConfig) -> None:
        self.config = config
        self.url = config.url.rstrip("/")
        # Without server info nothing is called here; it would only say what we know: that this is Cloud.
        self._sdk = JIRA(
            server=self.url,
            options={"rest_api_version": "3"},
            basic_auth=(config.user, sendable(_VENDOR, config.token)),
            timeout=(config.connect_s, config.read_s),
            max_retries=0,
            get_server_info=False,
        )
        self._sdk.deploymentType = "Cloud"
        # Else each search first reads all fields of the site, to translate names that we don't use.
        self._sdk._fields_cache_value = {"summary": "summary"}
        wire = Wire(
            vendor=_VENDOR, url=self.url, connect_s=config.connect_s, read_s=config.read_s, ca=config.ca
        )
        fit(self._sdk._session, wire)
        self._me = ""

    def close(self) -> None:
        self._sdk.close()  # type: ignore[no-untyped-call]

    @property
    def me(self) -> str:
        """The account id of the integration user; asked for once."""
        if not self._me:
            self._me = str(self.myself()["accountId"])
        return self._me

    def myself(self) -> Json:
        with calling(_VENDOR, wrote=False):
            return _having("accountId", self._sdk.myself())

    def permissions(self, names: Sequence[str]) -> Json:
        """Which of these permissions we have in the project: name -> {havePermission: …}."""
        with calling(_VENDOR, wrote=False):
            asked = {"projectKey": self.config.project, "permissions": ",".join(names)}
            return _object(_having("permissions", self._sdk.my_permissions(**asked))["permissions"])

    def transitions(self, key: str) -> list[Json]:
        shown = self.get(f"issue/{key}/transitions", {"expand": "transitions.fields"})
        return list(shown.get("transitions") or ())

    def search(
        self, jql: str, fields: Sequence[str], *, reconcile: Sequence[str] = ()
    ) -> Iterator[list[Json]]:
        """Pages of issues without the empty ones, which are not the end. A repeated token is Permanent."""
        token, seen = "", set[str]()
        while True:
            with calling(_VENDOR, wrote=False):
                page = _having(
                    "issues",
                    self._sdk.enhanced_search_issues(
                        jql,
                        nextPageToken=token or None,
                        maxResults=self.config.page_size,
                        fields=list(fields),
                        reconcileIssues=[int(number) for number in reconcile],
                        json_result=True,
                        use_post=True,
                    ),
                )
            if page["issues"]:
                yield list(page["issues"])
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
            if token in seen:
                raise Permanent("Jira repeats a page of its search; look at its status page.", where=_VENDOR)
            seen.add(token)

    def issue(self, key: str, fields: Sequence[str], *, properties: Sequence[str] = ()) -> Json:
        asked = {"fields": ",".join(fields)}
        asked |= {"properties": ",".join(properties)} if properties else {}
        return self.get(f"issue/{key}", asked)

    def get(self, path: str, asked: Mapping[str, str] | None = None) -> Json:
        return self._send("GET", path, asked=asked)

    def ask(self, path: str, body: Json) -> Json:
        """A POST that only reads."""
        return self._send("POST", path, body=body)

    def create(self, path: str, body: Json) -> Json:
        """A POST that makes something, and answers with its id."""
        return self._send("POST", path, body=body, write=_Write.CREATE)

    def attach(self, key: str, name: str, media_type: str, content: bytes) -> str:
        """Puts a file on an issue, and gives its id."""
        address = self._sdk._get_url(_checked(f"issue/{key}/attachments"))
        # Without our own Content-Type, so that the one with the boundary is set.
        headers = {"X-Atlassian-Token": "no-check", "Content-Type": None}
        with calling(_VENDOR, wrote=True):
            file = {"file": (name, content, media_type)}
            made = self._sdk._session.request("POST", address, files=file, headers=headers).json()
            return str(_having("id", made[0] if isinstance(made, list) and made else None)["id"])

    def do(self, method: Literal["POST", "PUT", "DELETE"], path: str, body: Json | None = None) -> None:
        """A write that is answered without a body."""
        self._send(method, path, body=body, write=_Write.SILENT)

    def _send(
        self,
        method: str,
        path: str,
        *,
        asked: Mapping[str, str] | None = None,
        body: Json | None = None,
        write: _Write | None = None,
    ) -> Json:
        """For what python-jira has no method, or one that makes calls of its own."""
        address = self._sdk._get_url(_checked(path))
        with calling(_VENDOR, wrote=write is not None):
            data = None if body is None else json.dumps(body)
            response = self._sdk._session.request(method, address, params=asked, data=data)
            if write is _Write.SILENT:
                return _nothing(response.status_code, response.content)
            read = response.json()
            answer = {"values": read} if isinstance(read, list) else _object(read)
            return _having("id", answer) if write is _Write.CREATE else answer


class _Write(Enum):
    """How a write is answered when it went well: with the id of what was made, or without a body."""

    CREATE = "create"
    SILENT = "silent"


def _nothing(status: int, content: bytes) -> Json:
    """An answer that must be empty: a proxy's page or an empty 200 is no proof that anything was done."""
    if status not in (201, 204) or content.strip():
        raise Lost(Loss.NONSENSE, "the configured address")
    return {}


def _object(read: object) -> Json:
    """A JSON object; anything else is no answer of this API."""
    if not isinstance(read, dict):
        raise Lost(Loss.NONSENSE, "the configured address")
    return read


def _having(name: str, read: object) -> Json:
    """A JSON object with this member: python-jira takes an empty answer for an empty object."""
    answer = _object(read)
    if name not in answer:
        raise Lost(Loss.NONSENSE, "the configured address")
    return answer


def _checked(path: str) -> str:
    """A path whose keys and ids lead nowhere else."""
    if not _PATH.fullmatch(path):
        raise Permanent(
            f'"{path[:60]}" is not an issue of Jira; look where its key was taken from.', where=_VENDOR
        )
    return path


def quoted(value: str) -> str:
    """A value as it may stand in JQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def both(match: str, clause: str) -> str:
    """JQL of what fulfils both; `match` may hold an OR."""
    if not match.strip():
        return clause
    loose = re.search(r"\bor\b", match, re.IGNORECASE)
    return f"({match}) AND {clause}" if loose else f"{match} AND {clause}"
