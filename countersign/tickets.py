"""Tickets: a desk's record as we know it, and what happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class TicketState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketRef:
    """Names a ticket: `id` is what the desk's API takes, `key` is what people call it (INC0010023, OPS-7)."""

    desk: str
    id: str
    key: str
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket as last read. `version` changes whenever the desk's record changes (it is opaque).

    `worked`: how long people worked on it, as its desk tells; None where nobody logged any time, which is not none.
    """

    ref: TicketRef
    title: str
    state: TicketState
    version: str
    opened_at: datetime
    updated_at: datetime
    description: str = ""
    category: str = ""
    priority: str = ""
    group: str = ""
    assignee: str = ""
    service: str = ""
    ci: str = ""
    tags: tuple[str, ...] = ()
    updated_by: str = ""
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    worked: timedelta | None = None


class ChangeKind(StrEnum):
    """What people do to a ticket. COMMENT carries `/countersign …` words; FIELD carries from and to.

    EDITED is a change of a draft of ours (a note, a drafted change request) that nobody had taken on yet.
    """

    COMMENT = "comment"
    FIELD = "field"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    EDITED = "edited"


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketChange:
    """One change in a ticket by somebody. `id` is the desk's own, so that a change is counted once.

    `internal` is False for anything a customer can see or write: such comments never command. `by_bot`: the desk
    says that an app did it. `marker` names the draft of ours that was edited; where the desk does not tell what it
    said before, `before` is empty.
    """

    id: str
    ref: TicketRef
    kind: ChangeKind
    author: str
    at: datetime
    field: str = ""
    before: str = ""
    after: str = ""
    text: str = ""
    internal: bool = True
    by_us: bool = False
    by_bot: bool = False
    marker: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeEnd:
    """How far a change request has come that bears the `marker` of an action of ours.

    `at`: when it ended, None while it is open (or open again). `code`: the desk's own word for how it ended, `failed`
    what that means, None where it does not say. `cancelled`: it was never carried out.
    """

    ref: TicketRef
    marker: str
    at: datetime | None
    code: str = ""
    failed: bool | None = None
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketPage:
    """Tickets that changed and what changed in them; `cursor` is where to read on from (opaque text). `ends` tells of
    change requests."""

    tickets: tuple[Ticket, ...]
    changes: tuple[TicketChange, ...]
    cursor: str
    ends: tuple[ChangeEnd, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What a desk gave back for a write: its handle of the effect, and what the field was before.

    `before` is the before-image that an undo needs, in the desk's words. `made` names the ticket or the
    change request that the write brought into being.
    """

    handle: str
    url: str = ""
    before: Mapping[str, str] = field(default_factory=dict)
    found: bool = False
    made: TicketRef | None = None


def ticket_of(desk: str, receipt: Receipt) -> TicketRef:
    """The ticket that a `create_ticket` made; where the receipt does not name it, its handle is `id|key` or the id."""
    if receipt.made is not None:
        return receipt.made
    ticket_id, _, key = receipt.handle.partition("|")
    return TicketRef(desk=desk, id=ticket_id, key=key or ticket_id, url=receipt.url)
