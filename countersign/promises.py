"""Promises: what a use case may close by itself now, and the ledger's book that keeps it so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from countersign.labelling import Finding, Judgeable
from countersign.labels import Label
from countersign.monitors import Monitor
from countersign.thresholds.certificate import Certificate

if TYPE_CHECKING:
    from countersign.backtest import History


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A certificate in the ledger. `withdrawn_at` is None while it holds; `why` is the sentence people were told."""

    id: str
    rule: str
    at: datetime
    certificate: Certificate
    monitor: Monitor
    withdrawn_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The newest certificate of each category and versions of a use case."""

    issued: tuple[Issued, ...] = ()

    @property
    def demoted(self) -> frozenset[str]:
        """Rules of which a category has lost its certificate, and has no new one."""
        lost = {(one.rule, one.certificate.category) for one in self.issued if one.withdrawn_at is not None}
        held = {(one.rule, one.certificate.category) for one in self.issued if one.withdrawn_at is None}
        return frozenset(rule for rule, _ in lost - held)


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """An alarm: the rule drafts from now on. `case_id` is the case whose audit raised it."""

    case_id: str
    use_case: str
    issued: Issued


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopens:
    """How many tickets a use case has closed alone since then, and when each that was reopened was first."""

    use_case: str
    case_id: str
    closes: int
    at: tuple[datetime, ...]
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Relabelled:
    """What making labels anew came to, in cases: the same as before, new, another than before, no label any more."""

    same: int = 0
    new: int = 0
    changed: int = 0
    withdrawn: int = 0

    def __add__(self, other: Relabelled) -> Relabelled:
        return Relabelled(
            same=self.same + other.same,
            new=self.new + other.new,
            changed=self.changed + other.changed,
            withdrawn=self.withdrawn + other.withdrawn,
        )


class PromiseBook(Protocol):
    """Labels and certificates. What it writes is in the audit log."""

    def standing(self, use_case: str) -> Standing: ...

    def judgeable(self, case_ids: Sequence[str]) -> tuple[Judgeable, ...]:
        """Those of these cases that a close was wanted for, with what people told of them."""
        ...

    def record_findings(self, findings: Sequence[Finding]) -> tuple[Withdrawn, ...]:
        """Keeps labels, moves monitors by what is new, and withdraws certificates on alarm, all in one transaction.

        A finding counts once; one that turns from right to wrong counts again.
        """
        ...

    def told_of(self, use_case: str, *, after: str, limit: int) -> tuple[str, ...]:
        """Cases that have corrections or a label, in the order of their ids, from the one after `after` on."""
        ...

    def relabel(self, case_ids: Sequence[str], findings: Sequence[Finding]) -> Relabelled:
        """Makes these the only findings of the cases. What changes is in the audit log with what it was; monitors
        don't move, as each has heard what was told when it was told."""
        ...

    def reopens(self, case_ids: Sequence[str], *, within: timedelta) -> tuple[Reopens, ...]:
        """For each use case of which one of these cases was closed alone and reopened: its reopens of late."""
        ...

    def labels(self, use_case: str) -> tuple[Label, ...]: ...

    def history(self, use_case: str, *, since: datetime) -> History:
        """The recorded decisions since then, for a backtest."""
        ...

    def begin_certification(self, use_case: str) -> int:
        """Counts a look at the labels, from 1, before they are looked at."""
        ...

    def issue(self, use_case: str, rule: str, certificate: Certificate, monitor: Monitor) -> None: ...

    def keep_policy(self, use_case: str, version: int, *, content_hash: str, file: str, text: str) -> None:
        """Keeps a copy of a policy that took effect, unless it is the one in force."""
        ...

    def policies_kept(self) -> str:
        """Another text whenever another policy has come into force, here or on another worker."""
        ...

    def good_policy(self, *, file: str, use_case: str = "") -> str:
        """The text of the policy that was last in force from this file, else for this use case; "" without one."""
        ...
