"""Our actions as ServiceNow's updates, each with its marker in the same call as its effect."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from connectors.servicenow import mapping, markup
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.names import TABLES, Names
from connectors.servicenow.query import Row, quoted, raw, shown
from countersign.actions import (
    Action,
    CancelChange,
    Close,
    CreateTicket,
    DraftChange,
    Note,
    Reopen,
    RetractNote,
    Route,
    SetFields,
)
from countersign.errors import Denied, Permanent
from countersign.severity import Severity
from countersign.tickets import Receipt, TicketRef

_log = structlog.get_logger()
_PREFIX = "countersign:"
_SHOWN = ("sys_id", "number", "state", "active", "assignment_group", "priority", *mapping.FIELDS.values())
# A draft without these is none: it could not be found again, or nobody would know what it is.
_ESSENTIAL = frozenset({"correlation_id", "short_description", "description"})
_ESSENTIAL_OF_TEMPLATE = frozenset({"correlation_id"})


class Writer:
    """Does one action per call. A note is one HTTP call; what changes fields reads them first."""

    def __init__(self, client: ServiceNowClient, names: Names) -> None:
        self._client, self._names = client, names

    def write(self, action: Action) -> Receipt:  # noqa: PLR0911 - one line per kind of effect
        match action.effect:
            case Note(draft=draft):
                return self._journal(action, markup.note(draft, action.marker))
            case RetractNote(handle=handle, reason=reason):
                # Without its prefix: a note carries one marker, its own.
                sentence = f"The note {handle.removeprefix(_PREFIX)} no longer holds: {reason}."
                return self._journal(action, markup.remark(sentence, action.marker))
            case Close():
                return self._close(action, action.effect)
            case Reopen(reason=reason):
                return self._reopen(action, reason)
            case Route(group=group, reason=reason):
                return self._set(action, {"group": group}, f"Routed to {group or 'nobody'}: {reason}.")
            case SetFields(fields=fields, reason=reason):
                return self._set(action, fields, f"Changed {', '.join(sorted(fields))}: {reason}.")
            case CreateTicket():
                return self._create(action, action.effect)
            case DraftChange():
                return self._draft_change(action, action.effect)
            case CancelChange(handle=handle, reason=reason):
                return self._cancel_change(action, handle, reason)
        raise Permanent(f"{action.effect.kind} is not written here; look in files.py.", where=mapping.DESK)

    def _journal(self, action: Action, text: str) -> Receipt:
        ticket = _ticket(action)
        self._put(ticket, {"work_notes": text}, ("sys_id",))
        return Receipt(handle=action.marker, url=ticket.url)

    def _close(self, action: Action, effect: Close) -> Receipt:
        ticket, row = self._read(action)
        if raw(row, "state") in mapping.ENDED:
            raise Permanent(
                f"{ticket.key} is {shown(row, 'state').lower()} already; there is nothing left to close.",
                where=mapping.DESK,
            )
        wanted = {
            "state": mapping.RESOLVED,
            "close_code": self._client.config.close_code,
            "close_notes": markup.neutral(effect.reason),
            "work_notes": markup.note(effect.draft, action.marker),
        }
        return self._update(action, ticket, wanted, {"state": raw(row, "state")})

    def _reopen(self, action: Action, reason: str) -> Receipt:
        ticket, row = self._read(action)
        before = {"state": raw(row, "state")}
        wanted = {"work_notes": markup.remark(f"Reopened: {reason}.", action.marker, before)}
        if raw(row, "state") in mapping.ENDED:  # else a person reopened it, perhaps in a state of their own
            wanted["state"] = mapping.IN_PROGRESS
        return self._update(action, ticket, wanted, before)

    def _set(self, action: Action, fields: Mapping[str, str], sentence: str) -> Receipt:
        ticket, row = self._read(action)
        wanted, before = self._theirs(fields), _before(fields, row)
        wanted["work_notes"] = markup.remark(sentence, action.marker, before)
        return self._update(action, ticket, wanted, before)

    def _create(self, action: Action, effect: CreateTicket) -> Receipt:
        wanted = {
            "short_description": effect.title,
            "description": markup.neutral(effect.description),
            "correlation_id": mapping.correlation_of(effect.correlation),
            "correlation_display": action.marker,
            **self._theirs({"group": effect.group, "service": effect.service, "ci": effect.ci}, known=True),
        }
        row = self._client.insert(mapping.DESK_TABLE, wanted, ("sys_id", "number", "correlation_id"))
        return receipt_of_ticket(row, self._client.url)

    def _draft_change(self, action: Action, effect: DraftChange) -> Receipt:
        if effect.type == "standard" and not effect.template:
            raise Permanent(
                "A standard change needs its template; write its sys_id into the policy as change.template.",
                where=mapping.DESK,
            )
        wanted = {
            "short_description": effect.title,
            "description": markup.neutral(effect.description),
            "correlation_id": action.marker,
            **({"parent": action.ticket.id} if action.ticket else {}),
            **self._theirs({"group": effect.group, "ci": effect.ci}, known=True),
        }
        template = effect.template if effect.type == "standard" else ""
        row = self._client.new_change(effect.type, template, wanted)
        _refuse_ignored(row, _ESSENTIAL_OF_TEMPLATE if template else _ESSENTIAL)
        return receipt_of_change(row, self._client.url)

    def _cancel_change(self, action: Action, handle: str, reason: str) -> Receipt:
        row = change_by(self._client, handle)
        if raw(row, "state") != mapping.CHANGE_NEW:
            raise Permanent(
                f"{raw(row, 'number')} is no draft any more, so a person has taken it on; cancel it by hand.",
                where=mapping.DESK,
            )
        note = markup.remark(f"Cancelled: {reason}.", action.marker)
        wanted = {"state": mapping.CHANGE_CANCELLED, "work_notes": note}
        after = self._client.update_change(raw(row, "sys_id"), wanted)
        _refuse_kept(after, {"state": mapping.CHANGE_CANCELLED}, raw(row, "number"))
        return receipt_of_change(row, self._client.url)

    def _read(self, action: Action) -> tuple[TicketRef, Row]:
        ticket = _ticket(action)
        return ticket, self._client.row(mapping.DESK_TABLE, ticket.id, _SHOWN)

    def _update(
        self, action: Action, ticket: TicketRef, wanted: Mapping[str, str], before: Mapping[str, str]
    ) -> Receipt:
        row = self._put(ticket, wanted, _SHOWN)
        _refuse_kept(row, wanted, ticket.key)
        return Receipt(handle=action.marker, url=ticket.url, before=before)

    def _put(self, ticket: TicketRef, wanted: Mapping[str, str], fields: tuple[str, ...]) -> Row:
        """Updates a ticket. What is closed can often be written by nobody: that is no lack of a right of ours."""
        try:
            return self._client.update(mapping.DESK_TABLE, ticket.id, wanted, fields)
        except Denied as denied:
            now = self._client.row(mapping.DESK_TABLE, ticket.id, ("active",))
            if denied.status != 403 or raw(now, "active") != "false":
                raise
            raise Permanent(
                f"{ticket.key} is closed, and ServiceNow lets us write nothing there any more ({denied}).",
                where=mapping.DESK,
                status=403,
            ) from denied

    def _theirs(self, fields: Mapping[str, str], *, known: bool = False) -> dict[str, str]:
        """Our fields as theirs. `known` leaves out those without a value."""
        wanted: dict[str, str] = {}
        for ours, value in fields.items():
            if known and not value:
                continue
            if ours == "priority":
                wanted["impact"], wanted["urgency"] = _impact_urgency(value)
            elif ours == "state" and value == "cancelled":
                wanted["state"] = mapping.CANCELLED
            elif ours in mapping.FIELDS:
                wanted[mapping.FIELDS[ours]] = self._names.id_of(ours, value) if ours in TABLES else value
            else:
                raise Permanent(
                    f'"{ours}" can\'t be set to "{value[:40]}" in ServiceNow; '
                    f"use one of {', '.join(mapping.FIELDS)}, priority.",
                    where=mapping.DESK,
                )
        return wanted


def change_by(client: ServiceNowClient, handle: str) -> Row:
    """A change request by its number. Raises Permanent where there is none."""
    fields = ("sys_id", "number", "state", "correlation_id")
    for row in client.rows("change_request", f"number={quoted(handle)}", fields, limit=1).rows:
        if raw(row, "number") == handle:
            return row
    raise Permanent(f"ServiceNow has no change request {handle[:40]} any more.", where=mapping.DESK)


def receipt_of_ticket(row: Row, url: str, *, found: bool = False) -> Receipt:
    made = mapping.ref(row, url)
    return Receipt(handle=made.key, url=made.url, found=found, made=made)


def receipt_of_change(row: Row, url: str, *, found: bool = False) -> Receipt:
    made = mapping.ref(row, url, "change_request")
    return Receipt(handle=made.key, url=made.url, found=found, made=made)


def _ticket(action: Action) -> TicketRef:
    if action.ticket is None:
        raise Permanent(
            f"Action {action.key} has no ticket to be done on; plan it again.", where=mapping.DESK
        )
    return action.ticket


def _before(fields: Mapping[str, str], row: Row) -> dict[str, str]:
    """What the fields were, in words that `_theirs` takes back. A priority is what it is computed from."""
    before: dict[str, str] = {}
    for ours in fields:
        if ours == "priority":
            before |= {"impact": raw(row, "impact"), "urgency": raw(row, "urgency")}
        elif ours in mapping.FIELDS:
            theirs = mapping.FIELDS[ours]
            before[ours] = shown(row, theirs) if ours in TABLES else raw(row, theirs)
    return before


def _impact_urgency(value: str) -> tuple[str, str]:
    """From `2`, `2 - High`, `P2` or `high`. Raises Permanent."""
    if value[:1] in mapping.IMPACT_URGENCY:
        return mapping.IMPACT_URGENCY[value[:1]]
    try:
        return mapping.IMPACT_URGENCY[mapping.PRIORITIES[Severity.parse(value)]]
    except ValueError as odd:
        raise Permanent(f"ServiceNow has no such priority: {odd}", where=mapping.DESK) from odd


def _refuse_kept(row: Row, wanted: Mapping[str, str], key: str) -> None:
    """The Table API drops fields that we may not write without a word: what comes back tells."""
    for name in sorted(wanted):
        if name in row and raw(row, name) != wanted[name]:
            raise Permanent(
                f"ServiceNow kept {name} of {key} as it was; let the integration user write it (role itil).",
                where=mapping.DESK,
            )


def _refuse_ignored(row: Row, essential: frozenset[str]) -> None:
    meta = row.get("__meta")
    ignored = meta.get("ignoredFields", ()) if isinstance(meta, Mapping) else ()
    lost = sorted(essential & set(ignored))
    if lost:
        raise Permanent(
            f"ServiceNow made {raw(row, 'number')} but ignored {', '.join(lost)}; "
            f"let the integration user write it (role sn_change_write) and cancel that change by hand.",
            where=mapping.DESK,
        )
    if ignored:
        _log.warning("servicenow.change_fields_ignored", change=raw(row, "number"), fields=list(ignored))
