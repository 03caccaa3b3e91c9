"""Promises: what a use case may close by itself now, and the ledger's book that keeps it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from countersign.guards import Fallen, Guarded
from countersign.labelling import Finding, Judgeable
from countersign.labels import Label
from countersign.monitors import Monitor
from countersign.thresholds.certificate import Certificate

if TYPE_CHECKING:
    from countersign.backtest import History


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A policy that was in force and its prompt, as their files were; `prompt` is "" where nobody kept it."""

    text: str
    prompt: str = ""


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
    """The newest certificate of each category and versions of a use case, and the guards that have spoken."""

    issued: tuple[Issued, ...] = ()
    fallen: tuple[Fallen, ...] = ()

    @property
    def demoted(self) -> frozenset[str]:
        """Rules of which a category has lost its certificate, and has no new one; `guards.demoted` knows all."""
        lost = {(one.rule, one.certificate.category) for one in self.issued if one.withdrawn_at is not None}
        held = {(one.rule, one.certificate.category) for one in self.issued if one.withdrawn_at is None}
        return frozenset(rule for rule, _ in lost - held)


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """An alarm: the rule drafts from now on. `case_id` is the case whose audit raised it."""

    case_id: str
    use_case: str
    issued: Issued

    @property
    def id(self) -> str:
        return self.issued.id

    @property
    def rule(self) -> str:
        return self.issued.rule

    @property
    def category(self) -> str:
        return self.issued.certificate.category

    @property
    def why(self) -> str:
        return self.issued.why

    @property
    def back(self) -> str:
        """How the rule gets its autonomy back, as a clause."""
        return f"A new certificate brings it back: countersign policy certify --use-case {self.use_case}"


# A rule that drafts from now on, whoever stood watch over it.
Demotion = Withdrawn | Fallen


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopens:
    """How many tickets a rule has closed alone since then, and when each that was reopened was first."""

    use_case: str
    rule: str
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

    def record_findings(
        self, findings: Sequence[Finding], guarded: Mapping[str, Guarded]
    ) -> tuple[Demotion, ...]:
        """Keeps labels, moves monitors by what is new, and demotes rules on alarm, all in one transaction.

        A finding counts once; one that turns from right to wrong counts again. `guarded` names by case the monitor
        of a rule that closes by risk; the others move that of their certificate. Closes of a demoted rule that
        nobody has begun to write are dropped.
        """
        ...

    def trip(self, use_case: str, rule: str, *, case_id: str, why: str) -> Fallen | None:
        """Demotes a rule whose trip-wire was touched; None if it lies touched already."""
        ...

    def lift(self, use_case: str, rule: str, *, by: str) -> bool:
        """Lets a rule close again after its trip-wire was touched; False if it was not."""
        ...

    def demotions(self, *, within: timedelta) -> tuple[Demotion, ...]:
        """Those of late that nobody has lifted, so that whoever should know is told though a worker died."""
        ...

    def told_of(self, use_case: str, *, after: str, limit: int) -> tuple[str, ...]:
        """Cases that have corrections or a label, in the order of their ids, from the one after `after` on."""
        ...

    def relabel(self, case_ids: Sequence[str], findings: Sequence[Finding]) -> Relabelled:
        """Makes these the only findings of the cases. What changes is in the audit log with what it was; monitors
        don't move, as each has heard what was told when it was told."""
        ...

    def reopens(self, case_ids: Sequence[str], *, within: timedelta) -> tuple[Reopens, ...]:
        """For each rule that closed one of these cases alone, and it was reopened: its reopens of late, or since
        somebody let it close again."""
        ...

    def labels(self, use_case: str) -> tuple[Label, ...]: ...

    def history(self, use_case: str, *, since: datetime) -> History:
        """The recorded decisions since then, for a backtest."""
        ...

    def begin_certification(self, use_case: str) -> int:
        """Counts a look at the labels, from 1, before they are looked at."""
        ...

    def issue(self, use_case: str, rule: str, certificate: Certificate, monitor: Monitor) -> None: ...

    def keep_policy(
        self, use_case: str, version: int, *, content_hash: str, file: str, text: str, prompt: str
    ) -> None:
        """Keeps a copy of a policy that took effect and of its prompt, unless they are those in force."""
        ...

    def policies_kept(self) -> str:
        """Another text whenever another policy has come into force, here or on another worker."""
        ...

    def good_policy(self, *, file: str, use_case: str = "") -> Kept | None:
        """The policy that was last in force from this file, else for this use case."""
        ...

    def policy_hashes(self, use_case: str, version: int) -> frozenset[str]:
        """What was in force under this version, as content hashes."""
        ...
