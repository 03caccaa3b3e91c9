"""What people did in incidents: notes from the journal, field changes from the audit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import structlog

from connectors.servicenow import mapping
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.names import Names
from connectors.servicenow.pages import Reading, pages
from connectors.servicenow.query import Filter, Row, lots, one_of, raw, read_filter
from countersign.errors import Denied, Permanent, UnreadableAlert
from countersign.tickets import ChangeEnd, Ticket, TicketChange, TicketPage, TicketRef

Told = TypeVar("Told", TicketChange, ChangeEnd)

_log = structlog.get_logger()
_ROWS_AT_ONCE = 500
_EVER, _NEVER = "1970-01-01 00:00:00", "9999-12-31 00:00:00"
_OUR_DRAFTS = read_filter("correlation_idSTARTSWITHcountersign:")


class History:
    """Reads tickets in scope that changed, and what changed in them. The cursor is a raw time of theirs."""

    def __init__(
        self, client: ServiceNowClient, names: Names, scope: Filter, clock: Callable[[], datetime]
    ) -> None:
        self._client, self._names, self._scope, self._clock = client, names, scope, clock

    def pages(self, cursor: str | None) -> Iterator[TicketPage]:
        """At least one page, so that the cursor of a first read is kept."""
        since = since_of(cursor, self._client, self._clock)
        last = until_now(cursor or since, self._clock)
        for rows in changed(self._client, self._scope, since):
            last = max(last, until_now(raw(rows[-1], "sys_updated_on"), self._clock))
            tickets = readable(rows, self._client.url)
            refs = {ticket.ref.id: ticket.ref for ticket in tickets}
            yield TicketPage(tickets=tickets, changes=self._changes(refs, since), cursor=last)
        if drafts := self._drafts(since):
            url = self._client.url
            ends = [
                end for row in drafts.values() for end in _told(row, lambda one: mapping.change_end(one, url))
            ]
            yield TicketPage(tickets=(), changes=self._edits(drafts, since), cursor=last, ends=tuple(ends))
        yield TicketPage(tickets=(), changes=(), cursor=last)

    def of(self, ticket: TicketRef, since: datetime) -> tuple[TicketChange, ...]:
        """What was done in one ticket: two reads."""
        return self._changes({ticket.id: ticket}, mapping.stamp(since))

    def _changes(self, refs: Mapping[str, TicketRef], since: str) -> tuple[TicketChange, ...]:
        if not refs:
            return ()
        changes = [*self._comments(refs, since), *self._field_changes(refs, since)]
        return self._by_whom(sorted(changes, key=lambda change: (change.at, change.id)))

    def _by_whom(self, changes: Sequence[TicketChange]) -> tuple[TicketChange, ...]:
        """The same changes, with those by accounts of integrations marked. Each account is asked about once."""
        machines = self._names.machines(change.author for change in changes if not change.by_us)
        return tuple(replace(one, by_bot=True) if one.author in machines else one for one in changes)

    def _comments(self, refs: Mapping[str, TicketRef], since: str) -> Iterator[TicketChange]:
        rows = self._rows("sys_journal_field", "element_id", mapping.JOURNAL_FIELDS, refs, since)
        for row in rows:
            yield from _told(row, lambda one: mapping.comment(one, refs, self._client.config.user))

    def _field_changes(self, refs: Mapping[str, TicketRef], since: str) -> Iterator[TicketChange]:
        """Nothing where the audit is refused: notes still work, and `check` says what is missing."""
        try:
            rows = self._rows("sys_audit", "documentkey", mapping.AUDIT_FIELDS, refs, since)
        except Denied as denied:
            if denied.status != 403:
                raise
            _log.warning("servicenow.audit_refused", needs="audit_viewer")
            return
        names = self._names_in(rows)
        for row in rows:
            yield from _told(
                row, lambda one: mapping.field_change(one, refs, self._client.config.user, names)
            )

    def _drafts(self, since: str) -> dict[str, Row]:
        """The change requests of ours that changed, by sys_id. Nothing where they are refused."""
        reading = Reading(
            table="change_request",
            filter=_OUR_DRAFTS,
            by="sys_updated_on",
            since=since,
            fields=mapping.DRAFT_FIELDS,
        )
        try:
            return {raw(row, "sys_id"): row for page in pages(self._client, reading) for row in page}
        except Denied as denied:
            _tell_refused(denied)
            return {}

    def _edits(self, drafts: Mapping[str, Row], since: str) -> tuple[TicketChange, ...]:
        """What people wrote over in our drafted change requests, until one was taken on: its state tells that.

        Nothing where the audit is refused.
        """
        try:
            rows = self._rows("sys_audit", "documentkey", mapping.AUDIT_FIELDS, drafts, _EVER)
        except Denied as denied:
            _tell_refused(denied)
            return ()
        us, url = self._client.config.user, self._client.url
        taken: dict[str, str] = {}
        for row in rows:
            if raw(row, "fieldname") == "state":
                taken.setdefault(raw(row, "documentkey"), raw(row, "sys_created_on"))
        edits = [
            edit
            for row in rows
            if since <= raw(row, "sys_created_on") <= taken.get(raw(row, "documentkey"), _NEVER)
            for edit in _told(
                row, lambda one: mapping.edited_draft(one, drafts[raw(one, "documentkey")], us, url)
            )
        ]
        return self._by_whom(edits)

    def _rows(
        self, table: str, of: str, fields: tuple[str, ...], refs: Collection[str], since: str
    ) -> list[Row]:
        found: list[Row] = []
        for some in lots(refs):
            reading = Reading(
                table=table,
                filter=read_filter(one_of(of, some)),
                by="sys_created_on",
                since=since,
                fields=fields,
                size=_ROWS_AT_ONCE,
            )
            found += [row for page in pages(self._client, reading) for row in page]
        return found

    def _names_in(self, rows: Sequence[Row]) -> dict[str, str]:
        names: dict[str, str] = {}
        for field in ("group", "ci"):
            theirs = mapping.FIELDS[field]
            ids = [
                raw(row, side)
                for row in rows
                if raw(row, "fieldname") == theirs
                for side in ("oldvalue", "newvalue")
            ]
            names |= self._names.names_of(field, ids)
        return names


def _tell_refused(denied: Denied) -> None:
    """Notes still work without. Raises what is no question of rights."""
    if denied.status != 403:
        raise denied
    _log.warning("servicenow.drafts_refused", needs="read change_request and sys_audit")


def _told(row: Row, read: Callable[[Row], Told | None]) -> list[Told]:
    """What a row says. One that can't be read is logged and left out: it must not hold up the rest."""
    try:
        change = read(row)
    except (UnreadableAlert, KeyError) as odd:
        _log.warning(
            "servicenow.change_unreadable", id=raw(row, "sys_id"), reason=f"{type(odd).__name__}: {odd}"
        )
        return []
    return [change] if change is not None else []


def since_of(cursor: str | None, client: ServiceNowClient, clock: Callable[[], datetime]) -> str:
    """Where to read from: the cursor less the overlap, or now less the look-back. Raises Permanent."""
    if cursor is None:
        return mapping.stamp(clock() - client.config.look_back)
    try:
        return mapping.stamp(min(mapping.when(cursor), clock()) - client.config.overlap)
    except UnreadableAlert as odd:
        raise Permanent(
            "The cursor of the ServiceNow feed can't be read; reset it.", where=mapping.DESK
        ) from odd


def until_now(time: str, clock: Callable[[], datetime]) -> str:
    """A raw time for a cursor, no later than now: a record may bear one that is still to come, by an import or a clock
    that was wrong, and what others are changed until then has to be read too."""
    return min(time, mapping.stamp(clock()))


def changed(client: ServiceNowClient, scope: Filter, since: str) -> Iterator[tuple[Row, ...]]:
    """Pages of the tickets in scope that were changed since then (a raw time), the last change last."""
    reading = Reading(
        table=mapping.DESK_TABLE,
        filter=scope,
        by="sys_updated_on",
        since=since,
        fields=mapping.TICKET_FIELDS,
        size=client.config.page_size,
    )
    return pages(client, reading)


def readable(rows: Sequence[Row], url: str) -> tuple[Ticket, ...]:
    """The rows as tickets. One that can't be read is logged and left out: it must not hold up the rest."""
    tickets: list[Ticket] = []
    for row in rows:
        try:
            tickets.append(mapping.to_ticket(row, url))
        except UnreadableAlert as odd:
            _log.warning("servicenow.ticket_unreadable", id=raw(row, "sys_id"), reason=str(odd))
    return tuple(tickets)
