"""Jira's state: issues with comments, a workflow and a changelog, and what the search knows of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.jira_text import RichText, rich
from sandbox.world import World

# id -> (name, key of its category). Done is reached through In Progress only.
STATUSES = {"10000": ("To Do", "new"), "10001": ("In Progress", "indeterminate"), "10002": ("Done", "done")}
CATEGORIES = {
    "new": (2, "To Do", "blue-gray"),
    "indeterminate": (4, "In Progress", "yellow"),
    "done": (3, "Done", "green"),
}
ISSUE_TYPES = {
    "10010": "Incident",
    "10011": "Task",
    "10012": "Change",
    "10013": "Bug",
    "10014": "Service request",
}
PRIORITIES = {"1": "Highest", "2": "High", "3": "Medium", "4": "Low", "5": "Lowest"}
RESOLUTIONS = {"10100": "Done", "10101": "Won't Do", "10102": "Duplicate", "10103": "Cannot Reproduce"}
CUSTOM = {
    "customfield_10050": "Category",
    "customfield_10051": "Severity",
    "customfield_10052": "Assignment group",
    "customfield_10053": "Affected service",
    "customfield_10054": "Correlation id",
}
_PLAIN = frozenset({"summary", "labels", "components", "duedate", *CUSTOM})
SETTABLE = _PLAIN | {"description", "priority", "assignee", "reporter", "issuetype", "environment"}
_ON_TRANSITION = SETTABLE | {"resolution"}


def account_id(user_name: str) -> str:
    """By which Jira names a user."""
    return "712020:" + hashlib.md5(user_name.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One arrow of the workflow. `needs_resolution` means that its screen asks for one and insists."""

    id: str
    name: str
    source: str
    target: str
    needs_resolution: bool = False


TRANSITIONS = (
    Transition(id="11", name="Start progress", source="10000", target="10001"),
    Transition(id="21", name="Resolve", source="10001", target="10002", needs_resolution=True),
    Transition(id="31", name="Reopen", source="10002", target="10000"),
    Transition(id="41", name="Stop progress", source="10001", target="10000"),
)


class JiraError(Exception):
    """Jira refuses; `errors` maps a field to its complaint, `messages` are about the whole request."""

    def __init__(self, *messages: str, status: int = 400, errors: dict[str, str] | None = None) -> None:
        self.messages, self.errors, self.status = list(messages), errors or {}, status
        super().__init__(*messages, *self.errors.values())


@dataclass(slots=True, kw_only=True)
class Comment:
    id: str
    issue_id: str
    author: str
    body: RichText
    created: datetime
    updated: datetime
    update_author: str
    properties: dict[str, object] = field(default_factory=dict)

    @property
    def internal(self) -> bool:
        """Whether a customer of the service desk can't see it."""
        marked = self.properties.get("sd.public.comment")
        return isinstance(marked, dict) and bool(marked.get("internal"))


@dataclass(slots=True, kw_only=True)
class Change:
    """One entry of the changelog; items are in Jira's own shape."""

    id: str
    author: str
    created: datetime
    items: list[dict[str, object]]


@dataclass(slots=True, kw_only=True)
class Issue:
    """`fields` holds plain values: names of users, ids of status, priority, type and resolution, RichText."""

    id: str
    key: str
    fields: dict[str, Any]
    created: datetime
    updated: datetime
    comments: list[Comment] = field(default_factory=list)
    properties: dict[str, object] = field(default_factory=dict)
    changelog: list[Change] = field(default_factory=list)
    attachments: list[dict[str, object]] = field(default_factory=list)
    indexed: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    @property
    def project(self) -> str:
        return self.key.rpartition("-")[0]

    @property
    def done(self) -> bool:
        return STATUSES[self.fields["status"]][1] == "done"


@dataclass(slots=True)
class Records:
    """All issues by key, and people by user name."""

    world: World
    issues: dict[str, Issue] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)  # account id -> user name
    groups: dict[str, list[str]] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    _made: int = 10_000
    _numbers: dict[str, int] = field(default_factory=dict)

    def find(self, id_or_key: str) -> Issue:
        found = self.issues.get(self.keys.get(id_or_key, id_or_key))
        if not found:
            raise JiraError("Issue does not exist or you do not have permission to see it.", status=404)
        return found

    def account_of(self, user_name: str) -> str:
        """The account id of a user, who is made known by the question."""
        account = account_id(user_name)
        self.users[account] = user_name
        return account

    def create(
        self, project: str, fields: dict[str, Any], user: str, *, opened: datetime | None = None
    ) -> Issue:
        """Make an issue in the workflow's first status. Raises JiraError; then nothing has been made."""
        if project not in self.projects:
            raise JiraError(errors={"project": "valid project is required"})
        if not fields.get("summary"):
            raise JiraError(errors={"summary": "You must specify a summary of the issue."})
        _refuse_unknown(fields)
        now = opened or self.world.clock.now()
        given: dict[str, Any] = dict.fromkeys(sorted(_ON_TRANSITION))
        given |= {"labels": [], "components": [], "priority": "3", "issuetype": "10011", "reporter": user}
        given |= {name: self._value(name, value) for name, value in fields.items() if name in SETTABLE}
        given |= {"status": "10000", "creator": user, "resolutiondate": None, "timespent": None}
        self._numbers[project] = self._numbers.get(project, 0) + 1
        issue = Issue(
            id=self.new_id(),
            key=f"{project}-{self._numbers[project]}",
            fields=given,
            created=now,
            updated=now,
        )
        self.issues[issue.key], self.keys[issue.id] = issue, issue.key
        self.account_of(user)
        self._index(issue, now)
        return issue

    def edit(self, issue: Issue, fields: dict[str, Any], user: str) -> None:
        """Set fields; a status among them is ignored, as Jira does. Raises JiraError before any change."""
        _refuse_unknown(fields)
        wanted = {name: self._value(name, value) for name, value in fields.items() if name in SETTABLE}
        self._apply(issue, wanted, user)

    def move(self, issue: Issue, transition_id: str, fields: dict[str, Any], user: str) -> Transition:
        """Carry out a transition. Raises JiraError if it doesn't start here or its screen misses a field."""
        arrow = next((t for t in TRANSITIONS if t.id == transition_id), None)
        if not arrow or arrow.source != issue.fields["status"]:
            raise JiraError(f"Transition id '{transition_id}' is not valid for this issue.")
        _refuse_unknown(fields, _ON_TRANSITION)
        wanted = {name: self._value(name, value) for name, value in fields.items() if name in _ON_TRANSITION}
        if arrow.needs_resolution and not wanted.get("resolution"):
            raise JiraError(errors={"resolution": "Resolution is required."})
        wanted |= {"status": arrow.target}
        wanted |= {} if arrow.needs_resolution else {"resolution": None}
        wanted["resolutiondate"] = self.world.clock.now() if arrow.needs_resolution else None
        self._apply(issue, wanted, user)
        return arrow

    def log_work(self, issue: Issue, user: str, seconds: int) -> None:
        """A worklog of so many seconds more; `timespent` is their sum."""
        self._apply(issue, {"timespent": (issue.fields["timespent"] or 0) + seconds}, user)

    def comment(self, issue: Issue, user: str, body: object, properties: dict[str, object]) -> Comment:
        try:
            text = rich(body)
        except ValueError as wrong:
            raise JiraError(errors={"comment": str(wrong)}) from wrong
        if not text.text.strip():
            raise JiraError(errors={"comment": "Comment body can not be empty!"})
        now = self.world.clock.now()
        made = Comment(
            id=self.new_id(),
            issue_id=issue.id,
            author=user,
            body=text,
            created=now,
            updated=now,
            update_author=user,
        )
        made.properties.update(properties)
        issue.comments.append(made)
        self.account_of(user)
        self.touch(issue)
        return made

    def touch(self, issue: Issue) -> None:
        issue.updated = self.world.clock.now()
        self._index(issue, issue.updated)

    def indexed(self, issue: Issue) -> dict[str, Any] | None:
        """The issue as the search knows it: a state that is at least the search lag old, or None."""
        horizon = self.world.clock.now() - self.world.search_lag
        return next((state for at, state in reversed(issue.indexed) if at <= horizon), None)

    def state_of(self, issue: Issue) -> dict[str, Any]:
        """What the search would know of it now."""
        return {**issue.fields, "created": issue.created, "updated": issue.updated}

    def new_id(self) -> str:
        self._made += 1
        return str(self._made)

    def _index(self, issue: Issue, at: datetime) -> None:
        if not self.world.search_lag:
            issue.indexed.clear()
        issue.indexed.append((at, self.state_of(issue)))

    def _apply(self, issue: Issue, wanted: dict[str, Any], user: str) -> None:
        items = [
            _item(name, issue.fields.get(name), value)
            for name, value in wanted.items()
            if issue.fields.get(name) != value and name != "resolutiondate"
        ]
        issue.fields.update(wanted)
        if items:
            now = self.world.clock.now()
            issue.changelog.append(Change(id=self.new_id(), author=user, created=now, items=items))
            self.account_of(user)
            self.touch(issue)

    def _value(self, name: str, value: object) -> object:
        """A field as the sandbox keeps it, from the several ways in which clients may name it."""
        if value is None or name in _PLAIN:
            return value["value"] if isinstance(value, dict) and "value" in value else value
        if name in ("description", "environment"):
            try:
                return rich(value)
            except ValueError:
                raise JiraError(errors={name: "Operation value must be an Atlassian Document"}) from None
        if name in ("assignee", "reporter"):
            return self._user(name, value)
        return _id_of(name, value)

    def _user(self, name: str, value: object) -> str | None:
        account = value.get("accountId", value.get("id")) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value
        if account is None:
            return None
        if account not in self.users:
            raise JiraError(errors={name: f"User '{account}' does not exist."})
        return self.users[account]


_NAMED = {"priority": PRIORITIES, "issuetype": ISSUE_TYPES, "resolution": RESOLUTIONS}


def _id_of(name: str, value: object) -> str:
    asked = value if isinstance(value, str) else ""
    if isinstance(value, dict):
        asked = str(value.get("id", value.get("name", "")))
    for known, label in _NAMED[name].items():
        if asked in (known, label):
            return known
    raise JiraError(errors={name: f"The {name} selected is invalid."})


def _refuse_unknown(fields: dict[str, Any], settable: frozenset[str] = SETTABLE) -> None:
    known = settable | {"status", "project"}
    unknown = {
        name: f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
        for name in fields
        if name not in known
    }
    if unknown:
        raise JiraError(errors=unknown)


def _item(name: str, before: object, after: object) -> dict[str, object]:
    return {
        "field": CUSTOM.get(name, name),
        "fieldtype": "custom" if name in CUSTOM else "jira",
        "fieldId": name,
        "from": _raw(name, before),
        "fromString": _label(name, before),
        "to": _raw(name, after),
        "toString": _label(name, after),
    }


def _raw(name: str, value: object) -> str | None:
    return str(value) if value and (name in _NAMED or name in ("status", "assignee", "reporter")) else None


def _label(name: str, value: object) -> str:
    if isinstance(value, RichText):
        return value.text
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    if name == "status":
        return STATUSES[str(value)][0]
    return "" if value is None else _NAMED.get(name, {}).get(str(value), str(value))


# Where the imitated site keeps what its tickets say, as a client's configuration names it.
JIRA_FIELDS = {
    "group": "customfield_10052",
    "category": "customfield_10050",
    "service": "customfield_10053",
    "ci": "label:ci",
}
