"""What a site holds of ours: comments with a marker, and the issues that we made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from connectors.jira import mapping
from connectors.jira.client import JiraClient, Json, quoted
from connectors.jira.comments import Comments
from connectors.jira.history import updated_since
from connectors.jira.markup import text_of
from countersign.actions import marked_key
from countersign.errors import UnreadableAlert
from countersign.ports import Mark


class JiraMarks:
    """The port Marked, on the project of the tickets and that of the changes."""

    def __init__(self, client: JiraClient) -> None:
        self._client, self._comments = client, Comments(client)

    def marks(self, since: datetime) -> Iterator[tuple[Mark, ...]]:
        config = self._client.config
        projects = dict.fromkeys(name for name in (config.project, config.change_project) if name)
        jql = (
            f"project in ({', '.join(quoted(name) for name in projects)}) AND {updated_since(since)} "
            "ORDER BY created ASC, key ASC"
        )
        for issues in self._client.search(jql, ("labels", "comment")):
            yield tuple(mark for issue in issues for mark in self._of(issue, since))

    def _of(self, issue: Json, since: datetime) -> Iterator[Mark]:
        fields, key = issue.get("fields") or {}, str(issue.get("key"))
        # A label stays for ever; comments tell when they were written.
        for name in fields.get("labels") or ():
            if found := marked_key(str(name)):
                yield Mark(key=found, ticket=key)
        for comment in self._comments.on(issue):
            ours = str((comment.get("author") or {}).get("accountId", "")) == self._client.me
            if ours and _written(comment) >= since and (found := marked_key(text_of(comment.get("body")))):
                yield Mark(key=found, ticket=key)


def _written(comment: Json) -> datetime:
    try:
        return mapping.when(str(comment.get("created")))
    except UnreadableAlert:
        return datetime.max.replace(tzinfo=UTC)
