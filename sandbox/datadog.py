"""Datadog, imitated: monitors that change state, events that tell of it, and logs, all of it searchable."""

from __future__ import annotations

import base64
import json
import random
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from sandbox.datadog_search import Row, beyond, fits, millis_of, position, tag_value, terms_of
from sandbox.world import World, marker_in

Json = dict[str, Any]
API_KEY, APP_KEY = "datadog-api-key", "datadog-app-key"
_LARGEST_PAGE = 1000
# How a monitor tells of a change: the kind of transition, the state it goes to, and the status of the event.
_TRANSITIONS = {
    "Triggered": ("alert", "Alert", "error"),
    "Re-Triggered": ("alert", "Alert", "error"),
    "Warn": ("warning", "Warn", "warn"),
    "Re-Warn": ("warning", "Warn", "warn"),
    "No Data": ("no data", "No Data", "warn"),
    "Recovered": ("alert recovery", "OK", "ok"),
}
# Which field of a group's state a transition into this state writes.
_STATE_FIELD = {
    "Alert": "last_triggered_ts",
    "Warn": "last_triggered_ts",
    "No Data": "last_nodata_ts",
    "OK": "last_resolved_ts",
}
_GROUP_STATES = {"all": "", "alert": "Alert", "warn": "Warn", "no data": "No Data", "ok": "OK"}
_ERRORS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too many requests",
}


class Datadog:
    """State in dicts and sorted lists. `fire` is what a monitor does; the routes are what the API answers."""

    name = "datadog"

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = {(API_KEY, APP_KEY): "countersign"}
        self.monitors: dict[int, Json] = {}
        self.events: list[Row] = []
        self.logs: list[Row] = []
        self._rng = random.Random(f"datadog:{world.seed}")

    def counts(self) -> dict[str, int]:
        return {"monitors": len(self.monitors), "events": len(self.events), "logs": len(self.logs)}

    # What monitors and services do

    def add_monitor(
        self,
        name: str,
        *,
        monitor_id: int | None = None,
        query: str = "",
        message: str = "",
        kind: str = "metric alert",
        priority: int | None = None,
        tags: Iterable[str] = (),
    ) -> int:
        new, now = monitor_id or 160_000_000 + len(self.monitors), self.world.clock.now().isoformat()
        self.monitors[new] = {
            "id": new,
            "org_id": 321813,
            "type": kind,
            "name": name,
            "message": message,
            "tags": list(tags),
            "query": query,
            "options": {"include_tags": True, "notify_no_data": False, "thresholds": {}},
            "multi": True,
            "created": now,
            "modified": now,
            "deleted": None,
            "restricted_roles": None,
            "priority": priority,
            "overall_state": "OK",
            "creator": {"name": "Sandbox", "handle": "sandbox@example.com", "email": "sandbox@example.com"},
            "state": {"groups": {}},
        }
        return new

    def fire(
        self,
        title: str,
        monitor: int,
        scope: str,
        transition: str = "Triggered",
        *,
        message: str = "",
        service: str | None = None,
        tags: Iterable[str] = (),
        at: datetime | None = None,
    ) -> str:
        """Let a monitor change state for one scope ("service:cart,env:prod"); gives the id of the event."""
        if monitor not in self.monitors:
            self.add_monitor(title, monitor_id=monitor)
        when = at or self.world.clock.now()
        groups = [group for group in scope.split(",") if group]
        was = self._move(monitor, scope, transition, when)
        attributes = self._alert_attributes(monitor, groups, transition, was)
        attributes["service"] = service or tag_value(groups, "service") or "undefined"
        attributes["hostname"] = tag_value(groups, "host") or ""
        attributes["title"] = f"[{transition} on {{{scope}}}] {title}" if scope else f"[{transition}] {title}"
        alert_tags = ["source:alert", "monitor", *groups, *self.monitors[monitor]["tags"], *tags]
        return self.put_event(attributes, message, list(dict.fromkeys(alert_tags)), when)

    def storm(self, alerts: int, monitors: int, number: int) -> None:
        """So many alerts, spread evenly over so many new monitors, each for a host of its own; `number` tells
        storms apart."""
        for n in range(alerts):
            monitor = (number + 1) * 1_000_000 + n * monitors // alerts
            self.fire(
                f"Latency of pool {monitor} is high", monitor, f"host:node-{n},service:pool-{monitor % 97}"
            )

    def fire_webhook_body(self, body: Json, at: datetime | None = None) -> str:
        """Take what a monitor's webhook would have sent and show it as the event that the API has of it.

        `body` has alert_transition, alert_query, monitor_id, scopes, title, body, tags and date (epoch ms).
        """
        when = at or datetime.fromtimestamp(int(body["date"]) / 1000, tz=UTC)
        bare = re.sub(r"^\[[^\]]*\] ", "", body["title"])
        monitor, kind = int(body["monitor_id"]), body["event_type"].replace("_", " ")
        if monitor not in self.monitors:
            self.add_monitor(bare, monitor_id=monitor, query=body["alert_query"], kind=kind)
        tags = [tag for tag in body["tags"].split(",") if tag]
        return self.fire(
            bare, monitor, body["scopes"], body["alert_transition"], message=body["body"], tags=tags, at=when
        )

    def put_event(self, attributes: Json, message: str, tags: list[str], at: datetime) -> str:
        """Store one event; its own id, time and kind are filled in, and all else is shown as given."""
        number, millis = self._rng.getrandbits(62), int(at.timestamp() * 1000)
        event_id = f"AwAAA{millis:X}{number:X}"
        evt = {"id": str(number), "uid": event_id} | attributes.get("evt", {})
        inner = {"timestamp": millis} | attributes | {"evt": evt}
        outer = {"attributes": inner, "message": message, "tags": tags, "timestamp": _iso(millis)}
        self.put_raw({"id": event_id, "type": "event", "attributes": outer}, at)
        return event_id

    def put_raw(self, event: Json, at: datetime) -> None:
        """Store an event exactly as given, whatever its shape."""
        insort(self.events, Row(int(at.timestamp() * 1000), str(event.get("id")), json.dumps(event)))

    def add_logs(self, rows: Iterable[Json]) -> None:
        """Rows with message, service, status, host, tags and `at` (aware); only the message is needed."""
        for row in rows:
            at: datetime = row.get("at") or self.world.clock.now()
            millis = int(at.timestamp() * 1000)
            log_id = f"AwAAAL{millis:X}{self._rng.getrandbits(60):X}"
            shown = {"status": "info", "tags": [], "attributes": {}} | row | {"timestamp": _iso(millis)}
            shown.pop("at", None)
            log = {"id": log_id, "type": "log", "attributes": shown}
            insort(self.logs, Row(millis, log_id, json.dumps(log)))

    # What the API answers

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/validate", self._validate),
            web.get("/api/v1/monitor", self._list_monitors),
            web.get("/api/v1/monitor/{id}", self._read_monitor),
            web.post("/api/v1/events", self._post_event),
            web.get("/api/v2/events", self._list_events),
            web.post("/api/v2/events/search", self._search_events),
            web.get("/api/v2/logs/events", self._list_logs),
            web.post("/api/v2/logs/events/search", self._search_logs),
        ]

    def actor(self, request: web.Request) -> str | None:
        sent = request.headers.get("DD-API-KEY", ""), request.headers.get("DD-APPLICATION-KEY", "")
        if request.path == "/api/v1/validate" and sent[0] == API_KEY:
            return "countersign"
        return self.keys.get(sent)

    def error(self, status: int) -> web.Response:
        headers = _rate(left=0) if status == 429 else {}
        return _refuse(status, _ERRORS.get(status, "Internal error"), headers)

    async def _validate(self, _: web.Request) -> web.Response:
        return web.json_response({"valid": True})

    async def _list_monitors(self, request: web.Request) -> web.Response:
        words, size = request.query.get("name", ""), int(request.query.get("page_size", "100"))
        page = int(request.query.get("page", "0"))
        found = [monitor for monitor in self.monitors.values() if words in monitor["name"]]
        return self._monitors(request, found[page * size : (page + 1) * size], lambda shown: shown)

    async def _read_monitor(self, request: web.Request) -> web.Response:
        monitor = self.monitors.get(_number(request.match_info["id"]))
        if monitor is None:
            return _refuse(404, "Monitor not found")
        return self._monitors(request, [monitor], lambda shown: shown[0])

    def _monitors(
        self, request: web.Request, found: list[Json], show: Callable[[list[Json]], Any]
    ) -> web.Response:
        """Groups are shown only as far as group_states asks for them."""
        asked = [
            state.strip()
            for state in request.query.get("group_states", "").lower().split(",")
            if state.strip()
        ]
        if any(state not in _GROUP_STATES for state in asked):
            return _refuse(400, "Invalid group_state filters.")
        wanted = {_GROUP_STATES[state] for state in asked}

        def with_groups(monitor: Json) -> Json:
            if not asked:
                return {key: value for key, value in monitor.items() if key != "state"}
            groups: dict[str, Json] = monitor["state"]["groups"]
            kept = {key: group for key, group in groups.items() if "" in wanted or group["status"] in wanted}
            return monitor | {"state": {"groups": kept}}

        return web.json_response(show([with_groups(monitor) for monitor in found]), headers=_rate())

    async def _post_event(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not body.get("title") or "text" not in body:
            return _refuse(400, "Event must have a title and a text")
        now = self.world.clock.now()
        at = datetime.fromtimestamp(body.get("date_happened") or now.timestamp(), tz=UTC)
        if at < now - timedelta(hours=18):
            return _refuse(400, "Event too far in the past")
        attributes = {"title": body["title"], "status": body.get("alert_type", "info"), "priority": "normal"}
        attributes |= {"aggregation_key": body.get("aggregation_key", ""), "service": "undefined"}
        attributes["evt"] = {"source_id": 36, "type": "api"}
        event_id = self.put_event(attributes, body["text"], list(body.get("tags") or ()), at)
        actor = self.actor(request) or ""
        self.world.log(
            self.name, "event.create", event_id, actor=actor, marker=marker_in(body["text"]), body=body
        )
        shown = {"title": body["title"], "text": body["text"], "tags": body.get("tags", []), "handle": None}
        shown |= {
            "date_happened": int(at.timestamp()),
            "priority": None,
            "url": f"https://app.datadoghq.com/{event_id}",
        }
        return web.json_response({"status": "ok", "event": shown}, status=202)

    async def _list_events(self, request: web.Request) -> web.Response:
        return self._search(request, _from_query(request), self.events, "/api/v2/events")

    async def _search_events(self, request: web.Request) -> web.Response:
        return self._search(request, await request.json(), self.events, "/api/v2/events")

    async def _list_logs(self, request: web.Request) -> web.Response:
        return self._search(request, _from_query(request), self.logs, "/api/v2/logs/events")

    async def _search_logs(self, request: web.Request) -> web.Response:
        return self._search(request, await request.json(), self.logs, "/api/v2/logs/events")

    def _search(self, request: web.Request, asked: Json, rows: list[Row], path: str) -> web.Response:
        filters, page = asked.get("filter") or {}, asked.get("page") or {}
        now, descending = self.world.clock.now(), (asked.get("sort") or "timestamp") != "timestamp"
        try:
            since, until = (
                millis_of(filters.get("from", "now-15m"), now),
                millis_of(filters.get("to", "now"), now),
            )
            limit, after = int(page.get("limit") or 10), position(page.get("cursor"))
        except (TypeError, ValueError, KeyError):
            return _refuse(
                400, "input_validation_error(Field 'page' or 'filter' is invalid: invalid cursor or time)"
            )
        if not 1 <= limit <= _LARGEST_PAGE:
            return _refuse(
                400, f"input_validation_error(Field 'page' is invalid: limit is 1 to {_LARGEST_PAGE})"
            )
        terms = terms_of(filters.get("query") or "*")
        if self.world.search_lag:
            until = min(until, int((now - self.world.search_lag).timestamp() * 1000))
        first = bisect_left(rows, since, key=lambda row: row.at_ms)
        inside = rows[first : bisect_right(rows, until, key=lambda row: row.at_ms)]
        found = (
            row
            for row in (reversed(inside) if descending else inside)
            if beyond(row, after, descending) and (not terms or fits(json.loads(row.shown), terms))
        )
        shown = list(islice(found, limit))
        body: Json = {"data": [json.loads(row.shown) for row in shown]}
        if (
            shown
        ):  # like the real one, it gives a cursor with every page that holds something, the last one too
            cursor = base64.urlsafe_b64encode(json.dumps([shown[-1].at_ms, shown[-1].id]).encode()).decode()
            body["meta"] = {"page": {"after": cursor}, "status": "done"}
            query = urlencode(
                {"page[cursor]": cursor, "page[limit]": limit, "sort": asked.get("sort") or "timestamp"}
            )
            body["links"] = {"next": f"{request.url.origin()}{path}?{query}"}
        return web.json_response(body, headers=_rate())

    # How state changes

    def _move(self, monitor: int, scope: str, transition: str, when: datetime) -> str:
        """Bring one group of a monitor to the state the transition leads to; gives the state it was in."""
        _, state, _ = _TRANSITIONS[transition]
        groups = self.monitors[monitor]["state"]["groups"]
        group = groups.setdefault(scope or "*", {"name": scope or "*", "status": "OK"})
        was, group["status"] = group["status"], state
        group[_STATE_FIELD[state]] = group["last_notified_ts"] = int(when.timestamp())
        worst = {found["status"] for found in groups.values()}
        order = ("Alert", "Warn", "No Data", "OK")
        self.monitors[monitor]["overall_state"] = next(state for state in order if state in worst)
        return str(was)

    def _alert_attributes(self, monitor: int, groups: list[str], transition: str, was: str) -> Json:
        known, (kind, state, status) = self.monitors[monitor], _TRANSITIONS[transition]
        told = {"trans_name": transition, "trans_type": kind, "source_state": was, "destination_state": state}
        priority = str(known["priority"]) if known["priority"] else None
        shown = {key: known[key] for key in ("id", "name", "query", "message", "tags", "type")}
        shown |= {"groups": groups, "templated_name": known["name"], "transition": told}
        return {
            "aggregation_key": f"{monitor}:{','.join(groups)}",
            "evt": {"type": f"{known['type'].replace(' ', '_')}", "source_id": 36, "name": known["name"]},
            "monitor": shown,
            "monitor_id": monitor,
            "monitor_groups": groups,
            "priority": priority,
            "source_type_name": "Monitor Alert",
            "sourcecategory": "monitor_alert",
            "status": status,
        }


def _from_query(request: web.Request) -> Json:
    """The search as the GET form has it, in the shape of the POST form."""
    asked = request.query
    filters = {key: asked[f"filter[{key}]"] for key in ("query", "from", "to") if f"filter[{key}]" in asked}
    page = {key: asked[f"page[{key}]"] for key in ("cursor", "limit") if f"page[{key}]" in asked}
    return {"filter": filters, "page": page, "sort": asked.get("sort", "-timestamp")}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1


def _iso(millis: int) -> str:
    return (
        datetime.fromtimestamp(millis / 1000, tz=UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def _rate(left: int = 299) -> dict[str, str]:
    """Reset is in seconds from now."""
    return {
        "X-RateLimit-Limit": "300",
        "X-RateLimit-Period": "60",
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": "2",
    }


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [message]}, status=status, headers=headers)
