"""Forms: what the columns of known exports are called, and what their words mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, TypeVar

Kind = Literal["id", "time", "number", "work", "word", "state", "course", "outcome", "urgency"]

Meaning = TypeVar("Meaning")

# The fields that a column can be mapped to.
FIELD_KINDS: Mapping[str, Kind] = {
    "id": "id",
    "opened": "time",
    "began": "time",
    "detected": "time",
    "acknowledged": "time",
    "resolved": "time",
    "closed": "time",
    "updated": "time",
    "state": "state",
    "moves": "number",
    "reopens": "number",
    "alerts": "number",
    "minutes": "number",
    "worked": "work",
    "model_usd": "number",
    "category": "word",
    "priority": "word",
    "service": "word",
    "cluster": "word",
    "lane": "word",
    "caused_by": "word",
    "fixed_by": "word",
}
# Of these, those that name the change which caused a ticket, and the one that was made because of it.
LINKS = frozenset({"caused_by", "fixed_by"})
# The fields of an export of changes.
CHANGE_KINDS: Mapping[str, Kind] = {
    "id": "id",
    "started": "time",
    "ended": "time",
    "state": "course",
    "close_code": "outcome",
    "type": "urgency",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One kind of export. `columns`: field -> the headers it may have, in any case, the likeliest first.

    `log`: a row is a change of a ticket, not a ticket. `marks` are headers that only this form has, `kinds` the fields
    that a column can be mapped to, `needed` those without which nothing can be counted,
    and `prefix` what stands before them in --map.
    """

    name: str
    title: str
    columns: Mapping[str, tuple[str, ...]]
    marks: tuple[str, ...]
    log: bool = False
    kinds: Mapping[str, Kind] = field(default_factory=lambda: FIELD_KINDS)
    needed: tuple[str, ...] = ("id", "opened")
    prefix: str = ""


_SERVICENOW: dict[str, tuple[str, ...]] = {
    "id": ("number",),
    "opened": ("opened_at", "opened", "sys_created_on", "created"),
    "resolved": ("resolved_at", "resolved"),
    "closed": ("closed_at", "closed"),
    "updated": ("sys_updated_on", "updated"),
    "state": ("incident_state", "state", "incident state"),
    "reopens": ("reopen_count", "reopen count"),
    "moves": ("reassignment_count", "reassignment count"),
    "worked": ("time_worked", "time worked"),
    "category": ("category",),
    "priority": ("priority",),
    "service": ("business_service", "service", "cmdb_ci", "configuration item"),
    "caused_by": ("caused_by", "caused by", "caused by change"),
    "fixed_by": ("rfc", "change request"),
}

FORMS = (
    Form(
        name="log",
        title="a log of incident changes, one row for each",
        columns={**_SERVICENOW, "updated": ("sys_updated_at", "sys_updated_on")},
        marks=("sys_mod_count", "incident_state", "sys_updated_at"),
        log=True,
        needed=("id", "opened", "updated", "state"),
    ),
    Form(
        name="servicenow",
        title="a ServiceNow list of incidents",
        columns=_SERVICENOW,
        marks=("number",),
    ),
    Form(
        name="jira",
        title="a Jira list of issues",
        columns={
            "id": ("issue key", "key"),
            "opened": ("created",),
            "resolved": ("resolved", "resolution date", "resolutiondate"),
            "updated": ("updated",),
            "state": ("status category", "status"),
            "category": ("component/s", "components", "issue type", "issuetype"),
            "priority": ("priority",),
            "worked": ("time spent", "timespent"),
            "service": ("affected services",),
        },
        marks=("issue key",),
    ),
)
# For exports of other tools: nothing is known, everything is mapped.
MAPPED = Form(name="mapped", title="an export whose columns were told", columns={}, marks=())
CHANGES = Form(
    name="changes",
    title="a ServiceNow list of change requests",
    columns={
        "id": ("number",),
        "started": ("work_start", "actual start", "actual start date"),
        "ended": (
            "closed_at",
            "closed",
            "work_end",
            "actual end",
            "actual end date",
            "end_date",
            "planned end date",
        ),
        "state": ("state",),
        "close_code": ("close_code", "close code"),
        "type": ("type",),
    },
    marks=("number",),
    kinds=CHANGE_KINDS,
    needed=("id", "ended"),
    prefix="change.",
)


class Phase(IntEnum):
    """Where a ticket is. What is not in the table below is unknown."""

    NEW = 0
    OPEN = 1
    PAUSED = 2
    RESOLVED = 3
    CLOSED = 4


class Course(IntEnum):
    """How far a change has come."""

    PENDING = 0
    ENDED = 1
    CANCELLED = 2


class Outcome(IntEnum):
    """How a change ended, by its close code."""

    FAILED = 0
    SUCCESSFUL = 1


class Urgency(IntEnum):
    """Whether a change was planned, by its type."""

    UNPLANNED = 0
    PLANNED = 1


def _by_word(words: Mapping[Meaning, str]) -> Mapping[str, Meaning]:
    return {word: meaning for meaning, listed in words.items() for word in listed.split(";")}


PHASES: Mapping[str, Phase] = _by_word({
    Phase.NEW: "new;1;open;to do;todo;backlog",
    Phase.OPEN: "active;in progress;work in progress;2;in review;reopened",
    Phase.PAUSED: "on hold;3;pending;waiting;blocked;awaiting user info;awaiting vendor;awaiting problem;"
    "awaiting evidence;awaiting change;awaiting caller;waiting for customer;waiting for support;4;5",
    Phase.RESOLVED: "resolved;6;done",
    Phase.CLOSED: "closed;7;closed complete;closed incomplete;closed skipped;canceled;cancelled;8",
})  # fmt: skip
COURSES: Mapping[str, Course] = _by_word({
    Course.PENDING: "new;-5;assess;-4;authorize;-3;scheduled;-2;implement;-1;review;0;open;pending;work in progress",
    Course.ENDED: "closed;3;closed complete;closed incomplete",
    Course.CANCELLED: "canceled;cancelled;4;closed skipped",
})  # fmt: skip
OUTCOMES: Mapping[str, Outcome] = _by_word({
    Outcome.SUCCESSFUL: "successful;successful_issues;successful with issues",
    Outcome.FAILED: "unsuccessful",
})  # fmt: skip
URGENCIES: Mapping[str, Urgency] = _by_word({
    Urgency.PLANNED: "normal;standard;routine;comprehensive",
    Urgency.UNPLANNED: "emergency",
})  # fmt: skip
