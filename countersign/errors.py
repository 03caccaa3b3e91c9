"""The errors of Countersign: what went wrong, and which of four ways it is handled.

Every message is one sentence that says what to do. Vendor errors are decided where the status is read
(connectors) and handled in one place (the Task base in workers).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta


class CountersignError(Exception):
    """Base: its message is one sentence that says what to do."""


class ConfigError(CountersignError):
    """A setting is missing or wrong."""


class UnreadableAlert(CountersignError):
    """A source's payload that can't be mapped to an Alert; it goes to the dead letters with its payload."""


class UnreadableAnswer(CountersignError):
    """A model's answer that is not an assessment."""


class NotFound(CountersignError):
    """Something was asked for by an id that the ledger does not hold."""


class LeaseLost(CountersignError):
    """Another worker holds the lease now: what this one found out must not be written."""


class OutsideError(CountersignError):
    """Another system did not do what it was asked. `where` names it, `status` is its HTTP status or None.

    `parameters` are what a model's request said besides its words, where one was sent; `micro_usd` is what it may
    have cost all the same.
    """

    def __init__(self, message: str, *, where: str, status: int | None = None) -> None:
        super().__init__(message)
        self.where = where
        self.status = status
        self.parameters: Mapping[str, float] = {}
        self.micro_usd = 0


class Transient(OutsideError):
    """Will pass: try again, not before `retry_after` when the vendor names a time."""

    def __init__(
        self, message: str, *, where: str, status: int | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, where=where, status=status)
        self.retry_after = retry_after


class Unreached(Transient):
    """Nobody took the connection: nothing was asked, and nothing can have been billed."""


class Permanent(OutsideError):
    """Will not pass by trying again: dead letter with the reason, replayable."""


class TooLong(Permanent):
    """A model's answer that was cut off before its end: nobody knows what it cost."""


class Denied(OutsideError):
    """401 or 403: stop using the connector, tell its owner, keep the work."""


class OverBudget(OutsideError):
    """A model call that was not made, because the budget does not pay for it or can't be kept now."""


class Unsure(OutsideError):
    """A write that may have happened: look for its marker before anything else."""
