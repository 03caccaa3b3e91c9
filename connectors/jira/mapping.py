"""Jira's records in our words: issues as tickets and alerts, comments and changelog as changes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from connectors.jira.client import Json
from connectors.jira.markup import said_in, text_of
from countersign.alerts import Alert, AlertState
from countersign.errors import UnreadableAlert
from countersign.severity import Severity
from countersign.tickets import ChangeEnd, ChangeKind, Ticket, TicketChange, TicketRef, TicketState

DESK = "jira"
INTERNAL = "sd.public.comment"
TICKET_FIELDS = (
    "summary",
    "description",
    "status",
    "resolution",
    "resolutiondate",
    "created",
    "updated",
    "labels",
    "components",
    "priority",
    "assignee",
    # Seconds of its own work log. The aggregate holds its subtasks too, which are tickets of their own.
    "timespent",
)
_MARK = re.compile(r"\bcountersign[:-]([0-9a-f]{16})\b")
_LABEL = re.compile(r"[^\s\"\\]{1,255}")
# A century: more is a mistake.
_MOST_SECONDS = 36_525 * 86_400
# What statuses and resolutions of change workflows are called; the worst that a change has counts. "Done" says only
# that it is over.
_FAILURES = frozenset({"failed", "unsuccessful", "rolled back"})
_CANCELLED = frozenset(
    {"canceled", "cancelled", "declined", "rejected", "won't do", "duplicate", "cannot reproduce"}
)
_SUCCESSES = frozenset({"completed", "implemented", "successful"})
_STATES = {"done": TicketState.RESOLVED}
_FIELDS = {"priority": "priority", "assignee": "assignee", "issuetype": "type", "resolution": "close_code"}
# That they changed is of interest; their words are not kept.
_WORDY = {"summary": "title", "description": "description"}


def to_ticket(issue: Json, url: str, places: Mapping[str, str]) -> Ticket:
    """Raises UnreadableAlert when the site does not show what makes a ticket."""
    fields = _fields_in(issue)
    missing = [name for name in ("summary", "status", "created", "updated") if not fields.get(name)]
    if missing or not issue.get("key"):
        raise UnreadableAlert(
            f"An issue without {', '.join(missing) or 'key'} can't be read; let the integration user see it."
        )
    ended = fields.get("resolutiondate")
    return Ticket(
        ref=ref(issue, url),
        title=str(fields["summary"]),
        state=_STATES.get(category_of(fields["status"]), TicketState.OPEN),
        version=str(fields["updated"]),
        opened_at=when(fields["created"]),
        updated_at=when(fields["updated"]),
        description=text_of(fields.get("description")),
        category=value_at(fields, places.get("category", "")),
        priority=_name(fields.get("priority")),
        group=value_at(fields, places.get("group", "")),
        assignee=_name(fields.get("assignee")),
        service=value_at(fields, places.get("service", "")),
        ci=value_at(fields, places.get("ci", "")),
        tags=tuple(str(label) for label in _list(fields.get("labels"))),
        resolved_at=when(ended) if ended else None,
        worked=_worked(fields.get("timespent")),
    )


def _fields_in(issue: Json) -> Mapping[str, Any]:
    """The fields of an issue. Raises UnreadableAlert where there is something else in their place."""
    fields = issue.get("fields") or {}
    if not isinstance(fields, Mapping):
        raise UnreadableAlert("An issue whose fields are no object can't be read; look at the payload.")
    return fields


def to_alert(ticket: Ticket) -> Alert:
    """A ticket that was born in the desk, as the alert that starts its case."""
    try:
        severity = Severity.parse(ticket.priority)
    except ValueError:
        severity = Severity.MEDIUM
    return Alert(
        source=DESK,
        source_id=ticket.ref.id,
        dedup_key=f"{DESK}:{ticket.ref.key}",
        state=AlertState.FIRING if ticket.state is TicketState.OPEN else AlertState.RECOVERED,
        occurred_at=ticket.opened_at,
        summary=ticket.title,
        severity=severity,
        body=ticket.description,
        service=ticket.service,
        ci=ticket.ci,
        group=ticket.group,
        tags=ticket.tags,
        link=ticket.ref.url,
        details={"number": ticket.ref.key, "category": ticket.category, "priority": ticket.priority},
        ticket=ticket.ref,
    )


def ref(issue: Json, url: str) -> TicketRef:
    key = str(issue["key"])
    return TicketRef(desk=DESK, id=str(issue.get("id", key)), key=key, url=f"{url}/browse/{key}")


def fields_of(places: Mapping[str, str]) -> tuple[str, ...]:
    """What has to be asked for to read a ticket whose group, category, service and ci live in these places."""
    own = {place.removeprefix("option:") for place in places.values()}
    return (
        *TICKET_FIELDS,
        *sorted(name for name in own if not name.startswith("label:") and name not in TICKET_FIELDS),
    )


def label_of(key: str) -> str:
    """The key as a label: itself, or a hash where a label can't hold it."""
    if _LABEL.fullmatch(key):
        return key
    return f"countersign-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def labels_of(key: str) -> tuple[str, ...]:
    """All labels under which a ticket of this key may be: ours, and the key as others write it."""
    return tuple(dict.fromkeys((label_of(key), key[:255])))


def category_of(status: object) -> str:
    """new, indeterminate or done; "" for something else."""
    category = status.get("statusCategory") if isinstance(status, Mapping) else None
    return str(category.get("key", "")) if isinstance(category, Mapping) else ""


def value_at(fields: Mapping[str, object], place: str) -> str:
    """What one of our fields holds, given where it lives."""
    if place.startswith("label:"):
        labels = [str(label) for label in _list(fields.get("labels"))]
        return in_labels(labels, place)
    value = fields.get(place.removeprefix("option:"))
    return _name(value[0] if isinstance(value, list) and value else value)


def in_labels(labels: Sequence[str], place: str) -> str:
    """The value of the first label that belongs to the place; spaces are written as %20 there."""
    prefix = f"{place.removeprefix('label:')}:"
    found = [label.removeprefix(prefix) for label in labels if label.startswith(prefix)]
    return unquote(found[0]) if found else ""


def label_at(place: str, value: str) -> str:
    return f"{place.removeprefix('label:')}:{quote(value, safe='.:@/|=+#-')}"


def comments(issue: Json, url: str, us: str, *, customers: bool) -> Iterator[TicketChange]:
    """The comments that came along with an issue. Without customers all are internal."""
    page = (issue.get("fields") or {}).get("comment") or {}
    for comment in page.get("comments") or ():
        yield comment_change(comment, ref(issue, url), us, customers=customers)


def edited_comment(comment: Json, of: TicketRef, us: str) -> TicketChange | None:
    """Somebody else's edit of a comment of ours; None where there is none. Jira keeps the newest words alone."""
    editor = comment.get("updateAuthor") or {}
    by, updated = str(editor.get("accountId", "")), comment.get("updated")
    ours = str((comment.get("author") or {}).get("accountId", "")) == us
    if not ours or not by or by == us or not updated:
        return None
    text = text_of(comment.get("body"))
    return TicketChange(
        id=f"comment:{comment['id']}:{updated}",
        ref=of,
        kind=ChangeKind.EDITED,
        author=by,
        at=when(updated),
        field="note",
        after=text,
        by_bot=_is_app(editor),
        marker=_marker_of(comment, text),
    )


def comment_change(comment: Json, of: TicketRef, us: str, *, customers: bool) -> TicketChange:
    """A comment by whoever wrote the words that stand there: written over, it is said anew, by the editor."""
    wrote, created, updated = comment.get("author") or {}, comment["created"], comment.get("updated")
    by_us = _account(wrote) == us
    editor = comment.get("updateAuthor") or wrote
    anew = not by_us and bool(updated) and (updated, _account(editor)) != (created, _account(wrote))
    if anew:
        wrote = editor
    return TicketChange(
        id=f"comment:{comment['id']}:{updated}" if anew else f"comment:{comment['id']}",
        ref=of,
        kind=ChangeKind.COMMENT,
        author=_account(wrote),
        at=when(updated if anew else created),
        text=said_in(comment.get("body")),
        internal=not customers or is_internal(comment),
        by_us=by_us,
        by_bot=_is_app(wrote),
    )


def _account(user: Json) -> str:
    return str(user.get("accountId", ""))


def is_internal(comment: Json) -> bool:
    """Whether customers can't see it: by the property, else by the flag that Jira derives from it."""
    for entry in comment.get("properties") or ():
        if entry.get("key") == INTERNAL:
            value = entry.get("value")
            return isinstance(value, Mapping) and value.get("internal") in (True, "true")
    return comment.get("jsdPublic") is False


def field_changes(
    history: Json, of: TicketRef, us: str, places: Mapping[str, str], categories: Mapping[str, str]
) -> Iterator[TicketChange]:
    """What one entry of the changelog says. `categories` are those of the statuses seen so far, by id."""
    author, items = str((history.get("author") or {}).get("accountId", "")), history.get("items") or ()
    for item in items:
        for name, kind, before, after in _read_item(item, items, places, categories):
            yield TicketChange(
                id=f"change:{history['id']}:{name}",
                ref=of,
                kind=kind,
                author=author,
                at=when(history["created"]),
                field=name,
                before=before,
                after=after,
                by_us=author == us,
                by_bot=_is_app(history.get("author")),
            )


def edited_draft(histories: Sequence[Json], issue: Json, of: TicketRef, us: str) -> Iterator[TicketChange]:
    """What people wrote over in a change request that we drafted, until it was taken on: its state tells that."""
    marker = next((found for label in _labels(issue) if (found := _marker_in(label))), "")
    for history in sorted(histories, key=lambda one: when(one.get("created"))) if marker else ():
        items = history.get("items") or ()
        if any(_field(item) == "status" for item in items):
            return
        author = str((history.get("author") or {}).get("accountId", ""))
        for item in items:
            if _field(item) in _WORDY and author not in ("", us):
                yield TicketChange(
                    id=f"change:{history['id']}:{_field(item)}",
                    ref=of,
                    kind=ChangeKind.EDITED,
                    author=author,
                    at=when(history["created"]),
                    field=f"change {_WORDY[_field(item)]}",
                    before=str(item.get("fromString") or ""),
                    after=str(item.get("toString") or ""),
                    by_bot=_is_app(history.get("author")),
                    marker=marker,
                )


def change_end(issue: Json, url: str, cancelled: str) -> ChangeEnd | None:
    """How far a change request that we drafted has come; None for an issue without a label of ours.

    `cancelled` is the resolution that we give a draft which we take back.
    """
    marker = next((found for label in _labels(issue) if (found := _marker_in(label))), "")
    if not marker:
        return None
    fields = _fields_in(issue)
    over = category_of(fields.get("status")) == "done"
    resolution = _name(fields.get("resolution"))
    names = {name.casefold() for name in (_name(fields.get("status")), resolution)}
    failed, dropped = bool(names & _FAILURES), bool(names & (_CANCELLED | {cancelled.casefold()}))
    return ChangeEnd(
        ref=ref(issue, url),
        marker=marker,
        at=when(fields.get("resolutiondate") or fields.get("updated")) if over else None,
        code=resolution or _name(fields.get("status")),
        failed=True if failed else False if names & _SUCCESSES else None,
        cancelled=dropped and not failed,
    )


def _field(item: Json) -> str:
    return str(item.get("fieldId") or item.get("field", ""))


def _labels(issue: Json) -> list[str]:
    fields = issue.get("fields")
    return [str(label) for label in _list(fields.get("labels"))] if isinstance(fields, Mapping) else []


def _is_app(user: object) -> bool:
    return isinstance(user, Mapping) and user.get("accountType") == "app"


def _marker_in(text: str) -> str:
    """The marker of an action of ours, from a text or from a label (countersign-…); "" without one."""
    found = _MARK.search(text)
    return f"countersign:{found[1]}" if found else ""


def _marker_of(comment: Json, text: str) -> str:
    """By the property, which people don't see, else by what they left of our last line."""
    for entry in comment.get("properties") or ():
        value = entry.get("value")
        if entry.get("key") == "countersign" and isinstance(value, Mapping):
            return str(value.get("marker", ""))
    return _marker_in(text)


def _read_item(
    item: Json, items: Sequence[Json], places: Mapping[str, str], categories: Mapping[str, str]
) -> Iterator[tuple[str, ChangeKind, str, str]]:
    field = str(item.get("fieldId") or item.get("field", ""))
    before, after = str(item.get("fromString") or ""), str(item.get("toString") or "")
    if field == "status":
        yield "state", _kind(item, items, categories), before, after
    elif field in _WORDY:
        yield _WORDY[field], ChangeKind.FIELD, "", ""
    elif field == "labels":
        for name, place in places.items():
            pair = in_labels(before.split(), place), in_labels(after.split(), place)
            if place.startswith("label:") and pair[0] != pair[1]:
                yield name, ChangeKind.FIELD, *pair
    else:
        named = {place.removeprefix("option:"): name for name, place in places.items()} | _FIELDS
        if field in named:
            yield named[field], ChangeKind.FIELD, before, after


def _kind(item: Json, items: Sequence[Json], categories: Mapping[str, str]) -> ChangeKind:
    """Where a status is not known yet, the resolution that was set or cleared with it decides."""
    resolutions = [other for other in items if (other.get("fieldId") or other.get("field")) == "resolution"]
    now, then = categories.get(str(item.get("to")), ""), categories.get(str(item.get("from")), "")
    ended = now == "done" or any(other.get("toString") for other in resolutions)
    was_ended = then == "done" or any(
        other.get("fromString") and not other.get("toString") for other in resolutions
    )
    if ended and then != "done":
        return ChangeKind.RESOLVED
    if was_ended and not ended:
        return ChangeKind.REOPENED
    return ChangeKind.ACKNOWLEDGED if now == "indeterminate" and then in ("new", "") else ChangeKind.FIELD


def when(value: object) -> datetime:
    """A time of theirs: ISO with an offset, or milliseconds since 1970. Raises UnreadableAlert."""
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value / 1000, UTC)
        at = datetime.fromisoformat(str(value))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise UnreadableAlert(f'"{str(value)[:40]}" is not a time of Jira\'s; look at the payload.') from None


def _worked(seconds: object) -> timedelta | None:
    """Nothing logged, or what is no span of time, says nothing about how long people worked."""
    if not isinstance(seconds, int) or not 0 < seconds <= _MOST_SECONDS:
        return None
    return timedelta(seconds=seconds)


def _name(value: object) -> str:
    """What people call a value: a name, an option's value, or the text itself."""
    if isinstance(value, Mapping):
        return str(value.get("displayName") or value.get("name") or value.get("value") or "")
    return "" if value is None or isinstance(value, list) else str(value)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
