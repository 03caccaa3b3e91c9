"""ServiceNow as a source: incidents that people opened, with no alert of another source behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from connectors.payload import reloaded
from connectors.servicenow import mapping
from connectors.servicenow.checks import checks
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.desk import scope
from connectors.servicenow.history import changed, since_of, until_now
from connectors.servicenow.query import Row, one_of, raw, read_filter
from countersign.alerts import Alert
from countersign.errors import UnreadableAlert
from countersign.ports import Check, Firing, Page, Unreadable
from countersign.tickets import TicketState

_BORN_HERE = "correlation_idISEMPTY^active=true"


class ServiceNowSource:
    """The port AlertSource on one instance. Each ticket is one alert, however often it is edited later."""

    name = mapping.DESK

    def __init__(
        self, client: ServiceNowClient, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client, self._clock = client, clock
        scope(client.config.match)  # so that a mistake is told before the first read
        self._filter = read_filter(
            "^NQ".join(
                f"{part}^{_BORN_HERE}" if part.strip() else _BORN_HERE
                for part in client.config.match.split("^NQ")
            )
        )

    def read(self, cursor: str | None) -> Iterator[Page]:
        since = since_of(cursor, self._client, self._clock)
        last = until_now(cursor or since, self._clock)
        for rows in changed(self._client, self._filter, since):
            last = max(last, until_now(raw(rows[-1], "sys_updated_on"), self._clock))
            yield self._page(rows, last)
        yield Page(alerts=(), unreadable=(), cursor=last)

    def reread(self, payload: str) -> Alert | None:
        return self._alert_in(reloaded(payload))

    def still_firing(self, alerts: Sequence[Alert]) -> Firing:
        """YES while one of the tickets is open; UNKNOWN where one can't be seen any more."""
        ids = sorted({alert.source_id for alert in alerts})
        got = self._client.rows(mapping.DESK_TABLE, one_of("sys_id", ids), ("sys_id", "state", "active"))
        states = {raw(row, "sys_id"): mapping.state_of(row) for row in got.rows if raw(row, "sys_id") in ids}
        if TicketState.OPEN in states.values():
            return Firing.YES
        return Firing.NO if len(states) == len(ids) else Firing.UNKNOWN

    def check(self) -> Sequence[Check]:
        return checks(self._client)

    def _page(self, rows: Sequence[Row], cursor: str) -> Page:
        alerts: list[Alert] = []
        unreadable: list[Unreadable] = []
        for row in rows:
            try:
                alert = self._alert_in(row)
            except UnreadableAlert as odd:
                payload = json.dumps(row, sort_keys=True)
                unreadable.append(Unreadable(source_id=raw(row, "sys_id"), reason=str(odd), payload=payload))
            else:
                alerts += [alert] if alert else []
        return Page(alerts=tuple(alerts), unreadable=tuple(unreadable), cursor=cursor)

    def _alert_in(self, row: Row) -> Alert | None:
        """None for a ticket that is finished."""
        ticket = mapping.to_ticket(row, self._client.url)
        return mapping.to_alert(ticket) if ticket.state is TicketState.OPEN else None
