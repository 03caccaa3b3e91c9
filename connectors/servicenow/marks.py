"""What an instance holds of ours: work notes with a marker, and the records that we made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from connectors.servicenow import mapping
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.pages import Reading, pages
from connectors.servicenow.query import Row, lots, one_of, quoted, raw, read_filter
from countersign.actions import marked_key
from countersign.ports import Mark

_PREFIX = "countersign:"
# Tables of what we make, and the column that holds the marker.
_MADE = ((mapping.DESK_TABLE, "correlation_display"), ("change_request", "correlation_id"))
_ROWS_AT_ONCE = 200


class ServiceNowMarks:
    """The port Marked. A note written while a change was cancelled is known by the change's sys_id."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client

    def marks(self, since: datetime) -> Iterator[tuple[Mark, ...]]:
        ours = f"sys_created_by={quoted(self._client.config.user)}"
        noted = f"{ours}^element=work_notes^valueLIKE{_PREFIX}"
        for rows in self._pages("sys_journal_field", noted, mapping.JOURNAL_FIELDS, since):
            numbers = self._numbers([raw(row, "element_id") for row in rows])
            of = [(row, raw(row, "element_id")) for row in rows]
            yield _marks([(raw(row, "value"), numbers.get(ticket, ticket)) for row, ticket in of])
        for table, column in _MADE:
            made = f"{ours}^{column}STARTSWITH{_PREFIX}"
            for rows in self._pages(table, made, ("number", column), since):
                yield _marks([(raw(row, column), raw(row, "number")) for row in rows])

    def _pages(
        self, table: str, query: str, fields: tuple[str, ...], since: datetime
    ) -> Iterator[tuple[Row, ...]]:
        reading = Reading(
            table=table,
            filter=read_filter(query),
            by="sys_created_on",
            since=mapping.stamp(since),
            fields=fields,
            size=_ROWS_AT_ONCE,
        )
        return pages(self._client, reading)

    def _numbers(self, ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for some in lots(dict.fromkeys(ids)):
            rows = self._client.rows(mapping.DESK_TABLE, one_of("sys_id", some), ("sys_id", "number")).rows
            found |= {raw(row, "sys_id"): raw(row, "number") for row in rows}
        return found


def _marks(texts: Sequence[tuple[str, str]]) -> tuple[Mark, ...]:
    return tuple(Mark(key=key, ticket=ticket) for text, ticket in texts if (key := marked_key(text)))
