"""Ports: what the core and the workers ask of the outside, by role. No vendor's types, five methods or fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from countersign.actions import Action
from countersign.alerts import Alert
from countersign.confidence import SecondOpinion
from countersign.context import ConfigItem, RecentChange
from countersign.mails import Mail
from countersign.pinned import same_model
from countersign.policy.schema import Autonomy
from countersign.prompts import Prompt
from countersign.tickets import Receipt, Ticket, TicketChange, TicketPage, TicketRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A payload that could not become an Alert, with the reason. `source_id` is its id, or a hash where it has none."""

    source_id: str
    reason: str
    payload: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What one read of a source gave; `cursor` is where to read on from (opaque text, recorded with the page)."""

    alerts: tuple[Alert, ...]
    unreadable: tuple[Unreadable, ...]
    cursor: str


class Firing(StrEnum):
    """What a source says when it is asked again whether something still fires."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that `doctor` tried: what it is, whether it worked, and what to do if not.

    `needs` is the autonomy from which on it has to work: a policy that only observes can do without the rest.
    `warns`: nothing is broken, but somebody should read the detail.
    """

    what: str
    ok: bool
    detail: str
    needs: Autonomy = "observe"
    warns: bool = False


class AlertSource(Protocol):
    @property
    def name(self) -> str: ...

    def read(self, cursor: str | None) -> Iterator[Page]:
        """Pages since the cursor, oldest first, with an overlap (what was seen before is sorted out by the ledger).

        None starts at the source's configured look-back. Raises OutsideError; a repeated page token is Permanent.
        """
        ...

    def reread(self, payload: str) -> Alert | None:
        """The alert in the payload of an `Unreadable`, by today's mapping and without a call; None where it tells of
        none. Raises UnreadableAlert."""
        ...

    def still_firing(self, alerts: Sequence[Alert]) -> Firing:
        """Asks the source's API, not its text, whether any of these alerts fires now."""
        ...

    def check(self) -> Sequence[Check]:
        """What `doctor` shows for this connection: reached, allowed, per scope."""
        ...


class TicketLog(Protocol):
    """What happened in tickets."""

    def changes(self, cursor: str | None) -> Iterator[TicketPage]:
        """Tickets in scope that changed since the cursor and what people did in them, oldest first."""
        ...

    def changes_in(self, ticket: TicketRef, since: datetime) -> Sequence[TicketChange]:
        """What was done in one ticket since then, by anybody, as the desk has it now and not as its search lags."""
        ...


class Desk(TicketLog, Protocol):
    @property
    def name(self) -> str: ...

    def find(self, keys: Sequence[str]) -> Mapping[str, Ticket]:
        """The open tickets that carry these keys (an alert's dedup key, a source URL or a ticket id), by key."""
        ...

    def write(self, action: Action) -> Receipt:
        """Does the action once, leaving its marker. Raises Unsure when it may have happened all the same."""
        ...

    def probe(self, action: Action) -> Receipt | None:
        """Looks for the action's marker or native handle; None when it is not there."""
        ...

    def check(self) -> Sequence[Check]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A write of ours as its desk shows it: the key of its action, and the ticket as people know it."""

    key: str
    ticket: str


class Marked(Protocol):
    """What a desk holds of ours, by which the ledger is checked from the other side."""

    def marks(self, since: datetime) -> Iterator[tuple[Mark, ...]]:
        """Pages of our account's marked writes since then; one that a person quotes is none. Raises OutsideError."""
        ...


class Directory(Protocol):
    """Who is who at a desk: approvals depend on it."""

    def groups_of(self, person: str) -> frozenset[str]: ...


class Cmdb(Protocol):
    def item(self, *, ci: str, service: str) -> ConfigItem | None: ...

    def recent_changes(self, *, ci: str, service: str, since: datetime) -> Sequence[RecentChange]: ...


class LogSearch(Protocol):
    def lines(self, *, service: str, around: datetime, limit: int) -> Sequence[str]: ...

    def check(self) -> Sequence[Check]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """A model's answer and its bill; a `cached` one was paid for before.

    `confidence` is measured by the model itself (a classifier's margin) or None. `answered_by` is the model that
    the provider says gave the answer, in its words; "" where it does not say. `parameters` are what the request said
    besides its words (temperature, max_tokens, timeout, seed).
    """

    text: str
    model: str
    is_llm: bool
    tokens_in: int = 0
    tokens_out: int = 0
    micro_usd: int = 0
    latency_ms: int = 0
    confidence: float | None = None
    cached: bool = False
    answered_by: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def author(self) -> str:
        """The model whose answer it is: the one that was asked, unless another one says that it answered."""
        return self.model if same_model(self.model, self.answered_by) else self.answered_by


class Model(Protocol):
    @property
    def name(self) -> str: ...

    def most(self, prompt: Prompt) -> int | None:
        """What one call can cost at most, in micro-dollars: 0 where it is free, None where no price is known."""
        ...

    def complete(self, prompt: Prompt) -> Completion:
        """Answers one closed question. Raises OutsideError when it does not answer in time or at all."""
        ...


class Reader(Model, Protocol):
    """A model of our own process that can also be asked for category and severity alone, of many texts at once."""

    def read(self, texts: Sequence[str], categories: Sequence[str]) -> Sequence[SecondOpinion]:
        """What each text (in the form of a case's text) reads as, and how sure that is."""
        ...


class Answers(Protocol):
    """Answers that were paid for, by the hash of the question; forgetful by nature."""

    def find(self, key: str) -> Completion | None: ...

    def keep(self, key: str, completion: Completion) -> None: ...

    def close(self) -> None: ...


class Mailer(Protocol):
    def send(self, mail: Mail) -> None:
        """Returns once it was taken. Raises OutsideError; Unsure if it may have been taken all the same."""
        ...

    def check(self) -> Check: ...


__all__ = [
    "Action", "AlertSource", "Answers", "Check", "Cmdb", "Completion", "Desk", "Directory", "Firing", "LogSearch",
    "Mailer", "Mark", "Marked", "Model", "Page", "Reader", "Receipt", "Ticket", "TicketPage", "TicketRef",
    "Unreadable",
]  # fmt: skip
