"""Files on issues: put there under a name that holds the action's key, found by it, and taken off again."""

from __future__ import annotations

from connectors.jira import mapping
from connectors.jira.client import JiraClient
from countersign.actions import Action, Attach, Detach
from countersign.errors import Permanent
from countersign.tickets import Receipt


class Files:
    """Does and finds the effects Attach and Detach. Each is one HTTP call."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client

    def write(self, action: Action) -> Receipt:
        """Permanent without a ticket. A file that is gone already was taken off all the same."""
        effect, ticket = action.effect, action.ticket
        if ticket is None:
            raise Permanent("A file needs its ticket; plan this action again.", where=mapping.DESK)
        if isinstance(effect, Attach):
            return Receipt(handle=self._attach(action, effect, ticket.key), url=ticket.url)
        handle = effect.handle if isinstance(effect, Detach) else ""
        try:
            self._client.do("DELETE", f"attachment/{handle}")
        except Permanent as gone:
            if gone.status != 404:
                raise
        return Receipt(handle=handle, url=ticket.url)

    def _attach(self, action: Action, effect: Attach, key: str) -> str:
        try:
            return self._client.attach(key, action.file_name, effect.media_type, action.file_bytes)
        except Permanent as gone:
            if gone.status != 404:
                raise
            raise Permanent(
                f"Jira shows no issue {key}; mend report: record in the policy, or let the integration user browse "
                "its project.",
                where=mapping.DESK,
                status=404,
            ) from gone

    def probe(self, action: Action) -> Receipt | None:
        if isinstance(action.effect, Attach):
            return self._find(action, "filename", action.file_name)
        handle = action.effect.handle if isinstance(action.effect, Detach) else ""
        return None if self._find(action, "id", handle) else Receipt(handle=handle, found=True)

    def _find(self, action: Action, field: str, value: str) -> Receipt | None:
        """The issue's file with this value."""
        if action.ticket is None:
            return None
        fields = self._client.issue(action.ticket.key, ("attachment",)).get("fields") or {}
        for file in fields.get("attachment") or ():
            if str(file.get(field)) == value:
                return Receipt(handle=str(file["id"]), url=action.ticket.url, found=True)
        return None
