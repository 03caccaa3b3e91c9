"""Our comments in Jira: always internal, and found again by a property or by the marker in their last line."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.jira import mapping
from connectors.jira.client import JiraClient, Json
from connectors.jira.markup import Node, text_of

_MARK = "countersign"
_AT_ONCE = 100


class Comments:
    """Writes and finds the comments of the integration user."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client

    def add(self, key: str, body: Node, marker: str) -> str:
        """Gives the comment's id. Its visibility stands in the same call: there is no moment in which it shows."""
        made = self._client.create(
            f"issue/{key}/comment",
            {
                "body": body,
                "properties": [
                    {"key": mapping.INTERNAL, "value": {"internal": True}},
                    {"key": _MARK, "value": {"marker": marker}},
                ],
            },
        )
        return str(made["id"])

    def find(self, key: str, marker: str) -> str | None:
        """The id of our comment with this marker, newest first."""
        for comment in self._all(key):
            if self.carries(comment, marker):
                return str(comment["id"])
        return None

    def on(self, issue: Json) -> Iterator[Json]:
        """All comments of an issue: those that came along with a search, unless there are more."""
        page = (issue.get("fields") or {}).get("comment") or {}
        got = page.get("comments") or ()
        return iter(got) if int(page.get("total") or 0) <= len(got) else self._all(str(issue["key"]))

    def carries(self, comment: Json, marker: str) -> bool:
        for entry in comment.get("properties") or ():
            if entry.get("key") == _MARK:
                return bool((entry.get("value") or {}).get("marker") == marker)
        if not text_of(comment.get("body")).rstrip().endswith(marker):
            return False
        # A person may quote a marker; ours is written by us.
        return str((comment.get("author") or {}).get("accountId", "")) == self._client.me

    def _all(self, key: str) -> Iterator[Json]:
        start, asked = 0, {"orderBy": "-created", "expand": "properties", "maxResults": str(_AT_ONCE)}
        while True:
            page = self._client.get(f"issue/{key}/comment", {**asked, "startAt": str(start)})
            got = page.get("comments") or []
            yield from got
            start += len(got)
            if not got or start >= int(page.get("total") or 0):
                return
