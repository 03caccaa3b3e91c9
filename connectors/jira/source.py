"""Jira as a source: issues that people opened, with no alert of another source behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from connectors.jira import mapping
from connectors.jira.checks import checks
from connectors.jira.client import JiraClient, Json, both, quoted
from connectors.jira.history import since_of, until_now, updated_since
from connectors.payload import reloaded
from countersign.alerts import Alert
from countersign.errors import Permanent, UnreadableAlert
from countersign.ports import Check, Firing, Page, Unreadable
from countersign.tickets import Ticket, TicketState


class JiraSource:
    """The port AlertSource on one site. Each issue is one alert, however often it is edited later."""

    name = mapping.DESK

    def __init__(
        self, client: JiraClient, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client, self._clock = client, clock

    def read(self, cursor: str | None) -> Iterator[Page]:
        """Pages in the order of creation; so the cursor moves with the last page only, which may be empty."""
        since = since_of(cursor, self._client, self._clock)
        start = last = cursor or since.isoformat()
        match = self._client.config.match or f"project = {quoted(self._client.config.project)}"
        jql = both(match, f"statusCategory != Done AND {updated_since(since)}")
        fields = mapping.fields_of(self._client.config.fields)
        for issues in self._client.search(f"{jql} ORDER BY created ASC, key ASC", fields):
            page, newest = self._page(issues, start)
            last = max(last, newest)
            yield page
        yield Page(alerts=(), unreadable=(), cursor=until_now(last, self._clock))

    def reread(self, payload: str) -> Alert | None:
        return self._alert_of(self._ticket_in(reloaded(payload)))

    def still_firing(self, alerts: Sequence[Alert]) -> Firing:
        """YES while one of the issues is open; UNKNOWN where one can't be seen any more."""
        states: set[TicketState | None] = set()
        for number in sorted({alert.source_id for alert in alerts}):
            try:
                issue = self._client.issue(number, ("status",))
            except Permanent:
                states.add(None)
                continue
            done = mapping.category_of((issue.get("fields") or {}).get("status")) == "done"
            states.add(TicketState.RESOLVED if done else TicketState.OPEN)
        if TicketState.OPEN in states:
            return Firing.YES
        return Firing.UNKNOWN if None in states else Firing.NO

    def check(self) -> Sequence[Check]:
        return checks(self._client)

    def _page(self, issues: Sequence[Json], cursor: str) -> tuple[Page, str]:
        alerts: list[Alert] = []
        unreadable: list[Unreadable] = []
        newest = ""
        for issue in issues:
            try:
                ticket = self._ticket_in(issue)
            except UnreadableAlert as odd:
                payload = json.dumps(issue, sort_keys=True)
                unreadable.append(
                    Unreadable(source_id=str(issue.get("id", "")), reason=str(odd), payload=payload)
                )
                continue
            newest = max(newest, ticket.updated_at.isoformat())
            alerts += [alert] if (alert := self._alert_of(ticket)) else []
        return Page(alerts=tuple(alerts), unreadable=tuple(unreadable), cursor=cursor), newest

    def _ticket_in(self, issue: Json) -> Ticket:
        return mapping.to_ticket(issue, self._client.url, self._client.config.fields)

    def _alert_of(self, ticket: Ticket) -> Alert | None:
        """None for one that is finished, or has an alert of another source behind it."""
        told = ticket.state is TicketState.OPEN and not self._correlated(ticket.tags)
        return mapping.to_alert(ticket) if told else None

    def _correlated(self, labels: Sequence[str]) -> bool:
        return any(label.startswith(self._client.config.correlations) for label in labels)
