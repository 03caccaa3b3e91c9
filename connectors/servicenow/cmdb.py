"""ServiceNow's CMDB: what an item is, who owns it, what hangs on it, and what was changed on it lately."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connectors.servicenow import mapping
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import Row, quoted, raw, shown
from countersign.context import ConfigItem, RecentChange
from countersign.errors import Permanent, UnreadableAlert

_ITEM = (
    "sys_id",
    "name",
    "support_group",
    "assignment_group",
    "business_criticality",
    "busines_criticality",  # the vendor's own spelling, on services
)
_RELATION = ("parent", "child", "parent.sys_class_name")
_CHANGE = (
    "sys_id",
    "number",
    "short_description",
    "state",
    "cmdb_ci",
    "business_service",
    "start_date",
    "closed_at",
    "sys_updated_on",
    "assigned_to",
    "assignment_group",
)
# Implement, review, closed: a change that is planned or cancelled has changed nothing.
_CARRIED_OUT = frozenset({"-1", "0", "3"})
_AT_MOST = 20


class ServiceNowCmdb:
    """The port Cmdb. An item is asked for by the name that alerts give it."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client

    def item(self, *, ci: str, service: str) -> ConfigItem | None:
        """The item of that name, else the service's; None if the CMDB has neither. Two reads."""
        for name in filter(None, (ci, service)):
            row = self._named(name)
            if row is not None:
                return self._with_relations(row, service)
        return None

    def recent_changes(self, *, ci: str, service: str, since: datetime) -> Sequence[RecentChange]:
        """Changes carried out on the item or the service since then, newest first, 20 at most."""
        on = [
            (path, name) for path, name in (("cmdb_ci", ci), ("business_service", service)) if _askable(name)
        ]
        if not on:
            return ()
        where = "^OR".join(f"{path}.name={name}" for path, name in on)
        states = ",".join(sorted(_CARRIED_OUT))
        query = f"{where}^sys_updated_on>={mapping.stamp(since)}^stateIN{states}^ORDERBYDESCsys_updated_on"
        return tuple(
            self._change(row)
            for row in self._client.seen("change_request", query, _CHANGE, limit=_AT_MOST)
            if raw(row, "state") in _CARRIED_OUT and any(_same(shown(row, path), name) for path, name in on)
        )

    def _change(self, row: Row) -> RecentChange:
        try:
            return mapping.recent_change(row, self._client.url)
        except UnreadableAlert as odd:
            raise Permanent(f"A change request can't be read: {odd}", where=mapping.DESK) from odd

    def _named(self, name: str) -> Row | None:
        if not _askable(name):
            return None
        rows = self._client.seen("cmdb_ci", f"name={quoted(name)}^ORDERBYsys_created_on", _ITEM, limit=1)
        return next((row for row in rows if _same(raw(row, "name"), name)), None)

    def _with_relations(self, row: Row, service: str) -> ConfigItem:
        sys_id = raw(row, "sys_id")
        query = f"parent={sys_id}^ORchild={sys_id}"
        relations = self._client.rows("cmdb_rel_ci", query, _RELATION, limit=_AT_MOST * 5).rows
        below = [shown(r, "child") for r in relations if raw(r, "parent") == sys_id]
        above = [
            shown(r, "parent")
            for r in relations
            if raw(r, "child") == sys_id and raw(r, "parent.sys_class_name").startswith("cmdb_ci_service")
        ]
        return ConfigItem(
            id=sys_id,
            name=raw(row, "name"),
            owner_group=shown(row, "support_group") or shown(row, "assignment_group"),
            service=service or next(iter(above), ""),
            criticality=shown(row, "business_criticality") or shown(row, "busines_criticality"),
            depends_on=tuple(sorted(filter(None, below))),
        )


def _askable(name: str) -> bool:
    return bool(name) and not any(sign in name for sign in "^\n")


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
