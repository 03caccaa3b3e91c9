"""The changes: what people did in PagerDuty's incidents, read from the account's log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import structlog

from connectors.cursor import Pace, Window, advanced, window
from connectors.pagerduty.client import PagerDutyClient
from connectors.pagerduty.log import entries
from connectors.pagerduty.mapping import to_ref, to_ticket
from connectors.payload import Node, text_in
from countersign.errors import UnreadableAlert
from countersign.tickets import ChangeKind, Ticket, TicketChange, TicketPage, TicketRef

_log = structlog.get_logger()
# PagerDuty's published list has no entry for a reopening. This is what its name would be.
_KINDS = {
    "annotate_log_entry": ChangeKind.COMMENT,
    "acknowledge_log_entry": ChangeKind.ACKNOWLEDGED,
    "resolve_log_entry": ChangeKind.RESOLVED,
    "reopen_log_entry": ChangeKind.REOPENED,
}
_PAGE = 100


class Changes:
    """One reading of the log. What integrations and services did is left out: only people correct us."""

    def __init__(self, client: PagerDutyClient, desk: str, pace: Pace) -> None:
        self._client, self._desk, self._pace = client, desk, pace
        self._emails: dict[str, str] = {}

    def pages(self, cursor: str | None, now: datetime) -> Iterator[TicketPage]:
        wanted = window(cursor, now, self._pace)
        if wanted is None:
            return
        for piece in entries(self._client, wanted):
            by_people = [entry for entry in piece if _by_a_person(entry)]
            for at in range(0, len(by_people), _PAGE):
                changes, tickets = self._read(by_people[at : at + _PAGE])
                last = max((change.at for change in changes), default=wanted.since)
                cursor = advanced(cursor, last, wanted.until)
                yield TicketPage(tickets=tickets, changes=changes, cursor=cursor)
        yield TicketPage(tickets=(), changes=(), cursor=advanced(cursor, wanted.until, wanted.until))

    def of(self, ticket: TicketRef, since: datetime, now: datetime) -> tuple[TicketChange, ...]:
        """What people did in one incident; the account's log is read for it."""
        wanted = Window(since=since, until=now)
        found = [entry for piece in entries(self._client, wanted) for entry in piece if _by_a_person(entry)]
        changes, _ = self._read([entry for entry in found if text_in(entry.get("incident")) == ticket.id])
        return tuple({change.id: change for change in changes}.values())

    def _read(self, batch: list[Any]) -> tuple[tuple[TicketChange, ...], tuple[Ticket, ...]]:
        changes, tickets = [], {}
        for entry in batch:
            try:
                change = self._change(Node(entry, "entry"))
                ticket = to_ticket(entry["incident"], self._desk)
            except UnreadableAlert as error:
                _log.warning("pagerduty.change_unreadable", entry=text_in(entry), reason=str(error))
                continue
            changes.append(change)
            tickets[ticket.ref.id] = ticket
        return tuple(changes), tuple(tickets.values())

    def _change(self, entry: Node) -> TicketChange:
        email = self._email(entry["agent"])
        text = (
            entry["channel"]["content"].text() or entry["channel"]["summary"].text() or entry["note"].text()
        )
        return TicketChange(
            id=entry["id"].needed(),
            ref=to_ref(entry["incident"], self._desk),
            kind=_KINDS[entry["type"].text()],
            author=email,
            at=entry["created_at"].moment(),
            text=text,
            by_us=bool(email) and email == self._client.from_email,
        )

    def _email(self, agent: Node) -> str:
        """The user's email, by which policies name people; asked for once per reading. "" for one who was deleted."""
        user_id = agent["id"].needed()
        if user_id not in self._emails:
            self._emails[user_id] = text_in(self._client.user(user_id), "email")
        return self._emails[user_id]


def _by_a_person(entry: object) -> bool:
    agent = entry.get("agent") if isinstance(entry, dict) else None
    return text_in(entry, "type") in _KINDS and text_in(agent, "type").removesuffix("_reference") == "user"
