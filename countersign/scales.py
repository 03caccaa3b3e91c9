"""Scales: what confidences have been worth, by the versions that gave them, and the ledger's book of them.

A new calibration is a new scale of risk, so nothing that was promised on the old one holds on it: it is put in
force by a person, never by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from countersign.assessment import STATED
from countersign.calibration import Calibration, fit
from countersign.chances import chance
from countersign.labels import Versions

# (raw confidence, was the answer right), one for each label.
Told = tuple[float, bool]
_EDGE = 0.001


@dataclass(frozen=True, kw_only=True, slots=True)
class Refit:
    """What the labels of one set of versions ask for. Losses are mean log losses: lower is better."""

    versions: Versions
    before: Calibration
    after: Calibration
    loss_before: float
    loss_after: float

    @property
    def changes(self) -> bool:
        return self.before.name != self.after.name

    @property
    def words(self) -> str:
        """One sentence: what it rests on and what each stated confidence is worth."""
        worth = ", ".join(
            f"{chance(figure)} is worth {chance(1 - self.after.risk(figure))} "
            f"(was {chance(1 - self.before.risk(figure))})"
            for figure in STATED.values()
        )
        labels = "1 label" if self.after.labels == 1 else f"{self.after.labels} labels"
        return (
            f"{self.versions.model}, prompt {self.versions.prompt}: from {labels}, a confidence of {worth}; "
            f"log loss {self.loss_before:.3f} -> {self.loss_after:.3f}."
        )


class ScaleBook(Protocol):
    """Calibrations in the ledger. Versions are told without the scale: what gave the confidence."""

    def in_force(self, use_case: str) -> Mapping[Versions, Calibration]: ...

    def told(self, use_case: str) -> Mapping[Versions, Sequence[Told]]:
        """What labels say of raw confidences, whatever scale they were decided on."""
        ...

    def put_in_force(
        self, use_case: str, versions: Versions, calibration: Calibration, *, by: str
    ) -> tuple[str, ...]:
        """Records a calibration, and withdraws the certificates given on another scale: gives their rules.

        Both are in the audit log.
        """
        ...


def refits(
    told: Mapping[Versions, Sequence[Told]], in_force: Mapping[Versions, Calibration], *, boundary: str
) -> tuple[Refit, ...]:
    """What the labels under a policy's present boundary ask for, for each model and prompt that has some."""
    ours = sorted(
        (one for one in told if one.policy == boundary and told[one]), key=lambda one: (one.model, one.prompt)
    )
    return tuple(_refit(one, told[one], in_force.get(one, Calibration.identity())) for one in ours)


def _refit(versions: Versions, told: Sequence[Told], before: Calibration) -> Refit:
    after = fit(told)
    return Refit(
        versions=versions,
        before=before,
        after=after,
        loss_before=_loss(before, told),
        loss_after=_loss(after, told),
    )


def _loss(calibration: Calibration, told: Sequence[Told]) -> float:
    def surprise(confidence: float, right: bool) -> float:
        risk = min(1 - _EDGE, max(_EDGE, calibration.risk(confidence)))
        return -math.log(1 - risk if right else risk)

    return sum(surprise(confidence, right) for confidence, right in told) / len(told)
