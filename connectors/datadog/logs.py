"""The logs: what a service logged in Datadog around an alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from connectors.checks import tried
from connectors.datadog.client import DatadogClient
from connectors.manifest import read_manifest
from connectors.payload import Node
from countersign.errors import UnreadableAlert
from countersign.ports import Check

_LONGEST_LINE = 500
_MOST_LINES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class DatadogLogs:
    """Implements LogSearch: from `before` the alert to `after` it."""

    client: DatadogClient
    clock: Callable[[], datetime]
    before: timedelta = timedelta(minutes=10)
    after: timedelta = timedelta(minutes=2)

    def lines(self, *, service: str, around: datetime, limit: int) -> Sequence[str]:
        """At most `limit` lines of 500 characters, oldest first; none without a service to look for."""
        quoted = service.replace("\\", "").replace('"', "").strip()
        if not quoted or limit < 1:
            return ()
        found = self.client.logs(
            query=f'service:"{quoted}"',
            since=around - self.before,
            until=around + self.after,
            limit=min(limit, _MOST_LINES),
        )
        return tuple(line for row in reversed(found[:limit]) if (line := _line(row)))

    def check(self) -> Sequence[Check]:
        now = self.clock()
        one = partial(self.client.logs, query="*", since=now - timedelta(minutes=1), until=now, limit=1)
        return (tried("Datadog logs can be read", one, read_manifest("datadog").scope("logs_read_data")),)


def _line(row: object) -> str:
    """A line that can't be read is left out: logs are context, and context may miss a part."""
    log = Node(row, "log")["attributes"]
    try:
        parts = (log["timestamp"].text(), log["status"].text(), log["host"].text(), log["message"].text())
    except UnreadableAlert:
        return ""
    return " ".join(" ".join(part for part in parts if part).split())[:_LONGEST_LINE]
