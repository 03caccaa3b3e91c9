"""Forms: what the columns of known exports are called, and what their words mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Kind = Literal["id", "time", "number", "work", "word", "state"]

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
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One kind of export. `columns`: field -> the headers it may have, in any case, the likeliest first.

    `log`: a row is a change of a ticket, not a ticket. `marks` are headers that only this form has.
    """

    name: str
    title: str
    columns: Mapping[str, tuple[str, ...]]
    marks: tuple[str, ...]
    log: bool = False


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
}

FORMS = (
    Form(
        name="log",
        title="a log of incident changes, one row for each",
        columns={**_SERVICENOW, "updated": ("sys_updated_at", "sys_updated_on")},
        marks=("sys_mod_count", "incident_state", "sys_updated_at"),
        log=True,
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


class Phase(IntEnum):
    """Where a ticket is. What is not in the table below is unknown."""

    NEW = 0
    OPEN = 1
    PAUSED = 2
    RESOLVED = 3
    CLOSED = 4


_WORDS = {
    Phase.NEW: "new;1;open;to do;todo;backlog",
    Phase.OPEN: "active;in progress;work in progress;2;in review;reopened",
    Phase.PAUSED: "on hold;3;pending;waiting;blocked;awaiting user info;awaiting vendor;awaiting problem;"
    "awaiting evidence;awaiting change;awaiting caller;waiting for customer;waiting for support;4;5",
    Phase.RESOLVED: "resolved;6;done",
    Phase.CLOSED: "closed;7;closed complete;closed incomplete;closed skipped;canceled;cancelled;8",
}
PHASES: Mapping[str, Phase] = {word: phase for phase, words in _WORDS.items() for word in words.split(";")}
