"""ServiceNow in miniature: Table API, change API and attachments, with the real one's surprises."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import timedelta

from aiohttp import web

from sandbox import servicenow_query
from sandbox import servicenow_tables as tables
from sandbox.servicenow_query import Row
from sandbox.servicenow_records import DataPolicyError, Records
from sandbox.world import World, marker_in

_MISSING = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")
_REFUSALS = {
    400: ("Invalid request", "The request could not be read."),
    401: ("User Not Authenticated", "Required to provide Auth information"),
    403: ("Operation Failed", "ACL Exception: operation failed due to security constraints"),
    404: _MISSING,
    405: ("Method not supported", "Method not supported"),
    429: ("Rate limit exceeded", "Rate limit of 100 requests per hour for Table API exceeded"),
}
_RESET_AFTER_S = 30
_NOT_A_RECORD = frozenset({"sys_journal_field", "sys_audit", "sys_attachment"})
_NUMERIC = frozenset({"state", "impact", "urgency", "priority", "risk"})


class ServiceNow:
    """One instance. `hidden` are sys_ids that ACLs withhold from the user, after the limit was applied; `unreadable`
    are fields, as `incident.state`, that are simply missing from what it is shown.

    `zone` is the user's UTC offset, in which display values show times. Only requests over HTTP are logged.
    """

    name = "servicenow"

    def __init__(self, world: World) -> None:
        self.world = world
        self.records = Records(world=world)
        self.hidden: set[str] = set()
        self.unreadable: set[str] = set()
        self.zone = timedelta(hours=-7)
        self._attachments: dict[str, bytes] = {}
        self.add_user("countersign")  # the integration's own account

    def routes(self) -> list[web.RouteDef]:
        made: list[web.RouteDef] = []
        for version in ("", "/v1", "/v2"):
            table = f"/api/now{version}/table/{{table}}"
            change = f"/api/sn_chg_rest{version}/change"
            made += [
                web.get(table, self._list),
                web.post(table, self._create),
                web.get(table + "/{sys_id}", self._get),
                web.patch(table + "/{sys_id}", self._update),
                web.put(table + "/{sys_id}", self._update),
                web.post(f"/api/now{version}/attachment/file", self._attach),
                web.get(f"/api/now{version}/attachment/{{sys_id}}/file", self._download),
                web.delete(f"/api/now{version}/attachment/{{sys_id}}", self._detach),
                web.post(change + "/{type:normal|emergency}", self._create_change),
                web.post(change + "/{type:standard}/{template}", self._create_change),
                web.get(change + "/{sys_id:[0-9a-f]{32}}/nextstates", self._next_states),
            ]
            for path in (change + "/{sys_id:[0-9a-f]{32}}", change + "/{type}/{sys_id:[0-9a-f]{32}}"):
                made += [web.get(path, self._get_change), web.patch(path, self._update_change)]
        return made

    def actor(self, request: web.Request) -> str | None:
        """The user of basic authentication, in either case; bearer tokens and API keys are one integration's."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            asked = base64.b64decode(secret).decode(errors="replace").partition(":")[0]
            known = (row["user_name"] for row in self.records.rows["sys_user"].values())
            return next((name for name in known if name.casefold() == asked.casefold()), asked) or None
        return "integration.api" if secret or "x-sn-apikey" in request.headers else None

    def error(self, status: int) -> web.Response:
        message, detail = _REFUSALS.get(status, ("Internal Server Error", "Transaction cancelled"))
        headers: dict[str, str] = {}
        if status == 429:
            reset = int(self.world.clock.now().timestamp()) + _RESET_AFTER_S
            headers = {"Retry-After": str(_RESET_AFTER_S), "X-RateLimit-Limit": "100"}
            headers |= {
                "X-RateLimit-Reset": str(reset),
                "X-RateLimit-Rule": "5e2c5a0187f1301008fa6f2ebbbb3561",
            }
        if status == 401:
            headers["WWW-Authenticate"] = 'BASIC realm="Service-now"'
        return _refusal(status, message, detail, headers)

    def counts(self) -> dict[str, int]:
        return {table: len(rows) for table, rows in self.records.rows.items() if rows}

    # What the scenario and the engineers do by hand.

    def open_incident(self, user: str = "monitoring", **fields: str) -> Row:
        """A new incident; `opened_at` and `sys_created_on` may lie in the past. Returns the live row."""
        return self.records.insert("incident", fields, user)

    def add_note(self, sys_id: str, user: str, text: str, internal: bool = True) -> None:
        self.set_fields(sys_id, user, **{"work_notes" if internal else "comments": text})

    def set_fields(self, sys_id: str, user: str, **fields: str) -> Row:
        """Change an incident or a change request; raises DataPolicyError as the form would."""
        table = "incident" if sys_id in self.records.rows["incident"] else "change_request"
        row = self.records.rows[table][sys_id]
        self.records.update(table, row, fields, user)
        return row

    def incident(self, number_or_id: str) -> Row:
        """The live row. Raises KeyError if there is none."""
        return self.records.rows["incident"][self.records.resolve("incident", number_or_id) or number_or_id]

    def journal(self, sys_id: str) -> list[Row]:
        """Notes and comments on a record, oldest first, as rows of sys_journal_field."""
        return self.records.related("sys_journal_field", sys_id)

    def audit(self, sys_id: str) -> list[Row]:
        """Field changes of a record, oldest first, as rows of sys_audit."""
        return self.records.related("sys_audit", sys_id)

    def add_ci(self, name: str, **fields: str) -> Row:
        return self.records.insert("cmdb_ci", {"name": name, **fields}, "discovery")

    def relate(self, parent: str, child: str, kind: str = "Depends on::Used by") -> Row:
        """Relate two configuration items by name or sys_id."""
        return self.records.insert(
            "cmdb_rel_ci", {"parent": parent, "child": child, "type": kind}, "discovery"
        )

    def add_user(self, user_name: str, name: str = "") -> Row:
        """The user of that name, made if there is none yet."""
        known = self.records.resolve("sys_user", user_name)
        fields = {"user_name": user_name, "email": f"{user_name}@example.com"}
        fields["name"] = name or user_name.replace(".", " ").title()
        return (
            self.records.rows["sys_user"][known]
            if known
            else self.records.insert("sys_user", fields, "admin")
        )

    def add_group(self, name: str, members: list[str]) -> Row:
        """The group of that name, made if there is none yet, with these user names as additional members."""
        known = self.records.resolve("sys_user_group", name)
        rows = self.records.rows["sys_user_group"]
        group = rows[known] if known else self.records.insert("sys_user_group", {"name": name}, "admin")
        for member in members:
            pair = {"user": self.add_user(member)["sys_id"], "group": group["sys_id"]}
            self.records.insert("sys_user_grmember", pair, "admin")
        return group

    # Table API

    async def _list(self, request: web.Request) -> web.Response:
        table, asked = request.match_info["table"], request.query
        if table not in self.records.rows:
            return _refusal(400, f"Invalid table {table}", None)
        query = servicenow_query.parse(
            asked.get("sysparm_query", ""), lambda path: self.records.knows(table, path)
        )
        found = self.records.select(table, query)
        limit, offset = int(asked.get("sysparm_limit", "10000")), int(asked.get("sysparm_offset", "0"))
        page = [row for row in found[offset : offset + limit] if row["sys_id"] not in self.hidden]
        headers = {"X-Total-Count": str(len(found))}
        links = _links(request, limit, offset, len(found))
        if links and asked.get("sysparm_suppress_pagination_header") != "true":
            headers["Link"] = links
        return _result([self._render(table, row, asked) for row in page], headers=headers)

    async def _get(self, request: web.Request) -> web.Response:
        table = request.match_info["table"]
        row = self._find(table, request.match_info["sys_id"])
        return _result(self._render(table, row, request.query)) if row else self.error(404)

    async def _create(self, request: web.Request) -> web.Response:
        table, fields = request.match_info["table"], await _object(request)
        if table not in self.records.rows or table in _NOT_A_RECORD:
            return _refusal(400, f"Invalid table {table}", None)
        if fields is None:
            return _refusal(400, "Exception while reading request", "The payload is not a valid JSON object.")
        user = self.actor(request) or ""
        try:
            row = self.records.insert(table, _writable(fields), user)
        except DataPolicyError as refused:
            return _refusal(403, "Operation Failed", str(refused))
        kind = "change" if table == "change_request" else "create"
        self._log(kind, row, user, fields, await request.text())
        location = f"{request.url.origin()}/api/now/table/{table}/{row['sys_id']}"
        return _result(self._render(table, row, request.query), 201, {"Location": location})

    async def _update(self, request: web.Request) -> web.Response:
        table, fields = request.match_info["table"], await _object(request)
        row = self._find(table, request.match_info["sys_id"])
        if not row or table in _NOT_A_RECORD:
            return self.error(404)
        refused = await self._change_row(request, table, row, fields)
        return refused or _result(self._render(table, row, request.query))

    async def _change_row(
        self, request: web.Request, table: str, row: Row, fields: dict[str, object] | None
    ) -> web.Response | None:
        """Apply an update and log it; a refusal if it could not be."""
        if fields is None:
            return _refusal(400, "Exception while reading request", "The payload is not a valid JSON object.")
        kind, user = _kind_of(table, row, fields), self.actor(request) or ""
        try:
            self.records.update(table, row, fields, user)
        except DataPolicyError as refused:
            return _refusal(403, "Operation Failed", str(refused))
        self._log(kind, row, user, fields, await request.text())
        return None

    def _find(self, table: str, sys_id: str) -> Row | None:
        return None if sys_id in self.hidden else self.records.rows.get(table, {}).get(sys_id)

    def _render(self, table: str, row: Row, asked: Mapping[str, str]) -> dict[str, object]:
        wanted = [name for name in asked.get("sysparm_fields", "").split(",") if name]
        names = [name for name in wanted if self.records.knows(table, name)] if wanted else list(row)
        mode = asked.get("sysparm_display_value", "false")
        bare = asked.get("sysparm_exclude_reference_link") == "true"
        seen = [name for name in names if f"{table}.{name}" not in self.unreadable]
        return {name: self._value(table, row, name, mode, bare) for name in seen}

    def _value(self, table: str, row: Row, name: str, mode: str, bare: bool) -> object:
        value = self.records.lookup(table, row, name) or ""
        target = tables.REFERENCES.get(table, {}).get(name)
        shown = self.records.display(table, name, value, self.zone)
        link = (
            f"https://instance.service-now.com/api/now/table/{target}/{value}" if target and value else None
        )
        if mode == "all":
            both = {"display_value": shown, "value": value}
            return both | {"link": link} if link and not bare else both
        if link and not bare:
            return (
                {"display_value": shown, "link": link} if mode == "true" else {"link": link, "value": value}
            )
        return shown if mode == "true" else value

    # Change API: its own shapes, its own list of what it ignored.

    async def _create_change(self, request: web.Request) -> web.Response:
        fields = await _object(request)
        if fields is None:
            return _refusal(400, "Exception while reading request", "The payload is not a valid JSON object.")
        asked: dict[str, object] = {**request.query, **fields}
        user = self.actor(request) or ""
        kept = {name: value for name, value in _writable(asked).items() if name not in ("state", "type")}
        kept["type"] = request.match_info["type"]
        kept["std_change_producer_version"] = request.match_info.get("template", "")
        row = self.records.insert("change_request", kept, user)
        self._log("change", row, user, asked, await request.text())
        return self._change_result(row, self._ignored(asked, {"state", "type"}))

    async def _get_change(self, request: web.Request) -> web.Response:
        row = self._find("change_request", request.match_info["sys_id"])
        return self._change_result(row, None) if row else self.error(404)

    async def _update_change(self, request: web.Request) -> web.Response:
        row, fields = self._find("change_request", request.match_info["sys_id"]), await _object(request)
        if not row:
            return self.error(404)
        refused = await self._change_row(request, "change_request", row, fields)
        return refused or self._change_result(row, self._ignored(fields or {}, set()))

    async def _next_states(self, request: web.Request) -> web.Response:
        row = self._find("change_request", request.match_info["sys_id"])
        if not row:
            return self.error(404)
        labels = tables.CHOICES["change_request"]["state"]
        later = (
            [state for state in labels if int(state) > int(row["state"])][:1]
            if row["active"] == "true"
            else []
        )
        states = [row["state"], *later, *(["4"] if later else [])]
        choices = [{"value": state, "display_value": labels[state]} for state in states]
        return _result({"available_states": states, "state_transitions": [], "state_label": choices})

    def _ignored(self, asked: Mapping[str, object], refused: set[str]) -> list[str]:
        known = self.records.columns["change_request"] - tables.READ_ONLY - refused
        return sorted(name for name in asked if name not in known)

    def _change_result(self, row: Row, ignored: list[str] | None) -> web.Response:
        shown: dict[str, object] = {}
        for name, value in row.items():
            shown[name] = {
                "display_value": self.records.display("change_request", name, value, self.zone),
                "value": _typed(name, value),
            }
        if ignored is not None:
            shown["__meta"] = {"ignoredFields": ignored}
        return _result(shown)

    # Attachments

    async def _attach(self, request: web.Request) -> web.Response:
        of = self._find(request.query.get("table_name", ""), request.query.get("table_sys_id", ""))
        if not of or not request.query.get("file_name"):
            return self.error(404 if request.query.get("file_name") else 400)
        data, user = await request.read(), self.actor(request) or ""
        fields = {name: request.query[name] for name in ("table_name", "table_sys_id", "file_name")}
        fields |= {"content_type": request.content_type, "size_bytes": str(len(data)), "compressed": "true"}
        row = self.records.insert("sys_attachment", fields, user)
        row["download_link"] = f"{request.url.origin()}/api/now/attachment/{row['sys_id']}/file"
        self._attachments[row["sys_id"]] = data
        self._log("attachment", of, user, dict(fields), request.query_string + data.decode(errors="replace"))
        return _result(dict(row), 201)

    async def _detach(self, request: web.Request) -> web.Response:
        row = self._find("sys_attachment", request.match_info["sys_id"])
        if not row:
            return self.error(404)
        self.records.delete("sys_attachment", row)
        self._attachments.pop(row["sys_id"], None)
        self._log("detach", row, self.actor(request) or "", {"file_name": row["file_name"]}, "")
        return web.Response(status=204)

    async def _download(self, request: web.Request) -> web.Response:
        data = self._attachments.get(request.match_info["sys_id"])
        return web.Response(body=data) if data is not None else self.error(404)

    def _log(self, kind: str, row: Row, user: str, body: dict[str, object], sent: str) -> None:
        target = row.get("number") or row["sys_id"]
        self.world.log(self.name, kind, target, actor=user, marker=marker_in(sent), body=body)


def _kind_of(table: str, row: Row, fields: Mapping[str, object]) -> str:
    """The main thing that an update asks for, in the words of the write log."""
    ended, state = tables.ENDED.get(table, frozenset()), str(fields.get("state", row.get("state", "")))
    if "state" in fields and state in ended:
        return "close"
    if row.get("state") in ended and state not in ended:
        return "reopen"
    if {"assignment_group", "assigned_to"} & fields.keys():
        return "route"
    return "fields" if fields.keys() - tables.JOURNALS else "note"


def _writable(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in tables.READ_ONLY}


async def _object(request: web.Request) -> dict[str, object] | None:
    """The body as a JSON object; {} if there is none, None if it is something else."""
    text = await request.text()
    try:
        read = json.loads(text) if text else {}
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _typed(name: str, value: str) -> object:
    if value in ("true", "false"):
        return value == "true"
    return float(value) if name in _NUMERIC and value else value


def _links(request: web.Request, limit: int, offset: int, total: int) -> str:
    """The pages that a client can go to from this one, as ServiceNow's Link header; "" if this is all."""
    last = max(0, (total - 1) // limit * limit) if limit else 0
    pages = {"first": 0, "prev": offset - limit, "next": offset + limit, "last": last}
    if total <= limit:
        return ""
    return ",".join(
        f'<{request.url.update_query(sysparm_offset=str(start))}>;rel="{rel}"'
        for rel, start in pages.items()
        if 0 <= start < total
    )


def _result(result: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"result": result}, status=status, headers=headers)


def _refusal(
    status: int, message: str, detail: str | None, headers: dict[str, str] | None = None
) -> web.Response:
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return web.json_response(body, status=status, headers=headers)
