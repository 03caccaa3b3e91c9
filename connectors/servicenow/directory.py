"""Who is in which group at ServiceNow; approvals depend on it."""

from __future__ import annotations

from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import is_askable, quoted, raw

_MEMBER, _GROUP = "user.user_name", "group.name"


class ServiceNowDirectory:
    """The port Directory. A person is a user_name, as TicketChange.author has it."""

    def __init__(self, client: ServiceNowClient) -> None:
        self._client = client

    def groups_of(self, person: str) -> frozenset[str]:
        """Names of the person's groups; none for somebody unknown. Raises OutsideError."""
        if not person or not is_askable(person):
            return frozenset()
        query = f"{_MEMBER}={quoted(person)}"
        rows = self._client.seen("sys_user_grmember", query, (_MEMBER, _GROUP), limit=1000)
        # An ignored query would make everybody a member of every group: only rows of this person count.
        return frozenset(raw(row, _GROUP) for row in rows if raw(row, _MEMBER) == person)
