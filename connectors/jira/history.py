"""What people did in issues: comments come along with the search, field changes from the changelog."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from connectors.jira import mapping
from connectors.jira.client import JiraClient, Json, quoted
from countersign.errors import Permanent, UnreadableAlert
from countersign.tickets import ChangeEnd, Ticket, TicketChange, TicketPage, TicketRef

Told = TypeVar("Told", TicketChange, ChangeEnd)

_log = structlog.get_logger()
_REMEMBERED = 50_000
_COMMENTS_AT_ONCE = 100
_OF_DRAFTS = ("labels", "status", "updated", "resolution", "resolutiondate")
# Within this order nothing moves while we page, however often an issue is edited meanwhile.
_ORDER = "ORDER BY created ASC, key ASC"


class History:
    """Reads the issues of the project that changed. The cursor is an ISO time of theirs.

    Jira's search lags by minutes to hours, so each read goes back `overlap`; what was handed out in the same
    version before is left out, as long as this process lives.
    """

    def __init__(self, client: JiraClient, clock: Callable[[], datetime]) -> None:
        self._client, self._clock = client, clock
        self._handed_out: OrderedDict[str, str] = OrderedDict()
        self._categories: dict[str, str] = {}

    def pages(self, cursor: str | None) -> Iterator[TicketPage]:
        """Pages in the order of creation; so the cursor moves with the last page only, which may be empty."""
        since = since_of(cursor, self._client, self._clock)
        start = last = cursor or since.isoformat()
        jql = f"project = {quoted(self._client.config.project)} AND {updated_since(since)} {_ORDER}"
        for page in self._client.search(jql, self._fields):
            fresh = [issue for issue in page if self._is_fresh(issue)]
            tickets = readable(fresh, self._client)
            last = max([last, *(ticket.updated_at.isoformat() for ticket in tickets)])
            if tickets:
                known = {ticket.ref.id for ticket in tickets}
                read = [issue for issue in fresh if str(issue.get("id")) in known]
                changes, ends = self._changes(read, since), self._ends(read)
                yield TicketPage(tickets=tickets, changes=changes, cursor=start, ends=ends)
            self._remember(fresh)
        yield from self._drafts(since, start)
        yield TicketPage(tickets=(), changes=(), cursor=until_now(last, self._clock))

    def of(self, ticket: TicketRef, since: datetime) -> tuple[TicketChange, ...]:
        """What was done in one issue: two reads."""
        return self._changes([self._client.issue(ticket.id, self._fields)], since)

    @property
    def _fields(self) -> tuple[str, ...]:
        return (*mapping.fields_of(self._client.config.fields), "comment")

    def _drafts(self, since: datetime, start: str) -> Iterator[TicketPage]:
        """What people wrote over in our drafted change requests, where these live in a project of their own."""
        config = self._client.config
        if config.change_project in ("", config.project):
            return
        ours = f"project = {quoted(config.change_project)} AND creator = {quoted(self._client.me)}"
        for page in self._client.search(f"{ours} AND {updated_since(since)} {_ORDER}", _OF_DRAFTS):
            fresh = [issue for issue in page if self._is_fresh(issue)]
            if fresh:
                changes, ends = self._changes(fresh, since), self._ends(fresh)
                yield TicketPage(tickets=(), changes=changes, cursor=start, ends=ends)
            self._remember(fresh)

    def _ends(self, issues: Sequence[Json]) -> tuple[ChangeEnd, ...]:
        url, cancelled = self._client.url, self._client.config.cancelled
        return tuple(end for issue in issues for end in _told(issue, lambda one: _end(one, url, cancelled)))

    def _is_fresh(self, issue: Json) -> bool:
        return self._handed_out.get(str(issue.get("id"))) != _version(issue)

    def _remember(self, issues: Sequence[Json]) -> None:
        """Called when the reader comes back for more, so it has recorded these."""
        for issue in issues:
            self._handed_out[str(issue.get("id"))] = _version(issue)
            self._handed_out.move_to_end(str(issue.get("id")))
        while len(self._handed_out) > _REMEMBERED:
            self._handed_out.popitem(last=False)

    def _changes(self, issues: Sequence[Json], since: datetime) -> tuple[TicketChange, ...]:
        for issue in issues:
            status = (issue.get("fields") or {}).get("status") or {}
            self._categories[str(status.get("id"))] = mapping.category_of(status)
        changes = [*self._field_changes(issues)]
        for issue in issues:
            changes += self._comments(issue)
        changes = [change for change in changes if change.at >= since]
        return tuple(sorted(changes, key=lambda change: (change.at, change.id)))

    def _comments(self, issue: Json) -> Iterator[TicketChange]:
        """The newest come along with the search; where there are more, they are read on their own."""
        page = (issue.get("fields") or {}).get("comment") or {}
        got = list(page.get("comments") or ())
        if int(page.get("total") or 0) > len(got):
            got = self._newest(issue)
        of, customers = mapping.ref(issue, self._client.url), self._client.config.service_project
        for comment in got:
            yield from _told(
                comment,
                lambda said: [mapping.comment_change(said, of, self._client.me, customers=customers)],
            )
        yield from self._edits(issue, of, got)

    def _edits(self, issue: Json, of: TicketRef, comments: Sequence[Json]) -> Iterator[TicketChange]:
        """Comments of ours that others wrote over. Where our last line is gone, the property has to be asked for."""
        us = self._client.me
        found = [one for comment in comments for one in _told(comment, lambda c: _edit(c, of, us))]
        if all(one.marker for one in found):
            yield from found
            return
        for comment in self._newest(issue):
            yield from _told(comment, lambda c: _edit(c, of, us))

    def _newest(self, issue: Json) -> list[Json]:
        """The newest comments; none of an issue that is gone by now, as the search goes on finding it for a while."""
        asked = {"maxResults": str(_COMMENTS_AT_ONCE), "orderBy": "-created", "expand": "properties"}
        try:
            return list(self._client.get(f"issue/{issue['id']}/comment", asked).get("comments") or ())
        except Permanent as gone:
            if gone.status != 404:
                raise
            return []

    def _field_changes(self, issues: Sequence[Json]) -> Iterator[TicketChange]:
        by_id = {str(issue["id"]): issue for issue in issues}
        body: Json = {"issueIdsOrKeys": list(by_id)}
        while by_id:
            page = self._client.ask("changelog/bulkfetch", body)
            for log in page.get("issueChangeLogs") or ():
                yield from _told(log, lambda one: [*self._changes_of(one, by_id)])
            token = page.get("nextPageToken")
            if not token or token == body.get("nextPageToken"):
                return
            body["nextPageToken"] = token

    def _changes_of(self, log: Json, by_id: Mapping[str, Json]) -> Iterator[TicketChange]:
        issue = by_id[str(log["issueId"])]
        of = mapping.ref(issue, self._client.url)
        histories = log.get("changeHistories") or ()
        yield from mapping.edited_draft(histories, issue, of, self._client.me)
        for history in histories:
            yield from mapping.field_changes(
                history, of, self._client.me, self._client.config.fields, self._categories
            )


def _edit(comment: Json, of: TicketRef, us: str) -> list[TicketChange]:
    found = mapping.edited_comment(comment, of, us)
    return [found] if found else []


def _end(issue: Json, url: str, cancelled: str) -> list[ChangeEnd]:
    found = mapping.change_end(issue, url, cancelled)
    return [found] if found else []


def _told(item: Json, read: Callable[[Json], list[Told]]) -> list[Told]:
    """What a comment or a changelog says. An unreadable one is logged and left out: it must not hold up the rest."""
    try:
        return read(item)
    except (UnreadableAlert, AttributeError, KeyError, TypeError, ValueError) as odd:
        _log.warning("jira.change_unreadable", item=str(item)[:200], reason=f"{type(odd).__name__}: {odd}")
        return []


def since_of(cursor: str | None, client: JiraClient, clock: Callable[[], datetime]) -> datetime:
    """Where to read from: the cursor less the overlap, or now less the look-back. Raises Permanent."""
    if cursor is None:
        return clock().astimezone(UTC) - client.config.look_back
    try:
        return mapping.when(until_now(cursor, clock)) - client.config.overlap
    except UnreadableAlert as odd:
        raise Permanent("The cursor of the Jira feed can't be read; reset it.", where=mapping.DESK) from odd


def until_now(time: str, clock: Callable[[], datetime]) -> str:
    """An ISO time for a cursor, no later than now: an issue may bear one that is still to come, by an import or a clock
    that was wrong, and what others are changed until then has to be read too."""
    return min(mapping.when(time), clock().astimezone(UTC)).isoformat()


def updated_since(since: datetime) -> str:
    """JQL for a time. Epoch milliseconds: a written time would be read in the user's own time zone."""
    return f"updated >= {int(since.timestamp() * 1000)}"


def readable(issues: Sequence[Json], client: JiraClient) -> tuple[Ticket, ...]:
    """The issues as tickets. One that can't be read is logged and left out: it must not hold up the rest."""
    tickets: list[Ticket] = []
    for issue in issues:
        try:
            tickets.append(mapping.to_ticket(issue, client.url, client.config.fields))
        except UnreadableAlert as odd:
            _log.warning("jira.ticket_unreadable", id=str(issue.get("id")), reason=str(odd))
    return tuple(sorted(tickets, key=lambda ticket: ticket.updated_at))


def _version(issue: Json) -> str:
    fields = issue.get("fields")
    return str(fields.get("updated")) if isinstance(fields, dict) else ""
