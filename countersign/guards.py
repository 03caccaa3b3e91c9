"""Guards: what stands watch over a rule beside certificates, and takes its autonomy when it fails.

A rule with `risk_below: r` closes without a certificate and accepts that risk: a monitor with the allowed rate r
stands watch over each of its categories, as one does over a certificate. Its alarm holds until what the rule closes
is another (its threshold, what it matches, the boundary around it), or it earns a certificate.

A trip-wire on reopens stands beside every rule that closes. It comes sooner than audits and says less: people reopen
for reasons of their own. So it labels nothing; the rule drafts until a person who may promote lets it close again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from countersign.boundary import boundary_hash
from countersign.policy import Policy

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.labelling import Judgeable
    from countersign.promises import Standing

Kind = Literal["risk", "reopens"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded:
    """The monitor that a case's audit moves: of a rule's category, under a boundary, with a threshold."""

    use_case: str
    rule: str
    category: str
    boundary: str
    allowed: float
    floor: float

    @property
    def id(self) -> str:
        name = "\x1f".join((self.use_case, self.rule, self.category, self.boundary, f"{self.allowed:g}"))
        return hashlib.sha256(name.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallen:
    """A rule that drafts from now on, by its guard; `case_id` is the case that raised the alarm."""

    id: str
    kind: Kind
    case_id: str
    use_case: str
    rule: str
    category: str
    boundary: str
    allowed: float
    at: datetime
    why: str

    @property
    def back(self) -> str:
        """How the rule gets its autonomy back, as a clause."""
        if self.kind == "reopens":
            return (
                "Whoever may promote lets it close again: countersign resume "
                f"--use-case {self.use_case} --rule '{self.rule}'"
            )
        return "Another threshold or boundary of the rule, or a certificate (wrong_closes_at_most), brings it back"


def guarded(policy: Policy, case: Judgeable) -> Guarded | None:
    """What a finding about a case moves; None where its rule does not close by risk, or would not close it now."""
    rule = next((one for one in policy.rules if one.name == case.rule), None)
    if rule is None or rule.threshold is None or rule.threshold.risk_below is None:
        return None
    boundary = boundary_hash(policy)
    if case.versions.policy != boundary or case.risk >= rule.threshold.risk_below:
        return None
    return Guarded(
        use_case=policy.use_case,
        rule=rule.name,
        category=case.category,
        boundary=boundary,
        allowed=rule.threshold.risk_below,
        floor=policy.control_lane or 1.0,
    )


def demoted(policy: Policy, standing: Standing) -> frozenset[str]:
    """Rules that draft although they may close: their certificate was withdrawn, or a guard has spoken."""
    risks = {rule.name: rule.threshold.risk_below for rule in policy.rules if rule.threshold}
    boundary = boundary_hash(policy)
    return standing.demoted | {
        one.rule
        for one in standing.fallen
        if one.kind == "reopens" or (one.boundary == boundary and risks.get(one.rule) == one.allowed)
    }
