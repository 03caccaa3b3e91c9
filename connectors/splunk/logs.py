"""The logs: what a service logged in Splunk around an alert."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from connectors.checks import tried
from connectors.manifest import read_manifest
from connectors.payload import Node
from connectors.splunk.client import SplunkClient
from countersign.errors import UnreadableAlert
from countersign.ports import Check

_LONGEST_LINE = 500
# A service's name comes from an alert, and so from outside: nothing else may enter a search.
_NAME = re.compile(r"[\w .:/@-]{1,200}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SplunkLogs:
    """Implements LogSearch: from `before` the alert to `after` it, in `index` (a name, or * for all)."""

    client: SplunkClient
    clock: Callable[[], datetime]
    index: str = "*"
    before: timedelta = timedelta(minutes=10)
    after: timedelta = timedelta(minutes=2)

    def lines(self, *, service: str, around: datetime, limit: int) -> Sequence[str]:
        """At most `limit` lines of 500 characters, oldest first; none for a name that is not plain."""
        if not _NAME.fullmatch(service) or limit < 1:
            return ()
        found = self.client.search(
            f'search index={self.index} service="{service}" | head {limit}',
            since=around - self.before,
            until=around + self.after,
            limit=limit,
        )
        return tuple(line for row in reversed(found[:limit]) if (line := _line(row)))

    def check(self) -> Sequence[Check]:
        now = self.clock()
        one = partial(
            self.client.search,
            f"search index={self.index} | head 1",
            since=now - timedelta(minutes=1),
            until=now,
            limit=1,
        )
        return (tried("Splunk logs can be searched", one, read_manifest("splunk").scope("search")),)


def _line(row: object) -> str:
    """A line that can't be read is left out: logs are context, and context may miss a part."""
    found = Node(row, "row")
    try:
        return " ".join(f"{found['_time'].text()} {found['_raw'].text()}".split())[:_LONGEST_LINE]
    except UnreadableAlert:
        return ""
