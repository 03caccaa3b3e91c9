"""Jira as a desk: finds issues, reads what people did in them, and passes our actions on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from connectors.jira import mapping
from connectors.jira.checks import checks
from connectors.jira.client import MOST_RECONCILED, JiraClient, Json, quoted
from connectors.jira.files import Files
from connectors.jira.history import History
from connectors.jira.probes import Prober
from connectors.jira.writes import Writer
from countersign.actions import Action, Attach, Detach
from countersign.errors import Permanent, UnreadableAlert
from countersign.ports import Check
from countersign.tickets import Receipt, Ticket, TicketChange, TicketPage, TicketRef, TicketState

_DESK_KEY = f"{mapping.DESK}:"
_KEYS_AT_ONCE = 100
_ISSUE = re.compile(r"jira:[A-Z][A-Z0-9_]*-[0-9]+")


class JiraDesk:
    """The port Desk on one site. Threads may share one, but only one at a time may read changes."""

    name = mapping.DESK

    def __init__(
        self, client: JiraClient, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._history = History(client, clock)
        self._writer = Writer(client)
        self._prober = Prober(client)
        self._files = Files(client)

    def changes(self, cursor: str | None) -> Iterator[TicketPage]:
        return self._history.pages(cursor)

    def changes_in(self, ticket: TicketRef, since: datetime) -> Sequence[TicketChange]:
        return self._history.of(ticket, since)

    def find(self, keys: Sequence[str]) -> Mapping[str, Ticket]:
        """Two searches per 100 keys. A key is an alert's dedup key, or jira: and an issue's key."""
        found: dict[str, Ticket] = {}
        for clause, some in _by_clause(keys).items():
            for lot in _lots(some, _KEYS_AT_ONCE):
                asked = {term: key for key in lot for term in _terms(key)}
                for issue in self._open_issues(clause, tuple(asked)):
                    ticket = self._ticket(issue)
                    hits = [asked[term] for term in (ticket.ref.key, *ticket.tags) if term in asked]
                    if ticket.state is TicketState.OPEN:
                        found.update(dict.fromkeys(hits, ticket))
        return found

    def write(self, action: Action) -> Receipt:
        files = isinstance(action.effect, Attach | Detach)
        return self._files.write(action) if files else self._writer.write(action)

    def probe(self, action: Action) -> Receipt | None:
        files = isinstance(action.effect, Attach | Detach)
        return self._files.probe(action) if files else self._prober.probe(action)

    def check(self) -> Sequence[Check]:
        return checks(self._client)

    def _ticket(self, issue: Json) -> Ticket:
        """Raises Permanent: left out, it would seem that there is none, and another would be opened."""
        try:
            return mapping.to_ticket(issue, self._client.url, self._client.config.fields)
        except UnreadableAlert as odd:
            raise Permanent(f"{odd}", where=self.name) from odd

    def _open_issues(self, clause: str, terms: Sequence[str]) -> Iterator[Json]:
        """Open issues, oldest first so that the newest wins, as they are now and not as the index has them."""
        jql = f"{clause} in ({', '.join(quoted(term) for term in terms)}) AND statusCategory != Done"
        ids = [str(issue["id"]) for issue in self._seen(jql, clause, terms)]
        for some in _lots(ids, MOST_RECONCILED):
            wanted = f"{jql} ORDER BY created ASC"
            fields = mapping.fields_of(self._client.config.fields)
            for page in self._client.search(wanted, fields, reconcile=some):
                yield from (issue for issue in page if str(issue["id"]) in some)

    def _seen(self, jql: str, clause: str, terms: Sequence[str]) -> list[Json]:
        try:
            return [issue for page in self._client.search(jql, ("status",)) for issue in page]
        except Permanent as odd:
            # One key that does not exist (any more) makes Jira refuse the whole list.
            if odd.status != 400 or clause != "key":
                raise
        if len(terms) == 1:
            return []
        one_by_one = ((f"key in ({quoted(term)}) AND statusCategory != Done", (term,)) for term in terms)
        return [issue for query, some in one_by_one for issue in self._seen(query, clause, some)]


def _by_clause(keys: Sequence[str]) -> dict[str, list[str]]:
    """The keys by the field of JQL that finds them."""
    named = [key for key in dict.fromkeys(keys) if _ISSUE.fullmatch(key)]
    return {"key": named, "labels": [key for key in dict.fromkeys(keys) if key not in set(named)]}


def _terms(key: str) -> tuple[str, ...]:
    return (key.removeprefix(_DESK_KEY),) if _ISSUE.fullmatch(key) else mapping.labels_of(key)


def _lots(values: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    rest = iter(values)
    while lot := tuple(itertools.islice(rest, size)):
        yield lot
