"""The client of one ServiceNow instance: pysnow for paths and answers, our transport below it."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from connectors.payload import decoded
from connectors.servicenow.query import Row, is_sys_id
from connectors.transport import CONNECT_S, READ_S, Loss, Lost, Refused, Wire, calling, new_session
from countersign.errors import ConfigError, Denied, Permanent

with warnings.catch_warnings():
    # It says at import that libmagic is not on this machine; it would guess the types of attachments, which we state.
    warnings.filterwarnings("ignore", message="Missing the python-magic library")
    import pysnow

_VENDOR = "servicenow"
_TABLES = "/api/now"
_CHANGES = "/api/sn_chg_rest/v1"
# A 403 that is about this one record and not about our rights: the connection stays in use.
_ABOUT_THE_RECORD = re.compile(r"data policy|business rule|mandatory|invalid update", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceNowConfig:
    """One instance and how we use it.

    `url` is https://example.service-now.com. `match` is the encoded query of the tickets that the source
    reads, `watch` of those whose changes are read: wider, because a ticket that was routed away leaves
    `match` and is still answered in. Nothing means all. `close_code` must be one of the instance's own.
    `look_back` is how far the first read goes, `overlap` how far each later read goes back before its cursor.
    `user` is the integration user, whose changes are ours.
    """

    url: str
    user: str
    password: str = field(repr=False)
    match: str = ""
    watch: str = ""
    close_code: str = "No resolution provided"
    look_back: timedelta = timedelta(days=1)
    overlap: timedelta = timedelta(minutes=5)
    page_size: int = 100
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one read gave. `total` is how many rows match before access rules hide some; None if not said."""

    rows: tuple[Row, ...]
    total: int | None

    @property
    def withheld(self) -> bool:
        """Whether there are rows, and access rules show us none: that is not the same as nothing."""
        return bool(self.total) and not self.rows


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The query string of one call. pysnow's own builder is shared by all calls of a resource."""

    asked: Mapping[str, str]

    def as_dict(self) -> dict[str, str]:
        return dict(self.asked)


class ServiceNowClient:
    """Reads and writes rows with raw and display values. Threads may share one. Raises OutsideError."""

    def __init__(self, config: ServiceNowConfig) -> None:
        parts = urlsplit(config.url)
        if parts.netloc and parts.path.strip("/"):
            raise ConfigError("ServiceNow's url has a path; write it as https://example.service-now.com.")
        self.config = config
        self.url = f"{parts.scheme}://{parts.netloc}"
        session = new_session(
            Wire(
                vendor=_VENDOR,
                url=self.url,
                connect_s=config.connect_s,
                read_s=config.read_s,
                ca=config.ca,
            )
        )
        session.auth = HTTPBasicAuth(config.user.encode(), config.password.encode())
        self._sdk = pysnow.Client(host=parts.netloc, use_ssl=parts.scheme == "https", session=session)

    def rows(
        self, table: str, query: str, fields: Sequence[str], *, limit: int = 100, offset: int = 0
    ) -> Rows:
        """One page. The instance ignores what it doesn't understand of a query: hold each row against it."""
        asked = {
            **_shape(fields),
            "sysparm_query": query,
            "sysparm_limit": str(limit),
            "sysparm_offset": str(offset),
        }
        result, headers = self._call("GET", _TABLES, f"/table/{table}", asked)
        total = headers.get("X-Total-Count", "")
        return Rows(tuple(result), int(total) if total.isdigit() else None)

    def seen(self, table: str, query: str, fields: Sequence[str], *, limit: int = 100) -> tuple[Row, ...]:
        """The rows where none is an answer too. Raises Denied where there are some and none is shown."""
        got = self.rows(table, query, fields, limit=limit)
        if got.withheld:
            raise Denied(
                f"ServiceNow has rows of {table} on this and shows none; let the integration user read that table.",
                where=_VENDOR,
                status=403,
            )
        return got.rows

    def row(self, table: str, sys_id: str, fields: Sequence[str]) -> Row:
        return self._one("GET", _TABLES, f"/table/{table}/{_checked(sys_id)}", _shape(fields))

    def insert(self, table: str, values: Mapping[str, str], fields: Sequence[str]) -> Row:
        return self._one("POST", _TABLES, f"/table/{table}", _shape(fields), values)

    def update(self, table: str, sys_id: str, values: Mapping[str, str], fields: Sequence[str]) -> Row:
        path = f"/table/{table}/{_checked(sys_id)}"
        return self._one("PATCH", _TABLES, path, _shape(fields), values)

    def new_change(self, kind: str, template: str, values: Mapping[str, str]) -> Row:
        """Makes a change request, always in the state New. `template` is a sys_id, for a standard change."""
        path = f"/change/{kind}" + (f"/{_checked(template)}" if template else "")
        return self._one("POST", _CHANGES, path, {}, values)

    def update_change(self, sys_id: str, values: Mapping[str, str]) -> Row:
        return self._one("PATCH", _CHANGES, f"/change/{_checked(sys_id)}", {}, values)

    def attach(self, table: str, sys_id: str, name: str, media_type: str, content: bytes) -> Row:
        """Puts a file on a row, and gives the row of sys_attachment."""
        asked = {"table_name": table, "table_sys_id": _checked(sys_id), "file_name": name}
        return self._one("POST", _TABLES, "/attachment/file", asked, content, media_type)

    def detach(self, sys_id: str) -> None:
        """Permanent with the status 404 for a file that is gone."""
        self._call("DELETE", _TABLES, f"/attachment/{_checked(sys_id)}", {}, b"")

    def close(self) -> None:
        self._sdk.close()

    def _one(
        self,
        method: str,
        base: str,
        path: str,
        asked: Mapping[str, str],
        values: Mapping[str, str] | bytes | None = None,
        media_type: str = "application/json",
    ) -> Row:
        """The record that a call is about; an answer without it says nothing about what was done."""
        result, _ = self._call(method, base, path, asked, values, media_type)
        with calling(_VENDOR, wrote=values is not None):
            if not result:
                raise Lost(Loss.NONSENSE, urlsplit(self.url).netloc)
            return result[0]

    def _call(
        self,
        method: str,
        base: str,
        path: str,
        asked: Mapping[str, str],
        values: Mapping[str, str] | bytes | None = None,
        media_type: str = "application/json",
    ) -> tuple[Sequence[Row], Mapping[str, str]]:
        """One call; it writes if it has `values`: fields, or a file's content."""
        resource = self._sdk.resource(api_path=path, base_path=base)
        # The change API takes every query parameter for a field, so only what was asked for may be sent.
        resource.parameters = _Parameters(asked)
        with calling(_VENDOR, wrote=values is not None):
            try:
                body = values if isinstance(values, bytes | None) else json.dumps(values)
                answer = resource.request(method, data=body, headers={"Content-Type": media_type})
                # pysnow's own reading passes over an error that stands beside the rows.
                return _records(answer._response, self.url), answer.headers
            except Refused as no:
                if no.status == 403 and _ABOUT_THE_RECORD.search(no.message):
                    raise Permanent(
                        f"ServiceNow's rules refuse this update ({no.message}); "
                        f"mend the record or the rule and replay the dead letter.",
                        where=_VENDOR,
                        status=403,
                    ) from no
                raise


def _records(response: requests.Response, url: str) -> Sequence[Row]:
    """The rows of an answer; a JSON of another shape is no answer of this API.

    A transaction that is cancelled after its time was up has answered 200 by then: it ends with an error after the
    rows that it had found.
    """
    if response.status_code == 204:
        return ()
    answer = decoded(response.content)
    if "error" in answer:
        raise Lost(Loss.PARTIAL, urlsplit(url).netloc)
    result = answer.get("result")
    found = [result] if isinstance(result, dict) else result
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Lost(Loss.NONSENSE, urlsplit(url).netloc)
    return found


def _shape(fields: Sequence[str]) -> dict[str, str]:
    return {
        "sysparm_display_value": "all",
        "sysparm_exclude_reference_link": "true",
        "sysparm_fields": ",".join(fields),
    }


def _checked(sys_id: str) -> str:
    """A sys_id as it may stand in a path."""
    if not is_sys_id(sys_id):
        raise Permanent(
            f'"{sys_id[:40]}" is not a sys_id of ServiceNow; look where the ticket was taken from.',
            where=_VENDOR,
        )
    return sys_id
