"""Deliveries: one report on its way to one place, kept until it has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from countersign.undo import Review

Channel = Literal["mail", "record", "notice"]
Outcome = Literal["sent", "retry", "dead", "unsure", "taken_back"]
# How long to wait after each failure; the failure after the last of them is for people.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where something goes: a mail address, or a ticket as `jira:OPS-7`. A notice is a mail of a few sentences."""

    channel: Channel
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A report that this worker may deliver. `attempt` counts from 1; `in_doubt`: it may have arrived already.

    `back`: it has arrived, and is to be taken off its record again.
    `note` is a sentence for the report: that it is late, or that earlier ones were left out.
    """

    id: str
    use_case: str
    fire_time: datetime
    channel: Channel
    target: str
    note: str
    fence: int
    attempt: int
    in_doubt: bool
    back: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenBack:
    """What taking reports back came to: `planned` to be taken off their records, `dropped` before they were sent, and
    those that only people can do something about."""

    planned: int
    dropped: int
    review: tuple[Review, ...]


class DeliveryBook(Protocol):
    """The ledger's rows of deliveries."""

    def fire(self, use_case: str, *, when: str, zone: str, targets: Sequence[Target]) -> datetime | None:
        """Records once for all schedulers that a report is due, with its deliveries; gives the time it was due at.

        None if there is nothing new. Of several due times that were missed only the last is fired. The first time
        that a schedule is seen is its beginning: nothing is sent for the past.
        """
        ...

    def tell(self, use_case: str, event: str, *, to: str, text: str) -> bool:
        """Plans a notice to a mail address, once for its event; False if it was planned before. The text's first line
        is the mail's subject."""
        ...

    def due(self, *, limit: int) -> tuple[str, ...]: ...

    def claim(self, ids: Sequence[str], *, lease: timedelta) -> tuple[Delivery, ...]:
        """Those that are due, free, and of a use case that is not stopped."""
        ...

    def begin(self, delivery: Delivery) -> bool:
        """Records that it is being sent from now on. False if another worker has it, or it was stopped."""
        ...

    def settle(
        self, delivery: Delivery, outcome: Outcome, *, detail: str = "", again_in: timedelta = timedelta(0)
    ) -> None:
        """How it went, with its audit record. An old fence is passed over."""
        ...

    def take_back(self, use_case: str, *, since: datetime, by: str, dry_run: bool = False) -> TakenBack:
        """Plans that what was put on records since then is taken off, and drops what waits to be sent.

        "" stands for every use case. A mail can't be taken back: it is listed.
        """
        ...
