"""Rows in the order of a time: none is missed, however many share a second and whatever is hidden from us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import Filter, Row, raw
from countersign.errors import Permanent


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Which rows of which table, in the order of `by` (a time field), from `since` on (a raw time)."""

    table: str
    filter: Filter
    by: str
    since: str
    fields: tuple[str, ...]
    size: int = 100

    def query(self, after: tuple[str, str]) -> str:
        time, sys_id = after
        later = f"{self.by}>={time}" + (f"^{self.by}>{time}^ORsys_id>{sys_id}" if sys_id else "")
        return f"{self.filter.narrowed(later)}^ORDERBY{self.by}^ORDERBYsys_id"


def pages(client: ServiceNowClient, reading: Reading) -> Iterator[tuple[Row, ...]]:
    """Pages of at least one row, oldest first, each row held against the filter. Raises OutsideError."""
    after, more = (reading.since, ""), True
    while more:
        rows, more = _next_page(client, reading, after)
        if rows:
            after = _hold(rows, reading, after)
            yield rows


def _next_page(
    client: ServiceNowClient, reading: Reading, after: tuple[str, str]
) -> tuple[tuple[Row, ...], bool]:
    """The next rows that we may see, and whether there may be more.

    The limit is applied before access rules, so an empty page is not the end while the total says otherwise.
    """
    fields = tuple(dict.fromkeys((*reading.fields, reading.by, "sys_id", *reading.filter.paths)))
    offset, query = 0, reading.query(after)
    while True:
        got = client.rows(reading.table, query, fields, limit=reading.size, offset=offset)
        offset += reading.size
        more = bool(got.rows) if got.total is None else offset < got.total
        if got.rows or not more:
            return got.rows, more


def _hold(rows: Sequence[Row], reading: Reading, after: tuple[str, str]) -> tuple[str, str]:
    """The place of the last row. Raises Permanent for rows that show that the query was ignored."""
    for row in rows:
        absent = reading.filter.missing(row)
        if absent:
            raise Permanent(
                f"ServiceNow does not show the field {absent[0]} that the query names; "
                f"correct its name or let the integration user read it.",
                where="servicenow",
            )
        place = (raw(row, reading.by), raw(row, "sys_id"))
        if place <= after or not reading.filter.holds(row):
            raise Permanent(
                f"ServiceNow gave a row of {reading.table} outside of the query and so ignored a part of it: "
                f'correct "{reading.query(after)[:200]}".',
                where="servicenow",
            )
        after = place
    return after
