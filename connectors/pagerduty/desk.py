"""The desk: PagerDuty's incidents as tickets that can be noted, acknowledged and resolved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from connectors.checks import tried
from connectors.cursor import Pace
from connectors.manifest import read_manifest
from connectors.pagerduty.changes import Changes
from connectors.pagerduty.client import PagerDutyClient
from connectors.pagerduty.mapping import KEY, to_ticket
from connectors.payload import text_in
from countersign.actions import Action, Close, Note, RetractNote, SetFields
from countersign.drafts import Draft, plain
from countersign.errors import Permanent, UnreadableAlert
from countersign.ports import Check
from countersign.tickets import Receipt, Ticket, TicketChange, TicketPage, TicketRef, TicketState

_ID = re.compile(r"[PQ][A-Z0-9]{5,19}")
_URL = re.compile(r"https://[\w.-]+\.pagerduty\.com/incidents/([A-Z0-9]{6,20})(?:[/?#].*)?")
_ACKNOWLEDGED = {"state": "acknowledged"}
_REFUSALS = {
    "reopen": "PagerDuty would page people anew for a reopened incident; ask a person to do it there.",
    "create_ticket": "PagerDuty opens incidents from its integrations; point the policy at another desk.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PagerDutyDesk:
    """Implements Desk. `clock` gives aware times; writing needs `from_email` in the client's config."""

    client: PagerDutyClient
    clock: Callable[[], datetime]
    name: str = "pagerduty"
    pace: Pace = field(default_factory=Pace)

    def changes(self, cursor: str | None) -> Iterator[TicketPage]:
        return Changes(self.client, self.name, self.pace).pages(cursor, self.clock())

    def changes_in(self, ticket: TicketRef, since: datetime) -> Sequence[TicketChange]:
        now = self.clock()
        return Changes(self.client, self.name, self.pace).of(ticket, since, now) if since < now else ()

    def find(self, keys: Sequence[str]) -> Mapping[str, Ticket]:
        """Open incidents by `pagerduty:<id>`, by address or by id; other keys are not PagerDuty's."""
        found = {}
        for key in keys:
            incident = self.client.incident(incident_id) if (incident_id := _id_of(key)) else None
            if incident is not None and (ticket := self._ticket(incident)).state is TicketState.OPEN:
                found[key] = ticket
        return found

    def write(self, action: Action) -> Receipt:
        """Does a note, its retraction, an acknowledgement or a close; Permanent for everything else.

        What can be repeated goes first and the marked note last: where the marker is, all was done.
        """
        ref = self._target(action)
        match action.effect:
            case Note(draft=draft):
                return self._note(ref, draft, action.marker, before={})
            case Close(draft=draft):
                before = self._set(ref, "resolved")
                return self._note(ref, draft, action.marker, before=before)
            case SetFields(fields=fields) if fields == _ACKNOWLEDGED:
                before = self._set(ref, "acknowledged")
                return Receipt(handle=ref.id, url=ref.url, before=before)
            case RetractNote(handle=handle):
                self._retract(ref, handle)
                return Receipt(handle=handle, url=ref.url)
        raise self._refused(action)

    def probe(self, action: Action) -> Receipt | None:
        """Looks for the marker in the notes, for the state of an acknowledgement, or for the missing note."""
        if action.ticket is None:
            return None
        ref = action.ticket
        match action.effect:
            case SetFields(fields=fields) if fields == _ACKNOWLEDGED:
                incident = self.client.incident(ref.id)
                done = text_in(incident, "status") == "acknowledged"
                return Receipt(handle=ref.id, url=ref.url, found=True) if done else None
            case RetractNote(handle=handle):
                still = any(text_in(note) == handle for note in self.client.notes(ref.id))
                return None if still else Receipt(handle=handle, url=ref.url, found=True)
        for note in self.client.notes(ref.id):
            if action.marker in text_in(note, "content"):
                return Receipt(handle=text_in(note), url=ref.url, found=True)
        return None

    def check(self) -> Sequence[Check]:
        now, scope = self.clock(), read_manifest("pagerduty").scope
        log = partial(self.client.log_page, now - timedelta(minutes=1), now, offset=0, limit=1)
        return (
            tried("PagerDuty's log can be read with this API key", log, scope("read access")),
            tried("PagerDuty knows the user we write as", self._we, scope("a user to write as")),
        )

    def _we(self) -> None:
        self._writer()
        if not any(
            text_in(user, "email") == self.client.from_email
            for user in self.client.users(self.client.from_email)
        ):
            raise Permanent(
                f"PagerDuty has no user {self.client.from_email}; set COUNTERSIGN_PAGERDUTY__SENDER to one.",
                where=self.name,
            )

    def _writer(self) -> None:
        if not self.client.from_email:
            raise Permanent(
                "PagerDuty wants to know who writes; set COUNTERSIGN_PAGERDUTY__SENDER to the email of a user.",
                where=self.name,
            )

    def _target(self, action: Action) -> TicketRef:
        if action.ticket is None:
            raise self._refused(action)
        self._writer()
        return action.ticket

    def _note(self, ref: TicketRef, draft: Draft, marker: str, *, before: Mapping[str, str]) -> Receipt:
        note = self.client.add_note(ref.id, plain(draft, marker))
        return Receipt(handle=text_in(note), url=ref.url, before=before)

    def _set(self, ref: TicketRef, status: str) -> dict[str, str]:
        """Brings the incident to `status` and gives the state before. A resolved one is left as it is."""
        incident = self.client.incident(ref.id)
        was = text_in(incident, "status")
        if was not in (status, "resolved"):
            self.client.set_status(ref.id, status)
        return {"state": was}

    def _retract(self, ref: TicketRef, handle: str) -> None:
        try:
            self.client.delete_note(ref.id, handle)
        except Permanent as error:
            # Somebody has deleted it already.
            if error.status != 404:
                raise

    def _ticket(self, incident: object) -> Ticket:
        try:
            return to_ticket(incident, self.name)
        except UnreadableAlert as error:
            raise Permanent(f"PagerDuty's incident can't be read: {error}", where=self.name) from error

    def _refused(self, action: Action) -> Permanent:
        kind = action.effect.kind
        reason = _REFUSALS.get(kind, f"PagerDuty has nothing like {kind}; point the policy at another desk.")
        return Permanent(reason, where=self.name)


def _id_of(key: str) -> str:
    if found := _URL.fullmatch(key):
        return found[1]
    bare = key.removeprefix(KEY)
    return bare if _ID.fullmatch(bare) else ""
