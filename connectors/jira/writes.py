"""Our actions as Jira's calls. The comment goes first, and the effect carries its marker as an issue property."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from connectors.jira import mapping, markup
from connectors.jira.client import JiraClient, Json
from connectors.jira.comments import Comments
from connectors.jira.fields import before_of, edit_of
from connectors.jira.workflow import DONE, NEW, Workflow
from countersign.actions import (
    Action,
    CancelChange,
    Close,
    CreateTicket,
    DraftChange,
    Note,
    Reopen,
    RetractNote,
    Route,
    SetFields,
)
from countersign.errors import OutsideError, Permanent
from countersign.tickets import Receipt, TicketRef

_log = structlog.get_logger()


class Writer:
    """Does one action per call. A note is one HTTP call; what changes an issue reads it first, for the undo."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client
        self._comments, self._workflow = Comments(client), Workflow(client)

    def write(self, action: Action) -> Receipt:  # noqa: PLR0911 - one line per kind of effect
        match action.effect:
            case Note(draft=draft):
                key = _ticket(action).key
                made = self._comments.add(key, markup.document(draft, action.marker), action.marker)
                return Receipt(handle=made, url=comment_url(self._client, key, made))
            case RetractNote(handle=handle):
                return self._retract(action, handle)
            case Close():
                return self._close(action, action.effect)
            case Reopen(reason=reason):
                return self._reopen(action, reason)
            case Route(group=group, reason=reason):
                return self._set(action, {"group": group}, f"Routed to {group or 'nobody'}: {reason}.")
            case SetFields(fields=fields, reason=reason):
                return self._set(action, fields, f"Changed {', '.join(sorted(fields))}: {reason}.")
            case CreateTicket() | DraftChange():
                return self._create(action, action.effect)
            case CancelChange(handle=handle, reason=reason):
                return self._cancel_change(action, handle, reason)
        raise Permanent(f"{action.effect.kind} is not written here; look in files.py.", where=mapping.DESK)

    def _retract(self, action: Action, handle: str) -> Receipt:
        """A comment that is gone already was taken back all the same."""
        key = _ticket(action).key
        try:
            self._client.do("DELETE", f"issue/{key}/comment/{handle}")
        except Permanent as gone:
            if gone.status != 404:
                raise
        return Receipt(handle=handle, url=_ticket(action).url)

    def _close(self, action: Action, effect: Close) -> Receipt:
        ticket, issue = self._read(action)
        before = {"state": _status(issue)}
        if _category(issue) == DONE:
            if self._said(issue, action.marker):  # an earlier attempt of this action got so far
                return Receipt(handle=action.marker, url=ticket.url, found=True)
            raise Permanent(
                f"{ticket.key} is done already; there is nothing left to close.", where=mapping.DESK
            )
        self._say(ticket.key, issue, markup.document(effect.draft, action.marker), action.marker)
        self._workflow.finish(ticket.key, self._client.config.resolution, marks(action, before))
        return Receipt(handle=action.marker, url=ticket.url, before=before)

    def _reopen(self, action: Action, reason: str) -> Receipt:
        ticket, issue = self._read(action)
        before = {"state": _status(issue)}
        self._say(ticket.key, issue, _remark(f"Reopened: {reason}.", action), action.marker)
        if _category(issue) == DONE:  # else a person reopened it already
            self._workflow.reopen(ticket.key, marks(action, before))
        return Receipt(handle=action.marker, url=ticket.url, before=before)

    def _set(self, action: Action, fields: Mapping[str, str], sentence: str) -> Receipt:
        if dict(fields) == {"state": "cancelled"}:
            return self._cancel(action, sentence)
        ticket, issue = self._read(action)
        places = self._client.config.fields
        before, edit = before_of(fields, issue, places), edit_of(fields, issue, places)
        self._say(ticket.key, issue, _remark(sentence, action), action.marker)
        self._client.do("PUT", f"issue/{ticket.key}", {**edit, "properties": marks(action, before)})
        return Receipt(handle=action.marker, url=ticket.url, before=before)

    def _cancel(self, action: Action, sentence: str) -> Receipt:
        ticket, issue = self._read(action)
        self._say(ticket.key, issue, _remark(sentence, action), action.marker)
        if _category(issue) != DONE:
            self._workflow.finish(ticket.key, self._client.config.cancelled, marks(action, {}))
        return Receipt(handle=action.marker, url=ticket.url)

    def _create(self, action: Action, effect: CreateTicket | DraftChange) -> Receipt:
        config = self._client.config
        project, kind, labels = config.project, config.ticket_type, [label(action)]
        wanted = {"group": effect.group, "ci": effect.ci}
        if isinstance(effect, DraftChange):
            project, kind = config.change_project or config.project, config.change_type
            labels.append(f"change-{effect.type}")
        else:
            wanted["service"] = effect.service
            labels.append(mapping.label_of(effect.correlation))
        fresh: Json = {"fields": {"labels": labels}}
        edit = edit_of({name: value for name, value in wanted.items() if value}, fresh, config.fields)
        more = [entry["add"] for entry in edit.get("update", {}).get("labels", ()) if "add" in entry]
        fields = {
            "project": {"key": project},
            "issuetype": {"name": kind},
            "summary": " ".join(effect.title.split()),
            "description": markup.lines(effect.description.splitlines() or [effect.title]),
            "labels": [*labels, *more],
            **edit.get("fields", {}),
        }
        issue = self._client.create("issue", {"fields": fields, "properties": marks(action, {})})
        made = mapping.ref(issue, self._client.url)
        if isinstance(effect, DraftChange) and action.ticket is not None:
            self._link(made.key, action.ticket.key)
        return Receipt(handle=made.key, url=made.url, made=made)

    def _link(self, change: str, ticket: str) -> None:
        """A draft without its link is still the draft; the note in the ticket names it."""
        body = {
            "type": {"name": self._client.config.link_type},
            "inwardIssue": {"key": ticket},
            "outwardIssue": {"key": change},
        }
        try:
            self._client.do("POST", "issueLink", body)
        except OutsideError as error:
            _log.warning("jira.change_not_linked", change=change, ticket=ticket, reason=str(error))

    def _cancel_change(self, action: Action, handle: str, reason: str) -> Receipt:
        issue = self._client.issue(handle, ("status", "comment"))
        if _category(issue) != NEW:
            raise Permanent(
                f"{handle} is no draft any more, so a person has taken it on; cancel it by hand.",
                where=mapping.DESK,
            )
        sentence = f"No longer wanted: {reason}. Close it as {self._client.config.cancelled}."
        self._say(handle, issue, _remark(sentence, action), action.marker)
        self._workflow.finish_at_once(handle, self._client.config.cancelled, marks(action, {}))
        made = mapping.ref(issue, self._client.url)
        return Receipt(handle=made.key, url=made.url, made=made)

    def _read(self, action: Action) -> tuple[TicketRef, Json]:
        """The issue and its comments, so that a second attempt does not say twice what the first has said."""
        ticket = _ticket(action)
        places = [place.removeprefix("option:") for place in self._client.config.fields.values()]
        fields = {"status", "comment", "labels", "priority", *places}
        wanted = sorted(name for name in fields if not name.startswith("label:"))
        return ticket, self._client.issue(ticket.key, wanted)

    def _said(self, issue: Json, marker: str) -> bool:
        return any(self._comments.carries(comment, marker) for comment in self._comments.on(issue))

    def _say(self, key: str, issue: Json, body: markup.Node, marker: str) -> None:
        if not self._said(issue, marker):
            self._comments.add(key, body, marker)


def label(action: Action) -> str:
    """The label of an issue that this action made; also the key of the property on an issue that it changed."""
    return f"countersign-{action.key}"


def marks(action: Action, before: Mapping[str, str]) -> list[Json]:
    """The property that says that the effect took place, with its before-image; 32 KB at most."""
    return [{"key": label(action), "value": {"marker": action.marker, "before": dict(before)}}]


def comment_url(client: JiraClient, key: str, comment: str) -> str:
    return f"{client.url}/browse/{key}?focusedCommentId={comment}"


def _remark(sentence: str, action: Action) -> markup.Node:
    return markup.lines([" ".join(sentence.split()), action.marker])


def _ticket(action: Action) -> TicketRef:
    if action.ticket is None:
        raise Permanent(
            f"Action {action.key} has no ticket to be done on; plan it again.", where=mapping.DESK
        )
    return action.ticket


def _status(issue: Json) -> str:
    return str(((issue.get("fields") or {}).get("status") or {}).get("name", ""))


def _category(issue: Json) -> str:
    return mapping.category_of((issue.get("fields") or {}).get("status"))
