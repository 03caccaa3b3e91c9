"""The source: Datadog's events as pages of alerts, and what its monitors say now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from connectors.checks import tried
from connectors.cursor import Pace, Window, advanced, window
from connectors.datadog.client import DatadogClient
from connectors.datadog.mapping import to_alert
from connectors.manifest import read_manifest
from connectors.payload import reloaded, sorted_out, text_in
from countersign.alerts import Alert
from countersign.errors import Permanent
from countersign.ports import Check, Firing, Page

_LARGEST_PAGE = 1000
_FIRING = {"alert": Firing.YES, "warn": Firing.YES, "no data": Firing.YES, "ok": Firing.NO}


@dataclass(frozen=True, kw_only=True, slots=True)
class DatadogSource:
    """Implements AlertSource. `query` is in Datadog's event search syntax; `clock` gives aware times."""

    client: DatadogClient
    clock: Callable[[], datetime]
    name: str = "datadog"
    query: str = "source:alert"
    pace: Pace = field(default_factory=Pace)
    page_size: int = 500

    def read(self, cursor: str | None) -> Iterator[Page]:
        wanted = window(cursor, self.clock(), self.pace)
        if wanted is None:
            return
        for events in self._events(wanted):
            alerts, unreadable = sorted_out(events, self._to_alert, text_in)
            # Ascending, so all before the last one of this page is read, whatever comes of the next page.
            last = max((alert.occurred_at for alert in alerts), default=wanted.since)
            cursor = advanced(cursor, last, wanted.until)
            yield Page(alerts=alerts, unreadable=unreadable, cursor=cursor)
        yield Page(alerts=(), unreadable=(), cursor=advanced(cursor, wanted.until, wanted.until))

    def _events(self, wanted: Window) -> Iterator[list[object]]:
        """Pages until there is no token. An empty page may have a token, and is not the end."""
        seen: set[str] = set()
        after = ""
        while True:
            events, after = self.client.events(
                query=self.query,
                since=wanted.since,
                until=wanted.until,
                after=after,
                limit=min(self.page_size, _LARGEST_PAGE),
            )
            if events:
                yield events
            if not after:
                return
            if after in seen:
                raise Permanent(
                    "Datadog gave the same page token twice; the next pull goes on from where this one "
                    "stopped. If it happens again, make the page size smaller.",
                    where="datadog",
                )
            seen.add(after)

    def _to_alert(self, event: object) -> Alert:
        return to_alert(event, app_url=self.client.app_url)

    def reread(self, payload: str) -> Alert | None:
        return self._to_alert(reloaded(payload))

    def still_firing(self, alerts: Sequence[Alert]) -> Firing:
        """YES if one group fires now, NO if all have recovered, UNKNOWN where no monitor watches."""
        if not alerts:
            return Firing.UNKNOWN
        wanted: dict[str, set[str]] = {}
        for alert in alerts:
            wanted.setdefault(alert.rule, set()).add(alert.dedup_key.split(":", 2)[-1])
        said = {state for rule, scopes in wanted.items() for state in self._group_states(rule, scopes)}
        if Firing.YES in said:
            return Firing.YES
        return Firing.UNKNOWN if Firing.UNKNOWN in said else Firing.NO

    def _group_states(self, rule: str, scopes: set[str]) -> set[Firing]:
        if not rule.isdigit():
            return {Firing.UNKNOWN}
        try:
            monitor = self.client.monitor(int(rule))
        except Permanent:
            return {Firing.UNKNOWN}
        state = monitor.get("state")
        groups = state.get("groups") if isinstance(state, dict) else None
        known = {_members(key): group for key, group in groups.items()} if isinstance(groups, dict) else {}
        return {_firing(known.get(_members(scope))) for scope in scopes}

    def check(self) -> Sequence[Check]:
        now, scope = self.clock(), read_manifest("datadog").scope
        since = now - timedelta(minutes=1)
        one = partial(self.client.events, query=self.query, since=since, until=now, after="", limit=1)
        return (
            tried("Datadog is reached with a valid API key", self.client.validate, scope("API key")),
            tried("Datadog events can be read", one, scope("events_read")),
            tried(
                "Datadog monitors can be read",
                partial(self.client.monitor_names, 1),
                scope("monitors_read"),
            ),
        )


def _members(scope: str) -> frozenset[str]:
    """A scope names its members in any order; a monitor without groups has the scope `*`."""
    return frozenset(part for part in scope.split(",") if part and part != "*")


def _firing(group: object) -> Firing:
    status = group.get("status") if isinstance(group, dict) else None
    return _FIRING.get(str(status).lower(), Firing.UNKNOWN)
