"""What an account holds of ours: notes with a marker, read from its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from connectors.cursor import Window
from connectors.pagerduty.client import PagerDutyClient
from connectors.pagerduty.log import entries
from connectors.payload import text_in
from countersign.actions import marked_key
from countersign.ports import Mark


class PagerDutyMarks:
    """The port Marked. The log keeps a note that was deleted since."""

    def __init__(self, client: PagerDutyClient, clock: Callable[[], datetime]) -> None:
        self._client, self._clock = client, clock

    def marks(self, since: datetime) -> Iterator[tuple[Mark, ...]]:
        users = self._client.users(self._client.from_email)
        ours = {text_in(user) for user in users if text_in(user, "email") == self._client.from_email}
        for piece in entries(self._client, Window(since=since, until=self._clock())):
            yield tuple(mark for entry in piece for mark in _of(entry, ours))


def _of(entry: object, ours: set[str]) -> Iterator[Mark]:
    if not isinstance(entry, dict) or text_in(entry, "type") != "annotate_log_entry":
        return
    if text_in(entry.get("agent")) in ours and (key := marked_key(text_in(entry.get("channel"), "content"))):
        yield Mark(key=key, ticket=text_in(entry.get("incident")))
