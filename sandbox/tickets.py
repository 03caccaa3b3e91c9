"""Tickets as a person at the desk sees them, whichever system they live in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sandbox.jira import Jira
from sandbox.jira_records import STATUSES, Issue
from sandbox.servicenow import ServiceNow
from sandbox.servicenow_query import Row

_CATEGORY = "customfield_10050"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something written under a ticket, in plain text."""

    id: str
    author: str
    text: str
    internal: bool
    at: datetime


class Ticket(Protocol):
    """One ticket, live: reading shows its present state, and every method acts in the name of a user."""

    @property
    def vendor(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def open(self) -> bool: ...
    @property
    def opened(self) -> datetime: ...
    @property
    def ended_by(self) -> str:
        """The user name of who closed it, "" while it is open."""

    @property
    def assignee(self) -> str: ...
    def notes(self) -> list[Note]: ...
    def say(self, user: str, text: str) -> None:
        """Write an internal note."""

    def correct(self, user: str, category: str) -> None: ...
    def take(self, user: str) -> None: ...
    def resolve(self, user: str, why: str) -> None: ...
    def log_work(self, user: str, minutes: int) -> None:
        """Write down that so many minutes more were worked on it."""

    def reopen(self, user: str) -> None: ...


@dataclass(frozen=True, slots=True)
class IncidentTicket:
    """A ServiceNow incident."""

    desk: ServiceNow
    row: Row
    vendor: str = "servicenow"

    @property
    def key(self) -> str:
        return self.row["number"]

    @property
    def title(self) -> str:
        return self.row["short_description"]

    @property
    def status(self) -> str:
        return self.desk.records.display("incident", "state", self.row["state"], self.desk.zone)

    @property
    def open(self) -> bool:
        return self.row["state"] not in ("6", "7", "8")

    @property
    def opened(self) -> datetime:
        return _utc(self.row["opened_at"])

    @property
    def ended_by(self) -> str:
        ends = [
            entry["user"] for entry in self.desk.audit(self.row["sys_id"]) if entry["fieldname"] == "state"
        ]
        return ends[-1] if ends and not self.open else ""

    @property
    def assignee(self) -> str:
        return self.desk.records.lookup("incident", self.row, "assigned_to.user_name") or ""

    def notes(self) -> list[Note]:
        return [
            Note(
                id=entry["sys_id"],
                author=entry["sys_created_by"],
                text=entry["value"],
                internal=entry["element"] == "work_notes",
                at=_utc(entry["sys_created_on"]),
            )
            for entry in self.desk.journal(self.row["sys_id"])
        ]

    def say(self, user: str, text: str) -> None:
        self.desk.add_note(self.row["sys_id"], user, text)

    def correct(self, user: str, category: str) -> None:
        self.desk.set_fields(self.row["sys_id"], user, category=category)

    def take(self, user: str) -> None:
        self.desk.set_fields(self.row["sys_id"], user, state="2", assigned_to=user)

    def resolve(self, user: str, why: str) -> None:
        self.desk.set_fields(
            self.row["sys_id"], user, state="6", close_code="Solved (Permanently)", close_notes=why
        )

    def log_work(self, user: str, minutes: int) -> None:
        before = datetime.fromisoformat(self.row["time_worked"] or "1970-01-01 00:00:00")
        worked = before + timedelta(minutes=minutes)
        self.desk.set_fields(self.row["sys_id"], user, time_worked=worked.strftime("%Y-%m-%d %H:%M:%S"))

    def reopen(self, user: str) -> None:
        self.desk.set_fields(self.row["sys_id"], user, state="2", assigned_to=user)


@dataclass(frozen=True, slots=True)
class IssueTicket:
    """A Jira issue."""

    desk: Jira
    issue: Issue
    vendor: str = "jira"

    @property
    def key(self) -> str:
        return self.issue.key

    @property
    def title(self) -> str:
        return str(self.issue.fields["summary"])

    @property
    def status(self) -> str:
        return STATUSES[self.issue.fields["status"]][0]

    @property
    def open(self) -> bool:
        return not self.issue.done

    @property
    def opened(self) -> datetime:
        return self.issue.created

    @property
    def ended_by(self) -> str:
        moves = [c.author for c in self.issue.changelog if any(item["field"] == "status" for item in c.items)]
        return moves[-1] if moves and not self.open else ""

    @property
    def assignee(self) -> str:
        return self.issue.fields["assignee"] or ""

    def notes(self) -> list[Note]:
        return [
            Note(id=c.id, author=c.author, text=c.body.text, internal=c.internal, at=c.created)
            for c in self.issue.comments
        ]

    def say(self, user: str, text: str) -> None:
        self.desk.add_comment(self.key, user, text)

    def correct(self, user: str, category: str) -> None:
        self.desk.set_fields(self.key, user, **{_CATEGORY: category})

    def take(self, user: str) -> None:
        self.desk.set_fields(self.key, user, assignee=user)
        if self.status == "To Do":
            self.desk.transition(self.key, user, "Start progress")

    def resolve(self, user: str, why: str) -> None:
        if self.status == "To Do":
            self.desk.transition(self.key, user, "Start progress")
        self.desk.transition(self.key, user, "Resolve", resolution="Done")
        self.desk.add_comment(self.key, user, why)

    def log_work(self, user: str, minutes: int) -> None:
        self.desk.records.log_work(self.issue, user, minutes * 60)

    def reopen(self, user: str) -> None:
        self.desk.transition(self.key, user, "Reopen")


def tickets(servicenow: ServiceNow, jira: Jira) -> Iterator[Ticket]:
    """Every incident and every issue, oldest first within each desk."""
    for row in list(servicenow.records.rows["incident"].values()):
        yield IncidentTicket(servicenow, row)
    for issue in list(jira.records.issues.values()):
        yield IssueTicket(jira, issue)


def plain(ticket: Ticket) -> dict[str, object]:
    """A ticket as JSON, with its notes as an engineer reads them."""
    notes = [
        {"author": n.author, "at": n.at.isoformat(), "internal": n.internal, "text": n.text}
        for n in ticket.notes()
    ]
    return {
        "vendor": ticket.vendor,
        "key": ticket.key,
        "title": ticket.title,
        "status": ticket.status,
        "open": ticket.open,
        "opened": ticket.opened.isoformat(),
        "ended_by": ticket.ended_by,
        "assignee": ticket.assignee,
        "notes": notes,
    }


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
