"""What a JQL field means for an issue: the texts by which the search finds it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox import jira_records
from sandbox.jira_query import Values
from sandbox.jira_records import Issue
from sandbox.jira_text import RichText

Json = dict[str, Any]


def reader(issue: Issue, state: Json) -> Values:
    """Reads the JQL fields of one issue, in the state that the search knows."""

    def read(field: str) -> list[str] | datetime:
        if field in ("updated", "created"):
            at: datetime = state[field]
            return at
        return _READ[field](issue, state)

    return read


def _texts(*values: object) -> list[str]:
    return [value.text if isinstance(value, RichText) else str(value) for value in values if value]


def _comment_texts(issue: Issue) -> list[str]:
    return [comment.body.text for comment in issue.comments]


def _key(issue: Issue, _: Json) -> list[str]:
    return [issue.key, issue.id]


def _status(state: Json) -> tuple[str, str]:
    return jira_records.STATUSES[state["status"]]


def _type(_: Issue, state: Json) -> list[str]:
    return [state["issuetype"], jira_records.ISSUE_TYPES[state["issuetype"]]]


_READ: dict[str, Callable[[Issue, Json], list[str]]] = {
    "project": lambda issue, _: [issue.project],
    "labels": lambda _, state: list(state["labels"] or ()),
    "key": _key,
    "issuekey": _key,
    "id": _key,
    "issue": _key,
    "status": lambda _, state: [state["status"], _status(state)[0]],
    "statuscategory": lambda _, state: [
        _status(state)[1],
        jira_records.CATEGORIES[_status(state)[1]][1],
        str(jira_records.CATEGORIES[_status(state)[1]][0]),
    ],
    "issuetype": _type,
    "type": _type,
    "priority": lambda _, state: _texts(state["priority"], jira_records.PRIORITIES[state["priority"]]),
    "assignee": lambda _, state: _texts(state["assignee"]),
    "reporter": lambda _, state: _texts(state["reporter"]),
    "creator": lambda _, state: [state["creator"], jira_records.account_id(state["creator"])],
    "resolution": lambda _, state: _texts(jira_records.RESOLUTIONS.get(state["resolution"] or "")),
    "summary": lambda _, state: _texts(state["summary"]),
    "description": lambda _, state: _texts(state["description"]),
    "comment": lambda issue, _: _comment_texts(issue),
    "text": lambda issue, state: _texts(state["summary"], state["description"]) + _comment_texts(issue),
}
