"""Looks whether an action has been done: by its native handle, or by its marker in the journal."""

from __future__ import annotations

from collections.abc import Callable

from connectors.servicenow import mapping, markup
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import Row, quoted, raw
from connectors.servicenow.writes import change_by, receipt_of_change, receipt_of_ticket
from countersign.actions import Action, CancelChange, Close, CreateTicket, DraftChange
from countersign.errors import Denied, Permanent
from countersign.tickets import Receipt, TicketRef, TicketState

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
        query, fields = f"{column}={quoted(marker)}", (*_NAMED, column)
        return sought(self._client, table, query, fields, lambda row: raw(row, column) == marker)

    def _noted(self, action: Action) -> Receipt | None:
        """Notes, and what was set in one update with a note. A person who quotes a marker doesn't count."""
        ticket, us = action.ticket, self._client.config.user
        if ticket is None:
            return None
        query = f"element_id={quoted(ticket.id)}^element=work_notes^valueLIKE{quoted(action.marker)}"

        def ours(row: Row) -> bool:
            told = raw(row, "element_id") == ticket.id and raw(row, "value").rstrip().endswith(action.marker)
            return told and mapping.same_user(raw(row, "sys_created_by"), us)

        row = sought(self._client, "sys_journal_field", query, mapping.JOURNAL_FIELDS, ours)
        if row is None:
            return None
        if isinstance(action.effect, Close):
            self._ended(ticket)
        before = markup.before_in(raw(row, "value"))
        return Receipt(handle=action.marker, url=ticket.url, before=before, found=True)

    def _ended(self, ticket: TicketRef) -> None:
        """Raises Permanent for a ticket that is open: of one update a rule may drop the state and keep the note."""
        row = self._client.row(mapping.DESK_TABLE, ticket.id, ("state", "active"))
        if mapping.state_of(row) is TicketState.OPEN:
            raise Permanent(
                f"{ticket.key} has our note and is open: ServiceNow kept its state, or somebody reopened it; look at "
                f"it there.",
                where=mapping.DESK,
            )


def sought(
    client: ServiceNowClient, table: str, query: str, fields: tuple[str, ...], fits: Callable[[Row], bool]
) -> Row | None:
    """The row that fits; None only where there is none. Raises Denied where rows or fields are withheld from us.

    Access rules hide rows without a word: taken for nothing, they would have done a second time what they hide.
    """
    got = client.rows(table, query, fields)
    row = next((row for row in got.rows if fits(row)), None)
    if row is None and (
        len(got.rows) < (got.total or 0) or any(set(fields) - row.keys() for row in got.rows)
    ):
        raise Denied(
            f"ServiceNow withholds rows or fields of {table}, so that nobody can tell what was written there; let the "
            f"integration user read {', '.join(fields)} of all its rows.",
            where=mapping.DESK,
            status=403,
        )
    return row
