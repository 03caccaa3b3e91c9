"""Real alerts and tickets that nobody here wrote, read from the data folder into a sandbox."""

from __future__ import annotations

import csv
import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.scenario import Problem, Request, Scenario, open_request, open_ticket, tell
from sandbox.server import Sandbox

Json = dict[str, Any]
RULES = 150
_WINDOW = 450.0  # minutes before now into which everything is laid
_WEBHOOKS = "keep-datadog-raw/webhooks.jsonl.gz"
_ALERT_RULES = "awesome-prometheus-alerts/rules.jsonl.gz"
_TICKETS = "it-ticket-routing-8500/tickets.csv.gz"
_SEVERITY = {"critical": "critical", "warning": "medium", "info": "info"}
_SOURCES = ("pagerduty", "splunk")
_LONGEST_TITLE = 200


def look_into(data: Path) -> None:
    """Raises FileNotFoundError, in a sentence, where one of the data sets is missing."""
    for name in (_WEBHOOKS, _ALERT_RULES, _TICKETS):
        if not (data / name).is_file():
            raise FileNotFoundError(f"There is no {data / name}; name the folder of the data sets.")


def load(box: Sandbox, data: Path, tickets: int = 500) -> Scenario:
    """Fill a sandbox that serves with webhook bodies, alert rules that fire, and tickets that people wrote.

    `data` is the folder of the data sets, as `look_into` wants it. The same seed and folder give the same picks.
    """
    bodies, rules, rows = _lines(data / _WEBHOOKS), _lines(data / _ALERT_RULES), _rows(data / _TICKETS)
    return box.run(lambda: _load(box, bodies, rules, rows, tickets))


def _load(box: Sandbox, bodies: list[Json], rules: list[Json], rows: list[Json], tickets: int) -> Scenario:
    rng, end = random.Random(f"realdata:{box.world.seed}"), box.world.clock.now()
    streams = _tell_bodies(box, bodies, end)
    picked = [_problem(rule, number, rng) for number, rule in enumerate(rng.sample(rules, RULES))]
    told, keys = tell(box, picked, end)
    for problem in picked:
        if problem.desk:
            open_ticket(box, problem, keys[problem.title], end)
    for key, problem in streams.items():
        open_ticket(box, problem, key, end)
    filed = rng.sample(rows, tickets)
    for number, row in enumerate(filed):
        open_request(box, _request(row, number, rng), end)
    linked = sum(bool(problem.desk) for problem in picked) + len(streams)
    return Scenario(
        alerts=len(bodies) + told,
        unreadable=0,
        problems=len(streams) + len(picked),
        tickets=linked + len(filed),
        linked=linked,
    )


def _tell_bodies(box: Sandbox, bodies: list[Json], end: datetime) -> dict[str, Problem]:
    """Tell the webhook bodies with their own distances in time, the last a few minutes ago.

    Gives, by key, what a ticket would say of each stream of one monitor and scope.
    """
    shift = end - timedelta(minutes=5) - max(_when(body) for body in bodies)
    streams: dict[str, Problem] = {}
    for body in sorted(bodies, key=_when):
        at = _when(body) + shift
        box.datadog.fire_webhook_body(body, at)
        first = Problem(
            source="datadog",
            service=body["scopes"].partition(":")[2],
            category="",
            severity="high",
            title=body["title"],
            text=body["body"],
            start=(end - at).total_seconds() / 60,
        )
        streams.setdefault(f"datadog:{body['monitor_id']}:{body['scopes']}", first)
    return streams


def _problem(rule: Json, number: int, rng: random.Random) -> Problem:
    """A rule that fires one to four times; four of five have a ticket, for PagerDuty in turns with Jira."""
    source = _SOURCES[number % 2]
    desk = "jira" if source == "pagerduty" and number % 4 == 0 else "servicenow"
    return Problem(
        source=source,
        service=rule["service"],
        category="",
        severity=_SEVERITY[rule["severity"]],
        title=rule["alert"],
        text=f"{rule['description']}\n{rule['query']}",
        start=round(rng.uniform(60, _WINDOW), 1),
        times=rng.randint(1, 4),
        every=10,
        desk="" if number % 5 == 4 else desk,
        at=f"{rule['group'].split()[0].lower().strip(',')}-{rng.randint(1, 9):02d}",
    )


def _request(row: Json, number: int, rng: random.Random) -> Request:
    return Request(
        desk=("servicenow", "jira")[number % 2],
        person=".".join(row["Caller"].split()),
        title=" ".join(row["Short description"].split())[:_LONGEST_TITLE],
        text=row["Description"].strip(),
        start=round(rng.uniform(5, _WINDOW), 1),
    )


def _when(body: Json) -> datetime:
    return datetime.fromtimestamp(int(body["date"]) / 1000, tz=UTC)


def _lines(path: Path) -> list[Json]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _rows(path: Path) -> list[Json]:
    """The tickets that have a title: a desk takes no other."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["Short description"].strip()]
