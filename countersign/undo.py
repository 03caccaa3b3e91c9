"""Undo: what takes a done action back, and when a person has to do it instead."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.actions import (
    Action,
    Close,
    CreateTicket,
    DraftChange,
    Effect,
    Note,
    Route,
    SetFields,
    inverse,
)
from countersign.tickets import ChangeKind, Receipt, Ticket, TicketChange, ticket_of

# Fields of a ticket that can be compared with what we wrote; a desk has words of its own for the others.
_COMPARABLE = ("category", "ci", "group")
# A desk's clock and its whole seconds are not the ledger's: rather list one too many for people.
SKEW = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which actions to take back. What is empty selects nothing by it; `prompt` is its name or its hash."""

    case_id: str = ""
    use_case: str = ""
    policy_version: int | None = None
    prompt: str = ""
    model: str = ""
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Undoable:
    """A done action, what its desk said, and what people changed in its ticket afterwards, oldest first.

    `back` is the key of the action that takes it back already, or ""; `given_up` why that one is a dead letter, or "".
    """

    action: Action
    receipt: Receipt
    done_at: datetime
    since: tuple[TicketChange, ...] = ()
    back: str = ""
    given_up: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """What an action takes back, when that was done, and its marker."""

    effect: Effect
    done_at: datetime
    marker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """An action that a person has to look at, and why as a sentence."""

    key: str
    case_id: str
    desk: str
    ticket: str
    kind: str
    why: str


def back_key(key: str) -> str:
    """The key of the action that takes this one back: 16 hex characters, the same for every rollback."""
    return hashlib.sha256(f"undo:{key}".encode()).hexdigest()[:16]


def take_back(done: Undoable, *, seq: int, by_people: Mapping[str, str]) -> Action | Review:
    """The action that takes `done` back, or why a person has to.

    `by_people` has the desks where a state must not be changed back by a machine, with the reason.
    """
    action = done.action
    why = _why_not(done, by_people)
    back = None if why else inverse(action.effect, done.receipt)
    if back is None:
        return review(action, why or f"{action.effect.kind} has nothing that takes it back.")
    made = isinstance(action.effect, CreateTicket)
    return Action(
        key=back_key(action.key),
        case_id=action.case_id,
        use_case=action.use_case,
        desk=action.desk,
        ticket=ticket_of(action.desk, done.receipt) if made else action.ticket,
        effect=back,
        seq=seq,
    )


def review(action: Action, why: str) -> Review:
    return Review(
        key=action.key,
        case_id=action.case_id,
        desk=action.desk,
        ticket=action.ticket.key if action.ticket else "",
        kind=action.effect.kind,
        why=why,
    )


def is_touchable(effect: Effect) -> bool:
    """Whether people can have changed what it wrote; of a drafted change request its desk says so by itself."""
    return isinstance(effect, Note) or type(effect) in _TOUCHING


def touched(effect: Effect, marker: str, since: Iterable[TicketChange]) -> str:
    """Who has changed what `effect` wrote under this marker, as a sentence; "" if no person has."""
    found = next((one for one in since if _touches(effect, one) or _writes_over(effect, marker, one)), None)
    return (
        f"{found.author} has changed it on {found.at:%Y-%m-%d %H:%M} UTC; it is left as it is."
        if found
        else ""
    )


def overwritten(effect: Effect, now: Ticket | None) -> str:
    """Why the ticket as it is now must not be changed back, as a sentence; "" if it still is as `effect` left it.

    `now` is the ticket if it is open, else None. Asked right before the write: people go on working.
    """
    match effect:
        case Close():
            return "The ticket is open again already; a person has reopened it." if now is not None else ""
        case Route(group=group):
            return _differs({"group": group}, now)
        case SetFields(fields=fields):
            return _differs({name: fields[name] for name in fields if name in _COMPARABLE}, now)
        case CreateTicket() if now is None:
            return "The ticket is not open any more; a person has ended it."
        case CreateTicket() if now is not None and now.assignee:
            return f"{now.assignee} has taken the ticket; ask before it is cancelled."
    return ""


def _differs(wrote: Mapping[str, str], now: Ticket | None) -> str:
    if now is None:
        return "The ticket is not open any more; a person has ended it."
    for name, value in wrote.items():
        if _bare(found := str(getattr(now, name))) != _bare(value):
            return f'A person has changed {name} to "{found}" since; it is left so.'
    return ""


def _bare(text: str) -> str:
    """Desks write a name in their own way: sre-platform may come back as SRE Platform."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _why_not(done: Undoable, by_people: Mapping[str, str]) -> str:
    effect = done.action.effect
    if why := touched(effect, done.action.marker, done.since):
        return why
    if done.action.desk in by_people and not isinstance(effect, Note | DraftChange):
        return by_people[done.action.desk]
    missing = [name for name in _fields(effect) if name not in done.receipt.before]
    if missing:
        return f"What {', '.join(missing)} was before is not known; look at the ticket's history."
    return ""


def _fields(effect: Effect) -> Sequence[str]:
    match effect:
        case Route():
            return ("group",)
        case SetFields(fields=fields):
            return [name for name in fields if name != "priority"]
    return ()


def _touches(effect: Effect, change: TicketChange) -> bool:
    """Whether a person's change is about what this effect wrote."""
    return not change.by_us and any(test(effect, change) for test in _TOUCHING.get(type(effect), ()))


def _writes_over(effect: Effect, marker: str, change: TicketChange) -> bool:
    """Whether a person has put words of their own into this note: they would be deleted with ours."""
    theirs = change.kind is ChangeKind.EDITED and not change.by_us
    return theirs and isinstance(effect, Note) and change.marker == marker


_Test = Callable[[Effect, TicketChange], bool]
_STATES = frozenset({ChangeKind.REOPENED, ChangeKind.RESOLVED})
_TOUCHING: Mapping[type, tuple[_Test, ...]] = {
    Close: (
        lambda _, change: change.kind in _STATES,
        lambda _, change: change.kind is ChangeKind.FIELD and change.field == "state",
    ),
    Route: (lambda _, change: change.kind is ChangeKind.FIELD and change.field == "group",),
    SetFields: (
        lambda effect, change: change.kind is ChangeKind.FIELD and change.field in effect.fields,  # type: ignore[union-attr]
    ),
    CreateTicket: (lambda _, __: True,),
}
