"""Files on incidents and changes: put there under a name with the action's key, found by it, and taken off again."""

from __future__ import annotations

from connectors.servicenow import mapping
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.probes import sought
from connectors.servicenow.query import is_sys_id, quoted, raw
from countersign.actions import Action, Attach, Detach
from countersign.errors import Permanent
from countersign.tickets import Receipt, TicketRef

_SHOWN = ("sys_id", "file_name", "table_sys_id")
# Where a record is looked for that a person has named.
_RECORDS = (mapping.DESK_TABLE, "change_request")


class Files:
    """Does and finds Attach and Detach, each in one HTTP call; a record that a person named is found first."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client

    def write(self, action: Action) -> Receipt:
        """Permanent without a ticket. A file that is gone already was taken off all the same."""
        effect, ticket = action.effect, action.ticket
        if ticket is None:
            raise Permanent("A file needs its ticket; plan this action again.", where=mapping.DESK)
        if isinstance(effect, Attach):
            table, sys_id = self._place(ticket)
            row = self._client.attach(table, sys_id, action.file_name, effect.media_type, action.file_bytes)
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
        _, sys_id = self._place(action.ticket)
        query = f"table_sys_id={quoted(sys_id)}^{field}={quoted(value)}"
        row = sought(
            self._client,
            "sys_attachment",
            query,
            _SHOWN,
            lambda one: raw(one, field) == value and raw(one, "table_sys_id") == sys_id,
        )
        return Receipt(handle=raw(row, "sys_id"), url=action.ticket.url, found=True) if row else None

    def _place(self, ticket: TicketRef) -> tuple[str, str]:
        """The table and the sys_id of a ticket. One whose key is all that is known of it was named by a person."""
        if ticket.key != ticket.id:
            return mapping.DESK_TABLE, ticket.id
        column = "sys_id" if is_sys_id(ticket.id) else "number"
        for table in _RECORDS:
            asked = f"{column}={quoted(ticket.id)}"
            for row in self._client.rows(table, asked, ("sys_id", "number"), limit=1).rows:
                if raw(row, column) == ticket.id:
                    return table, raw(row, "sys_id")
        raise Permanent(
            f"ServiceNow shows no incident or change request {ticket.id}; mend report: record in the policy, or "
            "let the integration user read it.",
            where=mapping.DESK,
        )
