"""The source: what Splunk's saved searches fired, as pages of alerts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.checks import tried
from connectors.cursor import Pace, Window, advanced, read_until, window
from connectors.manifest import read_manifest
from connectors.payload import Node, reloaded, sorted_out, text_in
from connectors.splunk.client import SplunkClient
from connectors.splunk.mapping import to_alert
from countersign.alerts import Alert
from countersign.errors import Permanent, Transient, UnreadableAlert
from countersign.ports import Check, Firing, Page

_TOTAL = "-"
_ROWS_PER_FIRING = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class SplunkSource:
    """Implements AlertSource. `clock` gives aware times.

    Splunk lists all firings that it still keeps (24 h by default) and can't be asked for those since a time:
    we take those since the cursor. It holds the names of the last ones taken, so that a firing's rows are
    fetched once.
    """

    client: SplunkClient
    clock: Callable[[], datetime]
    name: str = "splunk"
    pace: Pace = field(default_factory=lambda: Pace(overlap=timedelta(minutes=15)))
    page_size: int = 100

    def read(self, cursor: str | None) -> Iterator[Page]:
        wanted = window(cursor, self.clock(), self.pace)
        if wanted is None:
            return
        taken = _taken(cursor)
        groups = self.client.fired_searches()
        new, unreadable = self._new(groups, wanted, taken)
        for at in range(0, len(new), self.page_size):
            batch = new[at : at + self.page_size]
            alerts, odd = sorted_out((self._with_rows(entry) for _, entry in batch), self._to_alert, _name)
            taken |= {text_in(entry, "name"): when for when, entry in batch}
            cursor = self._cursor(cursor, batch[-1][0], wanted, taken)
            yield Page(alerts=alerts, unreadable=odd, cursor=cursor)
        _, odd = sorted_out(unreadable, self._to_alert, _name)
        # While splunkd starts it lists nothing, as if nothing had ever fired: nothing was read by that.
        read_to = wanted.until if groups else wanted.since
        yield Page(alerts=(), unreadable=odd, cursor=self._cursor(cursor, read_to, wanted, taken))

    def _new(
        self, groups: Sequence[Any], wanted: Window, taken: dict[str, datetime]
    ) -> tuple[list[tuple[datetime, Any]], list[dict[str, Any]]]:
        """The firings of the window that are not taken yet, oldest first, and those without a time."""
        new, timeless = [], []
        for entry in self._firings(groups):
            try:
                when = Node(entry, "entry")["content"]["trigger_time"].epoch()
            except UnreadableAlert:
                timeless.append({"entry": entry, "results": []})
                continue
            if wanted.since <= when <= wanted.until and text_in(entry, "name") not in taken:
                new.append((when, entry))
        return sorted(new, key=lambda pair: pair[0]), timeless

    def _firings(self, groups: Sequence[Any]) -> Iterator[Any]:
        for group in groups:
            if (search := text_in(group, "name")) and search != _TOTAL:
                try:
                    yield from self.client.firings(search)
                except Permanent as error:
                    # Its last firing may just have expired. Reading on would pass over it for good.
                    raise Transient(
                        f"Splunk lists firings of {search!r} but does not show them; they are asked again. "
                        "If that lasts, give the token's user read permission on the search's app.",
                        where="splunk",
                        status=error.status,
                    ) from error

    def _with_rows(self, entry: Any) -> dict[str, Any]:
        """The firing with the first rows that it found; those are thrown away earlier than the firing."""
        try:
            sid = Node(entry, "entry")["content"]["sid"].text()
            return {"entry": entry, "results": self.client.results(sid, _ROWS_PER_FIRING) if sid else []}
        except (Permanent, UnreadableAlert):
            return {"entry": entry, "results": []}

    def _to_alert(self, payload: Any) -> Alert:
        return to_alert(payload, web_url=self.client.web_url)

    def _cursor(self, cursor: str | None, at: datetime, wanted: Window, taken: dict[str, datetime]) -> str:
        moved = advanced(cursor, at, wanted.until)
        known_from = read_until(moved) - self.pace.overlap
        names = {name: when.timestamp() for name, when in taken.items() if when >= known_from}
        return json.dumps(json.loads(moved) | {"taken": names})

    def reread(self, payload: str) -> Alert | None:
        return self._to_alert(reloaded(payload))

    def still_firing(self, alerts: Sequence[Alert]) -> Firing:
        """YES if a search fired again since; NO if Splunk still lists its last firing, and none after it.

        Splunk forgets firings, and lists none while it restarts: a list without that firing proves nothing.
        """
        last: dict[str, Alert] = {}
        for alert in sorted(alerts, key=lambda alert: alert.occurred_at):
            last[alert.rule] = alert
        said = {self._since(alert) for alert in last.values()}
        if Firing.YES in said:
            return Firing.YES
        return Firing.NO if said == {Firing.NO} else Firing.UNKNOWN

    def _since(self, last: Alert) -> Firing:
        try:
            entries = self.client.firings(last.rule)
            times = [Node(entry, "entry")["content"]["trigger_time"].epoch() for entry in entries]
        except (Permanent, UnreadableAlert):
            return Firing.UNKNOWN
        if any(when > last.occurred_at for when in times):
            return Firing.YES
        listed = last.source_id in {text_in(entry, "name") for entry in entries}
        return Firing.NO if listed else Firing.UNKNOWN

    def check(self) -> Sequence[Check]:
        scope = read_manifest("splunk").scope
        return (
            tried("Splunk is reached with a valid token", self.client.info, scope("token")),
            tried("Splunk fired alerts can be read", self.client.fired_searches, scope("list_settings")),
        )


def _taken(cursor: str | None) -> dict[str, datetime]:
    names = json.loads(cursor).get("taken") if cursor else None
    return {name: datetime.fromtimestamp(at, tz=UTC) for name, at in (names or {}).items()}


def _name(payload: object) -> str:
    entry = payload.get("entry") if isinstance(payload, dict) else None
    return text_in(entry, "name")
