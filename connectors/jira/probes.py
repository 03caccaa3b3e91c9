"""Looks whether an action has been done: by its property, its label, or its comment and what the issue shows."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.jira import mapping
from connectors.jira.client import JiraClient, Json, quoted
from connectors.jira.comments import Comments
from connectors.jira.workflow import DONE
from connectors.jira.writes import comment_url, label
from countersign.actions import (
    Action,
    CancelChange,
    Close,
    CreateTicket,
    DraftChange,
    Note,
    Reopen,
    RetractNote,
)
from countersign.errors import Permanent
from countersign.tickets import Receipt


class Prober:
    """Issues, comments and properties are read as they are; only a search for a made issue lags."""

    def __init__(self, client: JiraClient) -> None:
        self._client, self._comments = client, Comments(client)

    def probe(self, action: Action) -> Receipt | None:
        match action.effect:
            case CreateTicket() | DraftChange():
                return self._made(action)
            case CancelChange(handle=handle):
                return self._changed(action, handle)
        if action.ticket is None:
            return None
        match action.effect:
            case Note():
                found = self._comments.find(action.ticket.key, action.marker)
                url = comment_url(self._client, action.ticket.key, found or "")
                return Receipt(handle=found, url=url, found=True) if found else None
            case RetractNote(handle=handle):
                return self._gone(action.ticket.key, handle)
            case _:
                return self._changed(action, action.ticket.key)

    def _made(self, action: Action) -> Receipt | None:
        """The issue with our label; the caller has waited longer than the search lags."""
        jql = f"labels = {quoted(label(action))} ORDER BY created ASC"
        for page in self._client.search(jql, ("labels",)):
            for issue in page:
                if label(action) in ((issue.get("fields") or {}).get("labels") or ()):
                    made = mapping.ref(issue, self._client.url)
                    return Receipt(handle=made.key, url=made.url, found=True, made=made)
        return None

    def _gone(self, key: str, comment: str) -> Receipt | None:
        try:
            self._client.get(f"issue/{key}/comment/{comment}")
        except Permanent as gone:
            if gone.status == 404:
                return Receipt(handle=comment, found=True)
            raise
        return None

    def _changed(self, action: Action, key: str) -> Receipt | None:
        """The property came with the effect. Without it, our comment and the wanted state say the same."""
        name = label(action)
        issue = self._client.issue(key, ("status", "comment"), properties=(name,))
        url = mapping.ref(issue, self._client.url).url
        mark = (issue.get("properties") or {}).get(name)
        if isinstance(mark, Mapping):
            before = {str(field): str(value) for field, value in (mark.get("before") or {}).items()}
            return Receipt(handle=_handle(action), url=url, before=before, found=True)
        if _shows(action, issue) and self._comments.find(key, action.marker):
            return Receipt(handle=_handle(action), url=url, found=True)
        return None


def _handle(action: Action) -> str:
    return action.effect.handle if isinstance(action.effect, CancelChange) else action.marker


def _shows(action: Action, issue: Json) -> bool:
    """Whether the issue's status is what the action wanted. An edit of fields always leaves its property."""
    done = mapping.category_of((issue.get("fields") or {}).get("status")) == DONE
    match action.effect:
        case Close():
            return done
        case Reopen():
            return not done
        case CancelChange():
            return True
        case _:
            return False
