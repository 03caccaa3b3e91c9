"""One believable night at a mid-size company, told by its three sources and waiting in its two desks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from sandbox.server import Sandbox

_NIGHT = Path(__file__).with_name("night.yaml")
_FIRST_MONITOR = 160_000_100
_CRITICALITY = {
    1: "1 - most critical",
    2: "2 - somewhat critical",
    3: "3 - less critical",
    4: "4 - not critical",
}
# Our words for how bad something is, in the words of each vendor.
_PAGERDUTY = {"critical": "critical", "high": "error", "medium": "warning", "low": "warning", "info": "info"}
_SPLUNK = {"critical": 5, "high": 4, "medium": 3, "low": 2, "info": 1}
_DATADOG = {"critical": 1, "high": 2, "medium": 3, "low": 4, "info": 5}
_TOLD = {"critical": "Triggered", "high": "Triggered"}  # all else is a Warn
_IMPACT = {
    "critical": ("1", "1"),
    "high": ("2", "1"),
    "medium": ("2", "2"),
    "low": ("3", "2"),
    "info": ("3", "3"),
}
_JIRA_PRIORITY = {"critical": "1", "high": "2", "medium": "3", "low": "4", "info": "5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What was loaded: alerts told (with recoveries and unreadable ones), problems behind them, and tickets.

    `linked` of the tickets carry the key of an alert; the rest were opened by people.
    """

    alerts: int
    unreadable: int
    problems: int
    tickets: int
    linked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that went wrong, and how it was told.

    `category` is what an experienced engineer would call it ("" if nobody knows). It began `start` minutes
    before the end of the night and was told `times` times, every `every` minutes; `ends` minutes after it was
    last told it recovered (None: it goes on), and with `flaps` it recovers each time. `desk` is where monitoring
    opened a ticket ("" for nowhere), `at` is what failed in the service: a host, a pod, a link.
    """

    source: str
    service: str
    category: str
    severity: str
    title: str
    text: str
    start: float
    times: int = 1
    every: float = 5.0
    ends: float | None = None
    desk: str = "servicenow"
    at: str = ""
    tags: tuple[str, ...] = ()
    flaps: bool = False

    def tellings(self, end: datetime) -> Iterator[tuple[datetime, bool]]:
        """When it was told, and whether as a recovery."""
        for number in range(self.times):
            at = end - timedelta(minutes=self.start - number * self.every)
            yield at, False
            if self.flaps:
                yield at + timedelta(minutes=self.every / 2), True
        if self.ends is not None:
            yield at + timedelta(minutes=self.ends), True


def play(box: Sandbox) -> Scenario:
    """Load the night into a sandbox that serves, so that it ends now; the same seed gives the same night."""
    night = yaml.safe_load(_NIGHT.read_text(encoding="utf-8"))
    problems = [Problem(**(row | {"tags": tuple(row.get("tags", ()))})) for row in night["problems"]]
    return box.run(lambda: _play(box, night, problems))


def _play(box: Sandbox, night: dict[str, Any], problems: list[Problem]) -> Scenario:
    end = box.world.clock.now()
    _build_company(box, night, end)
    alerts, keys = tell(box, problems, end)
    unreadable = _tell_unreadable(box, end)
    for problem in problems:
        if problem.desk:
            open_ticket(box, problem, keys[problem.title], end)
    for row in night["requests"]:
        open_request(box, Request(**row), end)
    linked = sum(bool(problem.desk) for problem in problems)
    return Scenario(
        alerts=alerts + unreadable,
        unreadable=unreadable,
        problems=len(problems),
        tickets=linked + len(night["requests"]),
        linked=linked,
    )


def _build_company(box: Sandbox, night: dict[str, Any], end: datetime) -> None:
    desk = box.servicenow
    for name in night["callers"]:
        desk.add_user(name)
    for row in night["services"]:
        critical = _CRITICALITY[row["criticality"]]
        group = {"support_group": row["group"], "assignment_group": row["group"]}
        desk.add_ci(row["name"], business_criticality=critical, environment="production", **group)
        box.pagerduty.add_service(row["name"], row["group"])
    for row in night["services"]:
        for needed in row.get("needs", ()):
            desk.relate(row["name"], needed)
    owners = {row["name"]: row["group"] for row in night["services"]}
    for row in night["changes"]:
        ended = end - timedelta(hours=row["ended"])
        change = {"short_description": row["title"], "cmdb_ci": row["service"], "type": row["type"]}
        change |= {"assignment_group": owners[row["service"]], "state": "3", "risk": "3"}
        change |= {"close_code": "successful", "close_notes": "Done as planned."}
        change |= {"start_date": _stamp(ended - timedelta(minutes=40)), "end_date": _stamp(ended)}
        change |= {"closed_at": _stamp(ended), "sys_created_on": _stamp(ended - timedelta(days=2))}
        desk.records.insert("change_request", change, "tomas.silva")


def tell(box: Sandbox, problems: list[Problem], end: datetime) -> tuple[int, dict[str, str]]:
    """Let the sources tell all problems in the order of time.

    Gives how many alerts that were and, by the title of each problem, the key that its ticket is found by.
    """
    tellings = [
        (at, number, recovery)
        for number, problem in enumerate(problems)
        for at, recovery in problem.tellings(end)
    ]
    keys: dict[str, str] = {}
    for at, number, recovery in sorted(tellings):
        problem = problems[number]
        key = _TELL[problem.source](box, problem, _FIRST_MONITOR + number, at, recovery)
        keys.setdefault(problem.title, key)
    box.datadog.add_logs(_log_of(problem, end) for problem in problems)
    return len(tellings), keys


def _tell_datadog(box: Sandbox, problem: Problem, monitor: int, at: datetime, recovery: bool) -> str:
    scope = _scope(problem)
    if monitor not in box.datadog.monitors:
        box.datadog.add_monitor(
            problem.title,
            monitor_id=monitor,
            query=f"avg(last_5m):service.health{{service:{problem.service}}} > 1",
            message=f"{problem.text} @pagerduty-{problem.service}",
            priority=_DATADOG[problem.severity],
        )
    group = box.datadog.monitors[monitor]["state"]["groups"].get(scope, {})
    word = _TOLD.get(problem.severity, "Warn")
    again = word if group.get("status", "OK") == "OK" else f"Re-{word}"
    box.datadog.fire(
        problem.title,
        monitor,
        scope,
        "Recovered" if recovery else again,
        message=f"%%%\n{problem.text}\n%%%",
        tags=problem.tags,
        at=at,
    )
    return f"datadog:{monitor}:{scope}"


def _tell_splunk(box: Sandbox, problem: Problem, _: int, at: datetime, __: bool) -> str:
    if problem.title not in box.splunk.searches:
        severity = _SPLUNK[problem.severity]
        search = f"search index=main service={problem.service}"
        box.splunk.add_search(problem.title, search=search, description=problem.text, severity=severity)
    row = {"service": problem.service, "host": problem.at or problem.service, "message": problem.text}
    box.splunk.fire(problem.title, [row], _SPLUNK[problem.severity], at)
    box.splunk.add_logs([row | {"at": at, "_raw": problem.text}])
    return f"splunk:{problem.title}"


def _tell_pagerduty(box: Sandbox, problem: Problem, _: int, at: datetime, recovery: bool) -> str:
    dedup_key = f"{problem.service}/{problem.title}"
    if recovery:
        return f"pagerduty:{box.pagerduty.recover(dedup_key, at)}"
    incident = box.pagerduty.fire(
        problem.title,
        problem.service,
        _PAGERDUTY[problem.severity],
        dedup_key,
        {"description": problem.text, "tags": list(problem.tags)},
        at,
        source=problem.at or problem.service,
        component=problem.at or None,
    )
    return f"pagerduty:{incident}"


_TELL: dict[str, Callable[[Sandbox, Problem, int, datetime, bool], str]] = {
    "datadog": _tell_datadog,
    "splunk": _tell_splunk,
    "pagerduty": _tell_pagerduty,
}


def _tell_unreadable(box: Sandbox, end: datetime) -> int:
    """One alert of each source whose body is not what the vendor promises."""
    at = end - timedelta(minutes=100)
    inner = {"monitor": "n/a", "evt": ["?"], "timestamp": "yesterday"}
    shown = {"attributes": inner, "tags": ["source:alert"], "message": 17, "timestamp": _zulu(at)}
    box.datadog.put_raw({"id": "AwAAAbroken", "type": "event", "attributes": shown}, at)
    box.splunk.fire_raw("Legacy report", {"savedsearch_name": ["?"], "severity": "very", "sid": None}, at)
    broken = {"severity": 7, "summary": None, "body": "not an object", "created_at": None}
    box.pagerduty.fire_raw(broken, {"cef_details": "not an object"}, "legacy-bridge", at)
    return 3


def open_ticket(box: Sandbox, problem: Problem, key: str, end: datetime) -> str:
    """The ticket that monitoring opened for a problem, a minute after it was first told; gives its number."""
    number = _OPEN[problem.desk](box, problem, key, end - timedelta(minutes=problem.start - 1))
    if problem.category:
        box.engineers.truth[number] = problem.category
    return number


def _open_incident(box: Sandbox, problem: Problem, key: str, opened: datetime) -> str:
    impact, urgency = _IMPACT[problem.severity]
    row = box.servicenow.open_incident(
        short_description=problem.title,
        description=problem.text,
        assignment_group="NOC",
        cmdb_ci=problem.service,
        contact_type="monitoring",
        correlation_id=key,
        correlation_display=problem.source,
        impact=impact,
        urgency=urgency,
        opened_at=_stamp(opened),
        sys_created_on=_stamp(opened),
    )
    return row["number"]


def _open_issue(box: Sandbox, problem: Problem, key: str, opened: datetime) -> str:
    issue = box.jira.open_issue(
        "OPS",
        opened=opened,
        summary=problem.title,
        description=problem.text,
        issuetype="Incident",
        priority=_JIRA_PRIORITY[problem.severity],
        labels=[key, "monitoring"],
        customfield_10053=problem.service,
        customfield_10054=key,
    )
    return issue.key


_OPEN: dict[str, Callable[[Sandbox, Problem, str, datetime], str]] = {
    "servicenow": _open_incident,
    "jira": _open_issue,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A ticket that a person opened `start` minutes before the end, without any alert."""

    desk: str
    person: str
    title: str
    text: str
    start: float
    category: str = ""


def open_request(box: Sandbox, request: Request, end: datetime) -> str:
    """The ticket as the person filed it; gives its number."""
    number = _FILE[request.desk](box, request, end - timedelta(minutes=request.start))
    if request.category:
        box.engineers.truth[number] = request.category
    return number


def _file_incident(box: Sandbox, request: Request, opened: datetime) -> str:
    box.servicenow.add_user(request.person)
    row = box.servicenow.open_incident(
        request.person,
        short_description=request.title,
        description=request.text,
        caller_id=request.person,
        contact_type="self-service",
        assignment_group="NOC",
        opened_at=_stamp(opened),
        sys_created_on=_stamp(opened),
    )
    return row["number"]


def _file_issue(box: Sandbox, request: Request, opened: datetime) -> str:
    issue = box.jira.open_issue(
        "OPS",
        user=request.person,
        opened=opened,
        summary=request.title,
        description=request.text,
        issuetype="Service request",
    )
    return issue.key


_FILE: dict[str, Callable[[Sandbox, Request, datetime], str]] = {
    "servicenow": _file_incident,
    "jira": _file_issue,
}


def _scope(problem: Problem) -> str:
    host = f",host:{problem.at}" if problem.at else ""
    return f"env:prod{host},service:{problem.service}"


def _log_of(problem: Problem, end: datetime) -> dict[str, Any]:
    level = "error" if problem.severity in ("critical", "high") else "info"
    at = end - timedelta(minutes=problem.start)
    tags = [f"service:{problem.service}", "env:prod"]
    host = problem.at or problem.service
    return {
        "message": problem.text,
        "service": problem.service,
        "host": host,
        "status": level,
        "tags": tags,
        "at": at,
    }


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S")


def _zulu(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.000Z")
