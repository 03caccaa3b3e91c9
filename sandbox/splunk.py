"""Splunk, imitated: saved searches, what they fired, and search jobs over stored rows, in JSON and XML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.splunk_search import fits, parsed
from sandbox.splunk_shapes import (
    entry_of,
    json_feed,
    message,
    rendered,
    shown_row,
    xml,
    xml_entry,
    xml_feed,
    xml_results,
)
from sandbox.world import World

Json = dict[str, Any]
TOKEN = "splunk-token"
_EXPIRES = timedelta(hours=24)
_DEFAULT_COUNT = 30
_USER_APP = "search"
_NS = r"/{ns:services|servicesNS/[^/]+/[^/]+}"
_JOBS = _NS + r"/search/{v:(?:v2/)?jobs}"
_ERRORS = {
    401: ("WARN", "call not properly authenticated"),
    403: ("ERROR", "You (user=countersign) do not have permission to perform this operation"),
    404: ("ERROR", "Not Found"),
    429: (
        "WARN",
        "Search not executed: The maximum number of concurrent historical searches has been reached.",
    ),
    503: ("FATAL", "This splunkd is shutting down or starting up."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One time that a saved search fired; `content` is what the API shows of it."""

    name: str
    search: str
    app: str
    at: datetime
    content: Json


@dataclass(slots=True, kw_only=True)
class Job:
    """One search: its rows are known at once, but it says RUNNING as often as `polls_left` asks."""

    sid: str
    search: str
    rows: list[Json]
    polls_left: int = 0
    failed: bool = False


@dataclass(slots=True)
class Splunk:
    """State in dicts. `fire` is what the scheduler does; the routes are what the API answers.

    `restarting` empties the list of firings, `warning` makes searches partial (HTTP 200 with a message), and
    `polls` is how often a new job answers RUNNING.
    """

    world: World
    name: str = "splunk"
    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: "countersign"})
    searches: dict[str, Json] = field(default_factory=dict)
    firings: list[Firing] = field(default_factory=list)
    rows: list[Json] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    restarting: bool = False
    warning: str = ""
    polls: int = 1

    def counts(self) -> dict[str, int]:
        return {"searches": len(self.searches), "firings": len(self.firings), "rows": len(self.rows)}

    # What the scheduler and the forwarders do

    def add_search(
        self, name: str, *, search: str = "", description: str = "", severity: int = 3, app: str = "noc"
    ) -> None:
        self.searches[name] = {
            "search": search or f"search index=main {name}",
            "description": description,
            "alert.severity": severity,
            "alert.track": "1",
            "alert.expires": "24h",
            "alert_type": "number of events",
            "cron_schedule": "*/5 * * * *",
            "is_scheduled": "1",
            "disabled": "0",
            "app": app,
        }

    def fire(
        self, search: str, result_rows: Iterable[Json], severity: int = 3, at: datetime | None = None
    ) -> str:
        """Let a saved search fire with these rows; severity is 1 (info) to 5. Gives the firing's name."""
        if search not in self.searches:
            self.add_search(search, severity=severity)
        when = at or self.world.clock.now()
        epoch = int(when.timestamp())
        app, digest = (
            self.searches[search]["app"],
            hashlib.md5(search.encode(), usedforsecurity=False).hexdigest()[:16],
        )
        sid = f"scheduler__admin__{app}__RMD5{digest}_at_{epoch // 60 * 60}_{len(self.firings)}"
        rows = [{key: str(value) for key, value in row.items()} for row in result_rows]
        self.jobs[sid] = Job(sid=sid, search=self.searches[search]["search"], rows=rows)
        content = {
            "actions": None,
            "alert_type": "historical",
            "digest_mode": True,
            "expiration_time_rendered": rendered(when + _EXPIRES),
            "savedsearch_name": search,
            "severity": severity,
            "sid": sid,
            "trigger_time": epoch,
            "trigger_time_rendered": rendered(when),
            "triggered_alerts": max(1, len(rows)),
        }
        return self._keep(f"{sid}_{epoch}", search, when, content)

    def fire_raw(self, search: str, content: Json, at: datetime | None = None) -> str:
        """Let a saved search fire with a content that is not what the API promises."""
        if search not in self.searches:
            self.add_search(search)
        when = at or self.world.clock.now()
        return self._keep(f"scheduler__admin__noc__raw_{len(self.firings)}", search, when, content)

    def _keep(self, name: str, search: str, when: datetime, content: Json) -> str:
        app = self.searches[search]["app"]
        self.firings.append(Firing(name=name, search=search, app=app, at=when, content=content))
        return name

    def add_logs(self, rows: Iterable[Json]) -> None:
        """Rows with `at` (aware datetime), `_raw` and any fields; `indexed_at` is when a late row arrived."""
        for row in rows:
            at: datetime = row.get("at") or self.world.clock.now()
            arrived: datetime = row.get("indexed_at") or at
            known = {key: str(value) for key, value in row.items() if key not in ("at", "indexed_at")}
            times = {"_time": f"{at.timestamp():.3f}", "_indextime": str(int(arrived.timestamp()))}
            self.rows.append({"index": "main", "sourcetype": "app", "_raw": ""} | known | times)

    # What the API answers

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_NS + "/server/info{end:/?}", self._info),
            web.get(_NS + "/server/info/{one}", self._info),
            web.get(_NS + "/alerts/fired_alerts{end:/?}", self._fired_groups),
            web.get(_NS + "/alerts/fired_alerts/{group}", self._fired_group),
            web.get(_NS + "/saved/searches{end:/?}", self._saved),
            web.get(_NS + "/saved/searches/{one}", self._saved),
            web.post(_JOBS + "{end:/?}", self._create_job),
            web.get(_JOBS + "/export", self._export),
            web.post(_JOBS + "/export", self._export),
            web.get(_JOBS + "/{sid}", self._read_job),
            web.post(_JOBS + "/{sid}/control", self._control),
            web.get(_JOBS + "/{sid}/results", self._results),
            web.post(_JOBS + "/{sid}/results", self._results),
        ]

    def actor(self, request: web.Request) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self.tokens.get(token) if scheme in ("Bearer", "Splunk") else None

    def error(self, status: int) -> web.Response:
        kind, text = _ERRORS.get(status, ("ERROR", "Internal Server Error"))
        return message(status, kind, text, json_wanted=False)

    async def _info(self, request: web.Request) -> web.Response:
        content: Json = {
            "version": "10.4.2",
            "build": "33c3bf42cd73",
            "serverName": "sandbox",
            "product_type": "enterprise",
        }
        content |= {"guid": "3FD18BC4-0000-4000-8000-27963CB17412", "isTrial": False, "licenseState": "OK"}
        return await self._feed(
            request, "server-info", [entry_of("/services/server/info", "server-info", content)]
        )

    async def _fired_groups(self, request: web.Request) -> web.Response:
        seen = self._visible(request)
        groups: dict[str, int] = {}
        for firing in seen:
            groups[firing.search] = groups.get(firing.search, 0) + 1
        path = "/servicesNS/nobody/noc/alerts/fired_alerts"
        shown: dict[str, Json] = {
            name: {"is_streaming_alert": False, "triggered_alert_count": count}
            for name, count in groups.items()
        }
        entries = [entry_of(path, name, content) for name, content in sorted(shown.items())]
        total = entry_of("/servicesNS/-/-/alerts/fired_alerts", "-", {"triggered_alert_count": len(seen)})
        return await self._feed(request, "fired_alerts", [total, *entries] if entries else [])

    async def _fired_group(self, request: web.Request) -> web.Response:
        group, path = request.match_info["group"], "/servicesNS/nobody/noc/alerts/fired_alerts"
        if group != "-" and group not in self.searches:
            return await self._missing(request, f"Could not find object id={group}")
        found = [firing for firing in self._visible(request) if group in ("-", firing.search)]
        entries = [entry_of(path, firing.name, firing.content, firing.at) for firing in found]
        return await self._feed(request, "fired_alerts", entries)

    async def _saved(self, request: web.Request) -> web.Response:
        one, path = request.match_info.get("one"), "/servicesNS/nobody/noc/saved/searches"
        if one is not None and one not in self.searches:
            return await self._missing(request, f"Could not find object id={one}")
        shown = {
            name: content
            for name, content in sorted(self.searches.items())
            if one in (None, name) and _in_sight(request, content["app"])
        }
        return await self._feed(
            request, "savedsearch", [entry_of(path, name, found) for name, found in shown.items()]
        )

    async def _create_job(self, request: web.Request) -> web.Response:
        asked = await _asked(request)
        job = self._run(asked)
        if isinstance(job, str):
            return message(400, "FATAL", job, json_wanted=_json_wanted(asked))
        if asked.get("exec_mode") == "oneshot":
            return self._rows(asked, job.rows)
        self.jobs[job.sid] = job
        if _json_wanted(asked):
            return web.json_response({"sid": job.sid}, status=201)
        return xml(f"<response>\n  <sid>{job.sid}</sid>\n</response>", status=201)

    async def _export(self, request: web.Request) -> web.Response:
        """One JSON document per line; a partial search says so in a line of its own, with status 200."""
        asked = await _asked(request)
        job = self._run(asked)
        if isinstance(job, str):
            return message(400, "FATAL", job, json_wanted=_json_wanted(asked))
        if not _json_wanted(asked):
            return self._rows(asked, job.rows)
        lines: list[Json] = [
            {"preview": False, "offset": offset, "result": shown_row(row)}
            for offset, row in enumerate(job.rows)
        ]
        if lines:
            lines[-1]["lastrow"] = True
        told = [{"messages": self._messages()}] if self.warning else []
        text = "".join(
            json.dumps(line) + "\n" for line in told + (lines or [{"preview": False, "lastrow": True}])
        )
        return web.Response(text=text, content_type="application/json")

    async def _read_job(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["sid"])
        if job is None:
            return await self._missing(request, "Unknown sid.")
        done = job.polls_left <= 0
        job.polls_left -= 1
        state = ("FAILED" if job.failed else "DONE") if done else "RUNNING"
        content = {"sid": job.sid, "dispatchState": state, "isDone": done, "isFailed": job.failed and done}
        content |= {
            "doneProgress": 1.0 if done else 0.4,
            "resultCount": len(job.rows) if done else 0,
            "ttl": 600,
        }
        content |= {"messages": self._messages()}
        entry = entry_of("/services/search/v2/jobs", job.sid, content)
        if _json_wanted(await _asked(request)):
            return web.json_response(json_feed([entry], 1))
        # Unlike all else, a job comes as a bare entry, without a feed around it.
        return xml(xml_entry(entry, root=True))

    async def _control(self, request: web.Request) -> web.Response:
        action = (await _asked(request)).get("action")
        if request.match_info["sid"] not in self.jobs:
            return await self._missing(request, "Unknown sid.")
        if action == "cancel":
            del self.jobs[request.match_info["sid"]]
        return message(200, "INFO", f"Search job {action}.", json_wanted=_json_wanted(await _asked(request)))

    async def _results(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["sid"])
        if job is None:
            return await self._missing(request, "Unknown sid.")
        if job.polls_left > 0:
            return web.Response(status=204)
        return self._rows(await _asked(request), job.rows)

    # Searching and showing

    def _visible(self, request: web.Request) -> list[Firing]:
        now, lag = self.world.clock.now(), self.world.search_lag
        kept = [] if self.restarting else [one for one in self.firings if one.at > now - _EXPIRES]
        kept = [one for one in kept if one.at <= now - lag] if lag else kept
        return [firing for firing in kept if _in_sight(request, firing.app)]

    def _run(self, asked: Json) -> Job | str:
        """Run a search; a text says what is wrong with it."""
        query = parsed(asked.get("search", ""), asked)
        if isinstance(query, str):
            return query
        found = [row for row in self.rows if fits(row, query)]
        found.sort(key=lambda row: float(row["_time"]), reverse=True)
        sid = f"{self.world.clock.now().timestamp():.0f}.{len(self.jobs) + 1}"
        return Job(sid=sid, search=asked["search"], rows=found[: query.head], polls_left=self.polls)

    def _messages(self) -> list[Json]:
        return [{"type": "WARN", "text": self.warning}] if self.warning else []

    def _rows(self, asked: Json, rows: list[Json]) -> web.Response:
        offset, count = int(asked.get("offset", 0)), int(asked.get("count", 100)) or len(rows)
        page = [shown_row(row) for row in rows[offset : offset + count]]
        names = list(dict.fromkeys(name for row in page for name in row))
        if not _json_wanted(asked):
            return xml(xml_results(names, page))
        body = {"preview": False, "init_offset": offset, "messages": self._messages()}
        return web.json_response(body | {"fields": [{"name": name} for name in names], "results": page})

    async def _feed(self, request: web.Request, title: str, entries: list[Json]) -> web.Response:
        asked = await _asked(request)
        offset, count = int(asked.get("offset", 0)), int(asked.get("count", _DEFAULT_COUNT))
        page = entries[offset : offset + count] if count > 0 else entries[offset:]
        if _json_wanted(asked):
            return web.json_response(json_feed(page, len(entries), offset))
        return xml(xml_feed(title, page, len(entries), offset))

    async def _missing(self, request: web.Request, text: str) -> web.Response:
        return message(404, "ERROR", text, json_wanted=_json_wanted(await _asked(request)))


async def _asked(request: web.Request) -> Json:
    """Query and form together; the SDK does not say that its body is a form, and the real server takes it."""
    return {**request.query, **dict(parse_qsl(await request.text()))}


def _json_wanted(asked: Json) -> bool:
    return asked.get("output_mode") in ("json", "json_rows")


def _in_sight(request: web.Request, app: str) -> bool:
    """`/services` shows the user's own app only; `/servicesNS/-/-` shows all apps."""
    space = request.match_info["ns"].split("/")
    return app == _USER_APP if space[0] == "services" else space[2] in ("-", app)
