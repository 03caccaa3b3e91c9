"""Who is in which group at Jira; approvals depend on it."""

from __future__ import annotations

from connectors.jira.client import JiraClient
from countersign.errors import Permanent


class JiraDirectory:
    """The port Directory. A person is an account id, as TicketChange.author has it."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client

    def groups_of(self, person: str) -> frozenset[str]:
        """Names of the person's groups; none for somebody unknown. Raises OutsideError."""
        if not person:
            return frozenset()
        try:
            groups = self._client.get("user/groups", {"accountId": person}).get("values") or ()
        except Permanent as unknown:
            if unknown.status == 404:
                return frozenset()
            raise
        return frozenset(str(group["name"]) for group in groups if group.get("name"))
