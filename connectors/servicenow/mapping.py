"""ServiceNow's records in our words: incidents as tickets and alerts, journal and audit rows as changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from connectors.servicenow.query import Row, is_askable, raw, shown
from countersign.alerts import Alert, AlertState
from countersign.context import RecentChange
from countersign.errors import UnreadableAlert
from countersign.severity import Severity
from countersign.tickets import ChangeEnd, ChangeKind, Ticket, TicketChange, TicketRef, TicketState

DESK = "servicenow"
DESK_TABLE = "incident"
_LONGEST_CORRELATION = 100
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# Their states of an incident. One that an instance added itself is judged by the flag `active`.
NEW, IN_PROGRESS, RESOLVED, CANCELLED = "1", "2", "6", "8"
ENDED = {"6": TicketState.RESOLVED, "7": TicketState.CLOSED, "8": TicketState.CLOSED}
CHANGE_NEW, CHANGE_CLOSED, CHANGE_CANCELLED = "-5", "3", "4"
# Their close codes of a change: whether it failed.
_FAILED = {"successful": False, "successful_issues": False, "unsuccessful": True}
DRAFT_FIELDS = (
    "sys_id", "number", "correlation_id", "state", "active", "close_code", "closed_at", "sys_updated_on",
)  # fmt: skip
# Our names of fields -> theirs.
FIELDS = {
    "category": "category",
    "subcategory": "subcategory",
    "impact": "impact",
    "urgency": "urgency",
    "group": "assignment_group",
    "assignee": "assigned_to",
    "ci": "cmdb_ci",
    "service": "business_service",
}
OURS = {theirs: ours for ours, theirs in FIELDS.items()} | {
    "priority": "priority",
    "state": "state",
    "short_description": "title",
    "description": "description",
    "close_code": "close_code",
}
# That they changed is of interest; their words are not kept.
WORDY = frozenset({"title", "description"})
# The instance computes an incident's priority from these two.
IMPACT_URGENCY = {"1": ("1", "1"), "2": ("1", "2"), "3": ("2", "2"), "4": ("2", "3"), "5": ("3", "3")}
SEVERITIES = {
    "1": Severity.CRITICAL,
    "2": Severity.HIGH,
    "3": Severity.MEDIUM,
    "4": Severity.LOW,
    "5": Severity.INFO,
}
PRIORITIES = {severity: priority for priority, severity in SEVERITIES.items()}
TICKET_FIELDS = (
    "sys_id",
    "number",
    "short_description",
    "description",
    "state",
    "active",
    "category",
    "priority",
    "assignment_group",
    "assigned_to",
    "business_service",
    "cmdb_ci",
    "correlation_id",
    "opened_at",
    "resolved_at",
    "closed_at",
    "time_worked",
    "sys_created_on",
    "sys_updated_on",
    "sys_updated_by",
    "sys_mod_count",
)
JOURNAL_FIELDS = ("sys_id", "element", "element_id", "value", "sys_created_on", "sys_created_by")
AUDIT_FIELDS = ("sys_id", "documentkey", "fieldname", "oldvalue", "newvalue", "user", "sys_created_on")


def to_ticket(row: Row, url: str) -> Ticket:
    """Raises UnreadableAlert when the instance does not show what names a ticket."""
    missing = [name for name in ("sys_id", "number", "state", "sys_updated_on") if not raw(row, name)]
    if missing:
        raise UnreadableAlert(
            f"An incident without {', '.join(missing)} can't be read; "
            f"let the integration user read these fields."
        )
    updated = when(raw(row, "sys_updated_on"))
    opened = raw(row, "opened_at") or raw(row, "sys_created_on")
    ended = raw(row, "resolved_at") or raw(row, "closed_at")
    return Ticket(
        ref=ref(row, url),
        title=raw(row, "short_description"),
        state=state_of(row),
        version=f"{raw(row, 'sys_updated_on')}/{raw(row, 'sys_mod_count')}",
        opened_at=when(opened) if opened else updated,
        updated_at=updated,
        description=raw(row, "description"),
        category=raw(row, "category"),
        priority=shown(row, "priority"),
        group=shown(row, "assignment_group"),
        assignee=shown(row, "assigned_to"),
        service=shown(row, "business_service"),
        ci=shown(row, "cmdb_ci"),
        updated_by=raw(row, "sys_updated_by"),
        resolved_at=when(ended) if ended else None,
        worked=_worked(raw(row, "time_worked")),
    )


def to_alert(ticket: Ticket) -> Alert:
    """A ticket that was born in the desk, as the alert that starts its case."""
    return Alert(
        source=DESK,
        source_id=ticket.ref.id,
        dedup_key=f"{DESK}:{ticket.ref.id}",
        state=AlertState.FIRING if ticket.state is TicketState.OPEN else AlertState.RECOVERED,
        occurred_at=ticket.opened_at,
        summary=ticket.title,
        severity=SEVERITIES.get(ticket.priority[:1], Severity.MEDIUM),
        body=ticket.description,
        service=ticket.service,
        ci=ticket.ci,
        group=ticket.group,
        link=ticket.ref.url,
        details={"number": ticket.ref.key, "category": ticket.category, "priority": ticket.priority},
        ticket=ticket.ref,
    )


def ref(row: Row, url: str, table: str = "incident") -> TicketRef:
    sys_id = raw(row, "sys_id")
    link = f"{url}/nav_to.do?uri={quote(f'{table}.do?sys_id={sys_id}', safe='')}"
    return TicketRef(desk=DESK, id=sys_id, key=raw(row, "number"), url=link)


def state_of(row: Row) -> TicketState:
    state = raw(row, "state")
    if state in ENDED:
        return ENDED[state]
    return TicketState.CLOSED if raw(row, "active") == "false" else TicketState.OPEN


def correlation_of(key: str) -> str:
    """The key as a correlation id: itself, or a hash where a field or a query can't carry it."""
    plain = len(key) <= _LONGEST_CORRELATION and "," not in key and is_askable(key)
    return key if plain else f"countersign-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def correlations_of(key: str) -> tuple[str, ...]:
    """All correlation ids under which a ticket of this key may be: ours, and the key as others write it."""
    raw_too = len(key) <= _LONGEST_CORRELATION and is_askable(key)
    return tuple(dict.fromkeys((correlation_of(key), *([key] if raw_too else []))))


def comment(row: Row, refs: Mapping[str, TicketRef], us: str) -> TicketChange:
    """A journal row. Work notes are internal; everything else in a journal reaches the caller."""
    author = raw(row, "sys_created_by")
    return TicketChange(
        id=raw(row, "sys_id"),
        ref=refs[raw(row, "element_id")],
        kind=ChangeKind.COMMENT,
        author=author,
        at=when(raw(row, "sys_created_on")),
        text=raw(row, "value"),
        internal=raw(row, "element") == "work_notes",
        by_us=same_user(author, us),
    )


def field_change(
    row: Row, refs: Mapping[str, TicketRef], us: str, names: Mapping[str, str]
) -> TicketChange | None:
    """An audit row; None for a field that means nothing to us. `names` are the names behind sys_ids."""
    field = OURS.get(raw(row, "fieldname"))
    if field is None:
        return None
    before, after, author = raw(row, "oldvalue"), raw(row, "newvalue"), raw(row, "user")
    if field in WORDY:
        before, after = "", ""
    return TicketChange(
        id=raw(row, "sys_id"),
        ref=refs[raw(row, "documentkey")],
        kind=_kind(before, after) if field == "state" else ChangeKind.FIELD,
        author=author,
        at=when(raw(row, "sys_created_on")),
        field=field,
        before=names.get(before, before),
        after=names.get(after, after),
        by_us=same_user(author, us),
    )


def edited_draft(row: Row, change: Row, us: str, url: str) -> TicketChange | None:
    """An audit row of a change request that we drafted: what somebody wrote over. None for anything else."""
    field, author = raw(row, "fieldname"), raw(row, "user")
    if OURS.get(field) not in WORDY or same_user(author, us):
        return None
    return TicketChange(
        id=raw(row, "sys_id"),
        ref=ref(change, url, "change_request"),
        kind=ChangeKind.EDITED,
        author=author,
        at=when(raw(row, "sys_created_on")),
        field=f"change {OURS[field]}",
        before=raw(row, "oldvalue"),
        after=raw(row, "newvalue"),
        marker=raw(change, "correlation_id"),
    )


def change_end(row: Row, url: str) -> ChangeEnd:
    """How far a change request that we drafted has come."""
    state, code = raw(row, "state"), raw(row, "close_code")
    over = state in (CHANGE_CLOSED, CHANGE_CANCELLED) or raw(row, "active") == "false"
    return ChangeEnd(
        ref=ref(row, url, "change_request"),
        marker=raw(row, "correlation_id"),
        at=when(raw(row, "closed_at") or raw(row, "sys_updated_on")) if over else None,
        code=code,
        failed=_FAILED.get(code),
        cancelled=state == CHANGE_CANCELLED,
    )


def recent_change(row: Row, url: str) -> RecentChange:
    at = raw(row, "start_date") or raw(row, "closed_at") or raw(row, "sys_updated_on")
    return RecentChange(
        key=raw(row, "number"),
        title=raw(row, "short_description"),
        at=when(at),
        by=shown(row, "assigned_to") or shown(row, "assignment_group"),
        url=ref(row, url, "change_request").url,
    )


def same_user(one: str, other: str) -> bool:
    """Whether two user names are the same to ServiceNow, which lets one log in in either case."""
    return one.casefold() == other.casefold()


def when(text: str) -> datetime:
    """A raw time of theirs: UTC without saying so. Raises UnreadableAlert for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise UnreadableAlert(
            f'"{text[:40]}" is not a time as ServiceNow stores it; read with raw values.'
        ) from None


def _worked(text: str) -> timedelta | None:
    """A span of theirs: a time since 1970. Nothing logged, or what is no span, says nothing about people's work."""
    try:
        return max(when(text) - _NO_TIME, timedelta()) or None
    except UnreadableAlert:
        return None


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _kind(before: str, after: str) -> ChangeKind:
    if after in ENDED and before not in ENDED:
        return ChangeKind.RESOLVED
    if before in ENDED and after not in ENDED:
        return ChangeKind.REOPENED
    return ChangeKind.ACKNOWLEDGED if (before, after) == (NEW, IN_PROGRESS) else ChangeKind.FIELD
