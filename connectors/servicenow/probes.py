"""Looks whether an action has been done: by its native handle, or by its marker in the journal."""

from __future__ import annotations

from connectors.servicenow import mapping, markup
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import Row, quoted, raw
from connectors.servicenow.writes import change_by, receipt_of_change, receipt_of_ticket
from countersign.actions import Action, CancelChange, CreateTicket, DraftChange
from countersign.tickets import Receipt

_NAMED = ("sys_id", "number")


class Prober:
    """Answers from the tables themselves: a marker is there as soon as its write was committed."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client

    def probe(self, action: Action) -> Receipt | None:
        match action.effect:
            case CreateTicket():
                row = self._carrying(mapping.DESK_TABLE, "correlation_display", action.marker)
                return receipt_of_ticket(row, self._client.url, found=True) if row else None
            case DraftChange():
                row = self._carrying("change_request", "correlation_id", action.marker)
                return receipt_of_change(row, self._client.url, found=True) if row else None
            case CancelChange(handle=handle):
                row = change_by(self._client, handle)
                cancelled = raw(row, "state") == mapping.CHANGE_CANCELLED
                return receipt_of_change(row, self._client.url, found=True) if cancelled else None
            case _:
                return self._noted(action)

    def _carrying(self, table: str, column: str, marker: str) -> Row | None:
        got = self._client.rows(table, f"{column}={quoted(marker)}", (*_NAMED, column), limit=1)
        return next((row for row in got.rows if raw(row, column) == marker), None)

    def _noted(self, action: Action) -> Receipt | None:
        """Notes, and what was set in one update with a note. A person who quotes a marker doesn't count."""
        if action.ticket is None:
            return None
        query = f"element_id={quoted(action.ticket.id)}^element=work_notes^valueLIKE{quoted(action.marker)}"
        for row in self._client.rows("sys_journal_field", query, mapping.JOURNAL_FIELDS).rows:
            text, ours = raw(row, "value"), raw(row, "sys_created_by") == self._client.config.user
            if ours and raw(row, "element_id") == action.ticket.id and text.rstrip().endswith(action.marker):
                before = markup.before_in(text)
                return Receipt(handle=action.marker, url=action.ticket.url, before=before, found=True)
        return None
