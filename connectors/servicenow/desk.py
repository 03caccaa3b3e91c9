"""ServiceNow as a desk: finds incidents, reads what people did in them, and passes our actions on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from connectors.servicenow import mapping
from connectors.servicenow.checks import checks
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.files import Files
from connectors.servicenow.history import History
from connectors.servicenow.names import Names
from connectors.servicenow.probes import Prober
from connectors.servicenow.query import Filter, Row, is_sys_id, lots, one_of, quoted, raw, read_filter
from connectors.servicenow.writes import Writer
from countersign.actions import Action, Attach, Detach
from countersign.errors import ConfigError, Permanent, UnreadableAlert
from countersign.ports import Check
from countersign.tickets import Receipt, Ticket, TicketChange, TicketPage, TicketRef, TicketState

_DESK_KEY = f"{mapping.DESK}:"


class ServiceNowDesk:
    """The port Desk on one instance. Threads may share one."""

    name = mapping.DESK

    def __init__(
        self, client: ServiceNowClient, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._scope = scope(client.config.watch)
        names = Names(client)
        self._history = History(client, names, self._scope, clock)
        self._writer = Writer(client, names)
        self._prober = Prober(client)
        self._files = Files(client)

    def changes(self, cursor: str | None) -> Iterator[TicketPage]:
        return self._history.pages(cursor)

    def changes_in(self, ticket: TicketRef, since: datetime) -> Sequence[TicketChange]:
        return self._history.of(ticket, since)

    def find(self, keys: Sequence[str]) -> Mapping[str, Ticket]:
        """One read per 100 keys. A key is an alert's dedup key, or servicenow: and a sys_id."""
        found: dict[str, Ticket] = {}
        for some in lots(dict.fromkeys(keys), _size):
            asked = {term: key for key in some for term in _terms(key)}
            alike = {term.casefold() for term in asked}
            for row in self._rows_of(tuple(asked)):
                ticket = self._ticket(row)
                terms = (f"{_DESK_KEY}{ticket.ref.id}", raw(row, "correlation_id"))
                hits = [asked[term] for term in terms if term in asked]
                if not any(term.casefold() in alike for term in terms):
                    raise Permanent(
                        f"ServiceNow gave {ticket.ref.key}, which was not asked for; look at its query log.",
                        where=self.name,
                    )
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

    def _ticket(self, row: Row) -> Ticket:
        """Raises Permanent: left out, it would seem that there is none, and another would be opened."""
        try:
            return mapping.to_ticket(row, self._client.url)
        except UnreadableAlert as odd:
            raise Permanent(f"{odd}", where=self.name) from odd

    def _rows_of(self, terms: Sequence[str]) -> tuple[Row, ...]:
        """Active incidents by correlation or sys_id, oldest first, so that the newest wins."""
        ids = [term.removeprefix(_DESK_KEY) for term in terms if term.startswith(_DESK_KEY)]
        correlations = [term for term in terms if not term.startswith(_DESK_KEY)]
        listed = [term for term in correlations if "," not in term]
        wanted = [one_of("correlation_id", listed)] if listed else []
        wanted += [f"correlation_id={quoted(term)}" for term in correlations if "," in term]
        wanted += [one_of("sys_id", ids)] if ids else []
        query = f"active=true^{'^OR'.join(wanted)}^ORDERBYsys_created_on"
        return self._client.rows(mapping.DESK_TABLE, query, mapping.TICKET_FIELDS, limit=1000).rows


def scope(match: str) -> Filter:
    """A configured query. Raises ConfigError where it is no encoded query."""
    try:
        return read_filter(match)
    except ValueError as wrong:
        raise ConfigError(f"The tickets of ServiceNow can't be chosen: {wrong}") from wrong


def _terms(key: str) -> tuple[str, ...]:
    """What a key is looked for as: a sys_id behind servicenow:, else a correlation id."""
    sys_id = key.removeprefix(_DESK_KEY)
    return (key,) if key != sys_id and is_sys_id(sys_id) else mapping.correlations_of(key)


def _size(key: str) -> int:
    """What a key takes in a request line: a term may stand in a condition of its own."""
    return sum(len(quote(term)) + 20 for term in _terms(key))
