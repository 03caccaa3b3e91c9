"""Files on incidents: put there under a name that holds the action's key, found by it, and taken off again."""

from __future__ import annotations

from connectors.servicenow import mapping
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import quoted, raw
from countersign.actions import Action, Attach, Detach
from countersign.errors import Permanent
from countersign.tickets import Receipt

_SHOWN = ("sys_id", "file_name", "table_sys_id")


class Files:
    """Does and finds the effects Attach and Detach. Each is one HTTP call."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client

    def write(self, action: Action) -> Receipt:
        """Permanent without a ticket. A file that is gone already was taken off all the same."""
        effect, ticket = action.effect, action.ticket
        if ticket is None:
            raise Permanent("A file needs its ticket; plan this action again.", where=mapping.DESK)
        if isinstance(effect, Attach):
            row = self._client.attach(
                mapping.DESK_TABLE, ticket.id, action.file_name, effect.media_type, action.file_bytes
            )
            return Receipt(handle=raw(row, "sys_id"), url=ticket.url)
        handle = effect.handle if isinstance(effect, Detach) else ""
        try:
            self._client.detach(handle)
        except Permanent as gone:
            if gone.status != 404:
                raise
        return Receipt(handle=handle, url=ticket.url)

    def probe(self, action: Action) -> Receipt | None:
        if isinstance(action.effect, Attach):
            return self._find(action, "file_name", action.file_name)
        handle = action.effect.handle if isinstance(action.effect, Detach) else ""
        return None if self._find(action, "sys_id", handle) else Receipt(handle=handle, found=True)

    def _find(self, action: Action, field: str, value: str) -> Receipt | None:
        """The ticket's file with this value. Rows are held against the query: an ignored one gives other files."""
        if action.ticket is None:
            return None
        query = f"table_sys_id={quoted(action.ticket.id)}^{field}={quoted(value)}"
        for row in self._client.rows("sys_attachment", query, _SHOWN, limit=1).rows:
            if raw(row, field) == value and raw(row, "table_sys_id") == action.ticket.id:
                return Receipt(handle=raw(row, "sys_id"), url=action.ticket.url, found=True)
        return None
