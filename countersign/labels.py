"""Labels: what a correction or an outcome says about one decision, with the probability of having been asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from countersign.lanes import Lane


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """What a risk was computed by: labels of one set of versions say nothing about another.

    `policy` is the fingerprint of whatever decides which cases a close is wanted for; `calibration` names the
    scale of the risk (a new calibration is a new scale).
    """

    policy: str
    prompt: str
    model: str
    calibration: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Whether closing one case without a person would have been (or was) wrong.

    `cluster` names what went wrong once and gave many cases (a storm); a case alone is its own cluster.
    `risk` is the calibrated risk, 0 to 1, as recorded with the decision. `probability` is the chance, above 0
    and up to 1, with which this cluster was drawn to be labelled: drawn per cluster, by a rule written down
    before anybody knew whether it is wrong. `known_at` is when the answer became known (aware).
    Raises ValueError for figures outside these ranges.
    """

    decision: str
    cluster: str
    category: str
    risk: float
    wrong: bool
    probability: float
    lane: Lane
    versions: Versions
    known_at: datetime

    def __post_init__(self) -> None:
        if not (math.isfinite(self.risk) and 0 <= self.risk <= 1):
            raise ValueError(f"label of {self.decision}: the risk {self.risk} is not between 0 and 1.")
        if not 0 < self.probability <= 1:
            raise ValueError(
                f"label of {self.decision}: the probability {self.probability} must be above 0 and at most 1; "
                "a case that could not be drawn gives no label."
            )
        if self.known_at.tzinfo is None:
            raise ValueError(f"label of {self.decision} has a time without a zone; give it one.")
