"""The source: PagerDuty's log as pages of alerts, and what its incidents say now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from connectors.checks import tried
from connectors.cursor import Pace, advanced, window
from connectors.manifest import read_manifest
from connectors.pagerduty.client import PagerDutyClient
from connectors.pagerduty.log import entries
from connectors.pagerduty.mapping import KEY, concerns, to_alert
from connectors.payload import reloaded, sorted_out, text_in
from countersign.alerts import Alert
from countersign.ports import Check, Firing, Page

_FIRING = {"triggered": Firing.YES, "acknowledged": Firing.YES, "resolved": Firing.NO}


@dataclass(frozen=True, kw_only=True, slots=True)
class PagerDutySource:
    """Implements AlertSource over /log_entries, which goes by time of change. `clock` gives aware times."""

    client: PagerDutyClient
    clock: Callable[[], datetime]
    name: str = "pagerduty"
    pace: Pace = field(default_factory=Pace)
    page_size: int = 100

    def read(self, cursor: str | None) -> Iterator[Page]:
        wanted = window(cursor, self.clock(), self.pace)
        if wanted is None:
            return
        known: dict[str, Any] = {}
        for piece in entries(self.client, wanted):
            relevant = [entry for entry in piece if concerns(entry)]
            for at in range(0, len(relevant), self.page_size):
                batch = [self._whole(entry, known) for entry in relevant[at : at + self.page_size]]
                alerts, unreadable = sorted_out(batch, to_alert, text_in)
                last = max((alert.occurred_at for alert in alerts), default=wanted.since)
                cursor = advanced(cursor, last, wanted.until)
                yield Page(alerts=alerts, unreadable=unreadable, cursor=cursor)
        yield Page(alerts=(), unreadable=(), cursor=advanced(cursor, wanted.until, wanted.until))

    def _whole(self, entry: Any, known: dict[str, Any]) -> Any:
        """The entry with its incident, which is asked for once where the log has a reference only."""
        reference = entry.get("incident") if isinstance(entry, dict) else None
        incident_id = text_in(reference)
        if not incident_id or not isinstance(reference, dict) or "status" in reference:
            return entry
        if incident_id not in known:
            known[incident_id] = self.client.incident(incident_id)
        return {**entry, "incident": known[incident_id] or reference}

    def reread(self, payload: str) -> Alert | None:
        entry = reloaded(payload)
        return to_alert(entry) if concerns(entry) else None

    def still_firing(self, alerts: Sequence[Alert]) -> Firing:
        """YES if one incident is open, NO if all are resolved, UNKNOWN if one can't be found."""
        ids = {alert.dedup_key.removeprefix(KEY) for alert in alerts}
        said = {self._firing(incident_id) for incident_id in ids}
        if Firing.YES in said:
            return Firing.YES
        return Firing.NO if said == {Firing.NO} else Firing.UNKNOWN

    def _firing(self, incident_id: str) -> Firing:
        incident = self.client.incident(incident_id)
        return _FIRING.get(text_in(incident, "status"), Firing.UNKNOWN)

    def check(self) -> Sequence[Check]:
        now = self.clock()
        one = partial(self.client.log_page, now - timedelta(minutes=1), now, offset=0, limit=1)
        scope = read_manifest("pagerduty").scope("read access")
        return (tried("PagerDuty's log can be read with this API key", one, scope),)
