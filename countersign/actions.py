"""Actions: the closed set of effects that Countersign can have on a desk, each with its inverse."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from countersign.drafts import Draft
from countersign.tickets import Receipt, TicketRef

_MARKED = re.compile(r"countersign[:-]([0-9a-f]{16})$")


class _Effect(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CreateTicket(_Effect):
    kind: Literal["create_ticket"] = "create_ticket"
    title: str
    description: str
    correlation: str
    group: str = ""
    service: str = ""
    ci: str = ""


class Note(_Effect):
    """An internal note that people on the ticket read. Never visible to a customer."""

    kind: Literal["note"] = "note"
    draft: Draft


class RetractNote(_Effect):
    """Takes a note back: deleted where the desk can, else followed by a note that says it no longer holds."""

    kind: Literal["retract_note"] = "retract_note"
    handle: str
    reason: str


class Close(_Effect):
    """Resolves the ticket (the desk's reversible 'resolved', not its final 'closed') with the note that says why."""

    kind: Literal["close"] = "close"
    draft: Draft
    reason: str


class Reopen(_Effect):
    kind: Literal["reopen"] = "reopen"
    reason: str


class Route(_Effect):
    kind: Literal["route"] = "route"
    group: str
    reason: str


class SetFields(_Effect):
    """Sets fields by our names: category, priority, ci, group."""

    kind: Literal["set_fields"] = "set_fields"
    fields: dict[str, str]
    reason: str


class DraftChange(_Effect):
    """A change request in the desk's first, unapproved state."""

    kind: Literal["draft_change"] = "draft_change"
    type: Literal["normal", "standard", "emergency"]
    title: str
    description: str
    group: str = ""
    template: str = ""
    ci: str = ""


class CancelChange(_Effect):
    kind: Literal["cancel_change"] = "cancel_change"
    handle: str
    reason: str


class Attach(_Effect):
    """A text file on the ticket, for what is too long for a note. `name` is what people see behind our own prefix.

    Customers who see the ticket may see its files: what must stay internal does not belong in one.
    """

    kind: Literal["attach"] = "attach"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    media_type: Literal["text/plain", "text/markdown"] = "text/plain"
    text: Annotated[str, Field(max_length=1_000_000)]


class Detach(_Effect):
    """Takes a file of ours off the ticket."""

    kind: Literal["detach"] = "detach"
    handle: str
    reason: str


Effect = Annotated[
    CreateTicket
    | Note
    | RetractNote
    | Close
    | Reopen
    | Route
    | SetFields
    | DraftChange
    | CancelChange
    | Attach
    | Detach,
    Field(discriminator="kind"),
]
EFFECT: TypeAdapter[Effect] = TypeAdapter(Effect)
KINDS = (
    "create_ticket",
    "note",
    "retract_note",
    "close",
    "reopen",
    "route",
    "set_fields",
    "draft_change",
    "cancel_change",
    "attach",
    "detach",
)


class ActionState(StrEnum):
    """PLANNED waits for an approval. IN_DOUBT may have happened and is probed before it is tried again."""

    PLANNED = "planned"
    APPROVED = "approved"
    POSTING = "posting"
    DONE = "done"
    IN_DOUBT = "in_doubt"
    FAILED = "failed"
    DEAD = "dead"
    COMPENSATED = "compensated"
    DROPPED = "dropped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One effect on one desk. `key` is what makes it the same action however often it is planned.

    `ticket` is None while the ticket is still to be created by an earlier action of the case (`seq` orders them).
    """

    key: str
    case_id: str
    use_case: str
    desk: str
    ticket: TicketRef | None
    effect: Effect
    seq: int = 1
    needs_approval: bool = False

    @property
    def marker(self) -> str:
        """The text left in the other system, by which the effect is found again."""
        return f"countersign:{self.key}"

    @property
    def file_name(self) -> str:
        """The name of the file that this action attaches: by it the file is found again. "" for other effects."""
        return f"countersign-{self.key}-{self.effect.name}" if isinstance(self.effect, Attach) else ""

    @property
    def file_bytes(self) -> bytes:
        """The file itself, UTF-8, whose last line is the marker."""
        return f"{self.effect.text}\n\n{self.marker}\n".encode() if isinstance(self.effect, Attach) else b""

    @property
    def payload_hash(self) -> str:
        """64 hex characters over the exact effect, its desk and its case; an approval is bound to it.

        The ticket is not in it, because a ticket that is still to be created has no id when it is offered.
        """
        body = json.dumps(self.effect.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{self.desk}\x1f{self.case_id}\x1f{body}".encode()).hexdigest()

    @property
    def code(self) -> str:
        """What an engineer types to approve exactly this payload: `/countersign approve 7f3a`."""
        return self.payload_hash[:4]


def action_key(*, use_case: str, event: str, kind: str, target: str) -> str:
    """16 hex characters. Never built from a prompt's or a model's version, or an upgrade would double the effect."""
    return hashlib.sha256("\x1f".join((use_case, event, kind, target)).encode()).hexdigest()[:16]


def marked_key(text: str) -> str:
    """The key of the action whose marker ends this text; "" where none does."""
    found = _MARKED.search(text.rstrip())
    return found[1] if found else ""


def inverse(effect: Effect, receipt: Receipt) -> Effect | None:
    """The effect that takes `effect` back, given what the desk said when it was done; None if nothing needs to be."""
    before = receipt.before
    reasons = "rolled back"
    back: Effect | None = None
    match effect:
        case Note():
            back = RetractNote(handle=receipt.handle, reason=reasons)
        case Close():
            back = Reopen(reason=f"{reasons}: this ticket was closed by Countersign")
        case Route():
            back = Route(group=before.get("group", ""), reason=f"{reasons}: to the group that had it")
        case SetFields():
            back = SetFields(fields=dict(before), reason=reasons)
        case DraftChange():
            back = CancelChange(
                handle=receipt.handle, reason=f"{reasons}: this draft was made by Countersign"
            )
        case CreateTicket():
            back = SetFields(
                fields={"state": "cancelled"}, reason=f"{reasons}: this ticket was opened by Countersign"
            )
        case Attach():
            back = Detach(handle=receipt.handle, reason=reasons)
        case Reopen() | RetractNote() | CancelChange() | Detach():
            pass
    return back


def read_effect(data: Mapping[str, object]) -> Effect:
    """The effect that a ledger row holds. Raises pydantic.ValidationError for one that this version can't read."""
    return EFFECT.validate_python(data)
