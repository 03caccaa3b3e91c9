"""Names and sys_ids: people say the name of a group or an item, ServiceNow stores its sys_id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import is_askable, is_sys_id, lots, one_of, quoted, raw
from countersign.errors import Denied, Permanent, Transient

_log = structlog.get_logger()
# Our field -> the table that it refers to, the column of the name, and what to call such a row.
TABLES = {
    "group": ("sys_user_group", "name", "group"),
    "assignee": ("sys_user", "name", "user"),
    "ci": ("cmdb_ci", "name", "configuration item"),
    "service": ("cmdb_ci", "name", "service"),
}

# Accounts that can't log in as a person, or that were made for another system.
_OF_MACHINES = ("web_service_access_only", "internal_integration_user")


class Names:
    """Looks names up once and remembers them as long as the process lives; they hardly ever change."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client
        self._ids: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._machines: dict[str, bool] = {}

    def id_of(self, field: str, name: str) -> str:
        """The sys_id of a row by its name; "" for "". Raises Permanent for a name that nothing has."""
        if not name or is_sys_id(name):
            return name
        if (field, name) not in self._ids:
            self._ids[field, name] = self._look_up(field, name)
        return self._ids[field, name]

    def names_of(self, field: str, sys_ids: Iterable[str]) -> Mapping[str, str]:
        """The names behind those of the values that are sys_ids and that the instance knows."""
        asked = {sys_id for sys_id in sys_ids if is_sys_id(sys_id)}
        unknown = sorted(asked - self._names.keys())
        table, column, _ = TABLES[field]
        for some in lots(unknown):
            got = self._client.rows(table, one_of("sys_id", some), ("sys_id", column), limit=len(some))
            self._names |= {raw(row, "sys_id"): raw(row, column) for row in got.rows}
        return {sys_id: self._names[sys_id] for sys_id in asked & self._names.keys()}

    def machines(self, users: Iterable[str]) -> frozenset[str]:
        """Those of these accounts that the instance marks as an integration's own.

        None where it does not show that, or can't say so now: what people do must be heard all the same.
        """
        named = {user for user in users if is_askable(user) and "," not in user}
        unknown = sorted(named - self._machines.keys())
        for some in lots(unknown):
            query, fields = one_of("user_name", some), ("user_name", *_OF_MACHINES)
            try:
                rows = self._client.rows("sys_user", query, fields, limit=len(some)).rows
            except (Transient, Denied) as silent:
                _log.warning("servicenow.accounts_unknown", users=unknown, problem=str(silent))
                if isinstance(silent, Denied):  # it will not be shown the next time either
                    self._machines |= dict.fromkeys(unknown, False)
                break
            told = {
                raw(row, "user_name"): any(raw(row, mark) == "true" for mark in _OF_MACHINES) for row in rows
            }
            self._machines |= {user: told.get(user, False) for user in some}
        return frozenset(user for user in named if self._machines.get(user))

    def _look_up(self, field: str, name: str) -> str:
        table, column, what = TABLES[field]
        try:
            query = f"{column}={quoted(name)}"
        except ValueError as odd:
            raise Permanent(str(odd), where="servicenow") from odd
        for row in self._client.rows(table, query, ("sys_id", column), limit=1).rows:
            if raw(row, column).casefold() == name.casefold():
                return raw(row, "sys_id")
        raise Permanent(
            f'ServiceNow has no {what} named "{name[:80]}"; correct the policy, or let us see it there.',
            where="servicenow",
        )
