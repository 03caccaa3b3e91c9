"""Jira's JSON: how issues, comments, people and changes look to a client of REST version 2 or 3."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox import jira_records as records
from sandbox.jira_text import RichText

Json = dict[str, Any]
_LABELLED = {
    "priority": records.PRIORITIES,
    "issuetype": records.ISSUE_TYPES,
    "resolution": records.RESOLUTIONS,
}
# So many comments come along with an issue, the oldest; their total tells of more.
MOST_COMMENTS = 100
_PEOPLE = frozenset({"assignee", "reporter", "creator"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """`base` is the URL of the REST API in its version, like http://127.0.0.1:1234/rest/api/3."""

    base: str
    version: str
    account_of: Callable[[str], str]

    def issue(self, issue: records.Issue, state: Json, wanted: Collection[str]) -> Json:
        """`wanted` are field ids, "*all" or "*navigable"; without any only id, key and self are shown."""
        shown: Json = {
            "id": issue.id,
            "key": issue.key,
            "self": f"{self.base}/issue/{issue.id}",
            "expand": "",
        }
        if wanted:
            shown["fields"] = self._fields(issue, state, wanted)
        return shown

    def _fields(self, issue: records.Issue, state: Json, wanted: Collection[str]) -> Json:
        everything = bool({"*all", "*navigable"} & set(wanted))
        minus = {name.removeprefix("-") for name in wanted if name.startswith("-")}
        shown = {
            name: self.value(name, value)
            for name, value in state.items()
            if (everything or name in wanted) and name not in minus
        }
        if everything or "project" in wanted:
            shown["project"] = {"id": "10000", "key": issue.project, "name": issue.project}
        if "*all" in wanted or "comment" in wanted:
            shown["comment"] = self.comments(issue.comments, 0, MOST_COMMENTS)
        if "*all" in wanted or "attachment" in wanted:
            shown["attachment"] = issue.attachments
        return shown

    def value(self, name: str, value: Any) -> Any:
        """One field of an issue in Jira's shape."""
        if isinstance(value, RichText):
            return value.document if self.version == "3" else value.text
        if isinstance(value, datetime):
            return stamp(value)
        if value is None:
            return None
        if name in _PEOPLE:
            return self.user(value)
        if name == "status":
            return self.status(value)
        if name in _LABELLED:
            return {"id": value, "name": _LABELLED[name][value], "self": f"{self.base}/{name}/{value}"}
        return value

    def status(self, status_id: str) -> Json:
        name, key = records.STATUSES[status_id]
        number, label, color = records.CATEGORIES[key]
        category = {"id": number, "key": key, "name": label, "colorName": color}
        category["self"] = f"{self.base}/statuscategory/{number}"
        return {
            "id": status_id,
            "name": name,
            "self": f"{self.base}/status/{status_id}",
            "statusCategory": category,
        }

    def user(self, name: str) -> Json:
        account = self.account_of(name)
        return {
            "accountId": account,
            "accountType": "atlassian",
            "active": True,
            "displayName": name.replace(".", " ").title(),
            "emailAddress": f"{name}@example.com",
            "self": f"{self.base}/user?accountId={account}",
            "timeZone": "America/Los_Angeles",
        }

    def comment(self, comment: records.Comment, with_properties: bool = False) -> Json:
        shown = {
            "id": comment.id,
            "self": f"{self.base}/issue/{comment.issue_id}/comment/{comment.id}",
            "author": self.user(comment.author),
            "updateAuthor": self.user(comment.update_author),
            "body": self.value("body", comment.body),
            "created": stamp(comment.created),
            "updated": stamp(comment.updated),
            "jsdPublic": not comment.internal,
        }
        if with_properties:
            shown["properties"] = [{"key": key, "value": value} for key, value in comment.properties.items()]
        return shown

    def comments(
        self, comments: list[records.Comment], start: int, limit: int, with_properties: bool = False
    ) -> Json:
        page = [self.comment(comment, with_properties) for comment in comments[start : start + limit]]
        return {"comments": page, "startAt": start, "maxResults": limit, "total": len(comments)}

    def transition(self, arrow: records.Transition, with_fields: bool) -> Json:
        shown: Json = {"id": arrow.id, "name": arrow.name, "to": self.status(arrow.target)}
        shown |= {"hasScreen": arrow.needs_resolution, "isAvailable": True, "isConditional": False}
        shown |= {"isGlobal": False, "isInitial": False, "looped": False}
        if with_fields:
            shown["fields"] = {"resolution": self._resolution_field()} if arrow.needs_resolution else {}
        return shown

    def change(self, change: records.Change) -> Json:
        return {
            "id": change.id,
            "author": self.user(change.author),
            "created": stamp(change.created),
            "items": [self._change_item(item) for item in change.items],
        }

    def _change_item(self, item: Json) -> Json:
        """In the changelog people are account ids, while the sandbox keeps user names."""
        if item["fieldId"] not in _PEOPLE:
            return item
        ids = {side: self.account_of(item[side]) if item[side] else None for side in ("from", "to")}
        return {**item, **ids}

    def _resolution_field(self) -> Json:
        allowed = [{"id": key, "name": name} for key, name in records.RESOLUTIONS.items()]
        schema = {"type": "resolution", "system": "resolution"}
        return {
            "required": True,
            "name": "Resolution",
            "key": "resolution",
            "schema": schema,
            "operations": ["set"],
            "allowedValues": allowed,
        }


def stamp(at: datetime) -> str:
    """A time as Jira writes it: milliseconds, and an offset without a colon."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}" + at.strftime("%z")
