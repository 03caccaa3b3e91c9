"""PagerDuty, imitated: incidents, their alerts, notes and log, and events that open and close them."""

from __future__ import annotations

import random
from bisect import insort
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from sandbox.pagerduty_shapes import answer, cef_of, moment, rate_headers, reference, refusal, zulu
from sandbox.world import World, marker_in

Json = dict[str, Any]
TOKEN = "pagerduty-token"
BOT_EMAIL = "countersign@example.com"
_LAST_ROW = 10_000
_BULK = 250
_LONGEST_WINDOW = timedelta(days=184)
_LOG_TYPE = {"acknowledged": "acknowledge_log_entry", "resolved": "resolve_log_entry"}
# The published list of log entry types has no name for a reopening; this one is a guess.
_REOPEN = "reopen_log_entry"
_URGENCY = {"critical": "high", "error": "high", "warning": "low", "info": "low"}


class PagerDuty:
    """State in dicts by id. `fire` and `recover` are what monitoring does, the routes what the API says."""

    name = "pagerduty"

    def __init__(self, world: World) -> None:
        self.world = world
        self.tokens = {TOKEN: "countersign"}
        self.users: dict[str, Json] = {}
        self.services: dict[str, Json] = {}
        self.teams: dict[str, Json] = {}
        self.incidents: dict[str, Json] = {}
        self.alerts: dict[str, list[Json]] = {}
        self.notes: dict[str, list[Json]] = {}
        self.log: list[Json] = []
        self.changes: list[Json] = []
        self._open: dict[str, str] = {}
        self._rng = random.Random(f"pagerduty:{world.seed}")
        self.add_user("Countersign", BOT_EMAIL)

    def counts(self) -> dict[str, int]:
        notes = sum(len(notes) for notes in self.notes.values())
        return {"incidents": len(self.incidents), "notes": notes, "log_entries": len(self.log)}

    # What people and monitoring tools do

    def add_user(self, name: str, email: str) -> str:
        user = self._thing("user", name, name=name, email=email, time_zone="Europe/Rome", role="user")
        self.users[user["id"]] = user | {"job_title": "Engineer", "teams": []}
        return str(user["id"])

    def delete_user(self, user_id: str) -> None:
        """What the user did stays in the log, under an id that nobody has any more."""
        del self.users[user_id]

    def add_service(self, name: str, team: str = "") -> str:
        teams = [reference(self._team(team))] if team else []
        service = self._thing("service", name, name=name, status="active", teams=teams)
        service["escalation_policy"] = reference(self._thing("escalation_policy", f"{name} on call"))
        self.services[service["id"]] = service | {"created_at": zulu(self.world.clock.now())}
        return str(service["id"])

    def fire(
        self,
        summary: str,
        service: str,
        severity: str,
        dedup_key: str,
        details: Json,
        at: datetime | None = None,
        *,
        source: str = "monitoring",
        component: str | None = None,
        group: str | None = None,
        event_class: str | None = None,
    ) -> str:
        """Send one trigger event: opens an incident on the service, or joins the open one of this key."""
        cef = cef_of(summary, severity, source, component, group, event_class, details, dedup_key)
        when = zulu(at or self.world.clock.now())
        known = self._open.get(dedup_key)
        incident = self.incidents[known] if known else self._new_incident(summary, service, cef, when)
        entry = self._trigger(incident, cef, when)
        if not known:
            incident["first_trigger_log_entry"] = reference(entry)
            self.alerts[incident["id"]] = [self._new_alert(incident, cef, entry, when)]
            self._open[dedup_key] = incident["id"]
        return str(incident["id"])

    def recover(self, dedup_key: str, at: datetime | None = None) -> str | None:
        """Send one resolve event: resolves the open incident of this key, or does nothing without one."""
        incident_id = self._open.get(dedup_key)
        if incident_id:
            incident = self.incidents[incident_id]
            self._set_status(incident, "resolved", incident["service"], "api", at or self.world.clock.now())
        return incident_id

    def set_status(self, incident_id: str, email: str, status: str) -> None:
        """What a user does in the app: "acknowledged", "resolved", or "triggered" again."""
        agent = reference(self._user(email))
        self._set_status(self.incidents[incident_id], status, agent, "website", self.world.clock.now())

    def fire_raw(self, alert: Json, channel: Json, service: str, at: datetime | None = None) -> str:
        """Open an incident whose alert and log entry are not what the schema promises: these overwrite them."""
        incident_id = self.fire("(no title)", service, "error", f"raw-{self._id('D')}", {}, at)
        self.alerts[incident_id][0].update(alert)
        for entry in self.log:
            if entry["incident"]["id"] == incident_id:
                entry["channel"] = {"type": "api"} | channel
        return incident_id

    # What the API answers

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/incidents", self._list_incidents),
            web.put("/incidents", self._update_many),
            web.get("/incidents/{id}", self._read_incident),
            web.put("/incidents/{id}", self._update_one),
            web.get("/incidents/{id}/notes", self._list_notes),
            web.post("/incidents/{id}/notes", self._add_note),
            web.put("/incidents/{id}/notes/{note_id}", self._edit_note),
            web.delete("/incidents/{id}/notes/{note_id}", self._delete_note),
            web.get("/incidents/{id}/alerts", self._list_alerts),
            web.get("/incidents/{id}/log_entries", self._list_incident_log),
            web.get("/log_entries", self._list_log),
            web.get("/services", self._lister("services", lambda: self.services)),
            web.get("/teams", self._lister("teams", lambda: self.teams)),
            web.get("/users", self._lister("users", lambda: self.users)),
            web.get("/users/me", self._me),
            web.get("/users/{id}", self._read_user),
            web.get("/change_events", self._lister("change_events", lambda: _by_id(self.changes))),
            web.post("/v2/enqueue", self._enqueue),
            web.post("/v2/change/enqueue", self._enqueue_change),
            web.post("/change_events", self._enqueue_change),
        ]

    def actor(self, request: web.Request) -> str | None:
        if request.path.startswith("/v2/"):  # the Events API knows no account, only a routing key in the body
            return "events"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.removeprefix("token=") if scheme == "Token" else token
        return self.tokens.get(token)

    def error(self, status: int) -> web.Response:
        return refusal(status)

    async def _list_incidents(self, request: web.Request) -> web.Response:
        window = self._window(request, default=timedelta(days=30))
        if isinstance(window, web.Response):
            return window
        asked, keys = request.query, set(request.query.getall("statuses[]", ()))
        whole = asked.get("date_range") == "all"
        rows = [
            row
            for row in list(self.incidents.values())
            if (whole or window[0] <= row["created_at"] < window[1])
            and (not keys or row["status"] in keys)
            and asked.get("incident_key", row["incident_key"]) == row["incident_key"]
        ]
        field, _, direction = asked.get("sort_by", "incident_number:asc").partition(":")
        if field not in ("incident_number", "created_at", "resolved_at", "urgency"):
            return refusal(400, f"Sort by {field} is not supported")
        rows.sort(key=lambda row: (row[field] or "", row["incident_number"]), reverse=direction == "desc")
        return self._page(request, "incidents", rows)

    async def _read_incident(self, request: web.Request) -> web.Response:
        incident = self.incidents.get(request.match_info["id"])
        return answer({"incident": incident}) if incident else refusal(404)

    async def _update_one(self, request: web.Request) -> web.Response:
        change = (await request.json()).get("incident", {})
        return self._update(request, [change | {"id": request.match_info["id"]}], "incident")

    async def _update_many(self, request: web.Request) -> web.Response:
        changes = (await request.json()).get("incidents", [])
        return refusal(413) if len(changes) > _BULK else self._update(request, changes, "incidents")

    def _update(self, request: web.Request, changes: list[Json], key: str) -> web.Response:
        user = self._from(request)
        if user is None:
            return refusal(400, "The From header must be the email of a user of this account")
        if any(change.get("id") not in self.incidents for change in changes):
            return refusal(404)
        if any(change.get("status", "resolved") not in (*_LOG_TYPE, "triggered") for change in changes):
            return refusal(400, "Status must be one of triggered, acknowledged, resolved")
        for change in changes:
            self._apply(self.incidents[change["id"]], change, user)
        done = [self.incidents[change["id"]] for change in changes]
        return answer({key: done[0] if key == "incident" else done})

    def _apply(self, incident: Json, change: Json, user: Json) -> None:
        for field in ("title", "urgency", "priority"):
            if field in change:
                incident[field] = change[field]
        if "assignments" in change:
            self._assign(incident, [item["assignee"]["id"] for item in change["assignments"]], user)
        if change.get("status", incident["status"]) != incident["status"]:
            now, note = self.world.clock.now(), change.get("resolution")
            self._set_status(incident, change["status"], reference(user), "website", now, note)
        self._log_write("incident.update", incident["id"], user["email"], change)

    async def _list_notes(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.incidents:
            return refusal(404)
        return answer({"notes": self.notes.get(request.match_info["id"], [])})

    async def _add_note(self, request: web.Request) -> web.Response:
        incident, user = self.incidents.get(request.match_info["id"]), self._from(request)
        content = (await request.json()).get("note", {}).get("content")
        if incident is None:
            return refusal(404)
        if user is None or not isinstance(content, str) or not content:
            return refusal(400, "Content and the From header of a user of this account are required")
        note = self.add_note(incident["id"], user["email"], content)
        self._log_write("note.create", incident["id"], user["email"], {"id": note["id"], "content": content})
        return answer({"note": note})

    def add_note(self, incident_id: str, email: str, content: str) -> Json:
        """What a user writes under an incident; appears in its log as an annotation."""
        user, incident, now = self._user(email), self.incidents[incident_id], self.world.clock.now()
        note = {
            "id": self._id("P"),
            "user": reference(user),
            "channel": {"summary": "The PagerDuty website or APIs"},
        }
        note |= {"content": content, "created_at": zulu(now), "updated_at": zulu(now)}
        self.notes.setdefault(incident_id, []).append(note)
        channel = {"type": "note", "summary": content, "content": content}
        self._entry("annotate_log_entry", incident, reference(user), channel, zulu(now))
        return note

    async def _edit_note(self, request: web.Request) -> web.Response:
        note, user = self._note(request), self._from(request)
        content = (await request.json()).get("note", {}).get("content")
        if note is None:
            return refusal(404)
        if user is None or not content:
            return refusal(400, "Content and the From header of a user of this account are required")
        note.update(content=content, updated_at=zulu(self.world.clock.now()))
        self._log_write("note.update", request.match_info["id"], user["email"], dict(note))
        return answer({"note": note})

    async def _delete_note(self, request: web.Request) -> web.Response:
        note, user = self._note(request), self._from(request)
        if note is None:
            return refusal(404)
        if user is None:
            return refusal(400, "The From header must be the email of a user of this account")
        self.notes[request.match_info["id"]].remove(note)
        self._log_write("note.delete", request.match_info["id"], user["email"], dict(note))
        return web.Response(status=204, headers=rate_headers())

    async def _list_alerts(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.incidents:
            return refusal(404)
        return self._page(request, "alerts", self.alerts.get(request.match_info["id"], []))

    async def _list_incident_log(self, request: web.Request) -> web.Response:
        rows = [row for row in self.log if row["incident"]["id"] == request.match_info["id"]]
        return self._log_page(request, rows)

    async def _list_log(self, request: web.Request) -> web.Response:
        window = self._window(request, default=timedelta(days=30))
        if isinstance(window, web.Response):
            return window
        lag = self.world.search_lag
        until = min(window[1], zulu(self.world.clock.now() - lag)) if lag else window[1]
        return self._log_page(request, [row for row in self.log if window[0] <= row["created_at"] < until])

    def _log_page(self, request: web.Request, rows: list[Json]) -> web.Response:
        """Newest first. Channels and incidents are references unless they are asked to be included."""
        wanted = set(request.query.getall("include[]", ()))

        def shown(row: Json) -> Json:
            incident = self.incidents[row["incident"]["id"]] if "incidents" in wanted else row["incident"]
            channel = row["channel"] if "channels" in wanted else {"type": row["channel"]["type"]}
            return row | {"incident": incident, "channel": channel}

        return self._page(request, "log_entries", rows[::-1], shown)

    def _lister(self, key: str, rows: Callable[[], dict[str, Json]]) -> Callable[[web.Request], Any]:
        async def listed(request: web.Request) -> web.Response:
            words = request.query.get("query", "").lower()
            found = [
                row for row in rows().values() if words in f"{row.get('name')} {row.get('email')}".lower()
            ]
            return self._page(request, key, found)

        return listed

    async def _me(self, _: web.Request) -> web.Response:
        return answer({"user": self._user(BOT_EMAIL)})

    async def _read_user(self, request: web.Request) -> web.Response:
        user = self.users.get(request.match_info["id"])
        return answer({"user": user}) if user else refusal(404)

    async def _enqueue(self, request: web.Request) -> web.Response:
        event = await request.json()
        key, action = event.get("dedup_key") or self._id("D"), event.get("event_action")
        payload = event.get("payload", {})
        if action == "trigger":
            self.fire(
                payload["summary"],
                payload.get("component") or payload["source"],
                payload["severity"],
                key,
                payload.get("custom_details") or {},
                source=payload["source"],
                component=payload.get("component"),
                group=payload.get("group"),
                event_class=payload.get("class"),
            )
        elif action == "resolve":
            self.recover(key)
        else:
            return web.json_response(
                {"status": "invalid event", "message": "Event object is invalid"}, status=400
            )
        self._log_write(f"event.{action}", key, "events", event)
        return web.json_response(
            {"status": "success", "message": "Event processed", "dedup_key": key}, status=202
        )

    async def _enqueue_change(self, request: web.Request) -> web.Response:
        event = await request.json()
        payload = event.get("payload", event)
        change = self._thing("change_event", payload.get("summary", ""), source=payload.get("source"))
        change |= {"timestamp": payload.get("timestamp") or zulu(self.world.clock.now())}
        self.changes.append(change | {"custom_details": payload.get("custom_details") or {}})
        self._log_write("change_event", change["id"], "events", event)
        return web.json_response({"status": "success", "message": "Change event processed"}, status=202)

    # How state changes

    def _new_incident(self, summary: str, service: str, cef: Json, when: str) -> Json:
        number = len(self.incidents) + 1
        incident = self._thing(
            "incident", f"[#{number}] {summary}", prefix="Q", title=summary, incident_number=number
        )
        incident |= {
            "created_at": when,
            "updated_at": when,
            "last_status_change_at": when,
            "resolved_at": None,
        }
        incident |= {
            "status": "triggered",
            "incident_key": cef["dedup_key"],
            "urgency": _URGENCY[cef["severity"]],
        }
        incident |= {"service": reference(self._service(service)), "assignments": [], "acknowledgements": []}
        incident |= {"assigned_via": "escalation_policy", "teams": self._service(service)["teams"]}
        incident["alert_counts"] = {"all": 1, "triggered": 1, "resolved": 0}
        self.incidents[incident["id"]] = incident
        return incident

    def _new_alert(self, incident: Json, cef: Json, entry: Json, when: str) -> Json:
        alert = self._thing("alert", cef["description"], prefix="Q", created_at=when, status="triggered")
        body = {"type": "alert_body", "contexts": [], "details": cef["details"], "cef_details": cef}
        alert |= {
            "alert_key": cef["dedup_key"],
            "severity": cef["severity"],
            "suppressed": False,
            "body": body,
        }
        alert |= {"service": incident["service"], "incident": reference(incident)}
        return alert | {"first_trigger_log_entry": reference(entry)}

    def _trigger(self, incident: Json, cef: Json, when: str) -> Json:
        channel = {"type": "api", "summary": cef["description"], "incident_key": cef["dedup_key"]}
        channel |= {"details": cef["details"], "cef_details": cef}
        return self._entry("trigger_log_entry", incident, incident["service"], channel, when)

    def _set_status(
        self,
        incident: Json,
        status: str,
        agent: Json,
        channel: str,
        at: datetime,
        resolution: str | None = None,
    ) -> None:
        was, when, done = incident["status"], zulu(at), status == "resolved"
        incident.update(status=status, updated_at=when, last_status_change_at=when)
        incident["resolved_at"] = when if done else None
        acknowledged = [{"at": when, "acknowledger": agent}] if status == "acknowledged" else []
        incident["acknowledgements"] = acknowledged
        incident["assignments"] = [] if done else incident["assignments"]
        alerts = self.alerts.get(incident["id"], [])
        incident["alert_counts"] = {
            "all": len(alerts),
            "triggered": 0 if done else len(alerts),
            "resolved": len(alerts) if done else 0,
        }
        for alert in alerts:
            alert["status"] = "resolved" if done else "triggered"
        if done:
            self._open.pop(incident["incident_key"], None)
        else:
            self._open.setdefault(incident["incident_key"], incident["id"])
        kind = _LOG_TYPE.get(status, _REOPEN if was == "resolved" else "unacknowledge_log_entry")
        entry = self._entry(kind, incident, agent, {"type": channel, "summary": resolution or status}, when)
        if resolution:
            entry["note"] = resolution

    def _assign(self, incident: Json, user_ids: Iterable[str], user: Json) -> None:
        when = zulu(self.world.clock.now())
        people = [reference(self.users[user_id]) for user_id in user_ids if user_id in self.users]
        incident.update(assignments=[{"at": when, "assignee": person} for person in people], updated_at=when)
        entry = self._entry("assign_log_entry", incident, reference(user), {"type": "website"}, when)
        entry["assignees"] = people

    def _entry(self, kind: str, incident: Json, agent: Json, channel: Json, when: str) -> Json:
        entry = self._thing(kind, f"{kind.split('_')[0].capitalize()} by {agent['summary']}", prefix="R")
        entry |= {"created_at": when, "agent": agent, "channel": channel, "contexts": [], "event_details": {}}
        entry |= {
            "incident": reference(incident),
            "service": incident["service"],
            "teams": incident["teams"],
        }
        insort(self.log, entry, key=lambda row: row["created_at"])
        return entry

    def _log_write(self, kind: str, target: str, actor: str, body: Json) -> None:
        self.world.log(self.name, kind, target, actor=actor, marker=marker_in(str(body)), body=body)

    # Looking up

    def _user(self, email: str) -> Json:
        return next(user for user in self.users.values() if user["email"] == email)

    def _from(self, request: web.Request) -> Json | None:
        email = request.headers.get("From", "")
        return next((user for user in self.users.values() if user["email"] == email), None)

    def _note(self, request: web.Request) -> Json | None:
        notes = self.notes.get(request.match_info["id"], [])
        return next((note for note in notes if note["id"] == request.match_info["note_id"]), None)

    def _service(self, name: str) -> Json:
        found = next((service for service in self.services.values() if service["name"] == name), None)
        return found or self.services[self.add_service(name)]

    def _team(self, name: str) -> Json:
        found = next((team for team in self.teams.values() if team["name"] == name), None)
        if found is None:
            found = self._thing("team", name, name=name, description=None)
            self.teams[found["id"]] = found
        return found

    def _thing(self, kind: str, summary: str, *, prefix: str = "P", **fields: Any) -> Json:
        new, path = self._id(prefix), "log_entries" if kind.endswith("log_entry") else f"{kind}s"
        links = {
            "self": f"https://api.pagerduty.com/{path}/{new}",
            "html_url": f"https://acme.pagerduty.com/{path}/{new}",
        }
        return {"id": new, "type": kind, "summary": summary} | links | fields

    def _id(self, prefix: str) -> str:
        return prefix + "".join(self._rng.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=13))

    def _window(self, request: web.Request, default: timedelta) -> tuple[str, str] | web.Response:
        """The asked times as comparable text, or the refusal of what can't be read or is too long."""
        try:
            until = moment(request.query.get("until"), self.world.clock.now() + timedelta(seconds=1))
            since = moment(request.query.get("since"), until - default)
        except ValueError:
            return refusal(400, "Since and until must be ISO 8601 times")
        if until - since > _LONGEST_WINDOW:
            return refusal(400, "The date range must not be longer than 6 months")
        return zulu(since), zulu(until)

    def _page(
        self,
        request: web.Request,
        key: str,
        rows: list[Json],
        shown: Callable[[Json], Json] = lambda row: row,
    ) -> web.Response:
        try:
            offset, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "25"))
        except ValueError:
            return refusal(400, "Offset and limit must be numbers")
        if not 1 <= limit <= 100 or offset < 0 or offset + limit > _LAST_ROW:
            return refusal(400, "Limit is 1 to 100, and offset + limit at most 10000")
        total = len(rows) if request.query.get("total") == "true" else None
        page = [shown(row) for row in rows[offset : offset + limit]]
        more = offset + limit < len(rows)
        return answer({key: page, "limit": limit, "offset": offset, "total": total, "more": more})


def _by_id(rows: list[Json]) -> dict[str, Json]:
    return {row["id"]: row for row in rows}
