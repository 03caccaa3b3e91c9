"""Calibration: what a model's confidence has been worth, as the risk that its answer is wrong."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

# Strength of the pull towards «the stated figure is right»: as much as this many labels say.
_PRIOR = 20.0
_EDGE = 0.001  # nothing is certain: risks stay within 0.1 % and 99.9 %
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling: logit(risk) = slope · logit(1 - confidence) + shift, resting on so many `labels`."""

    slope: float = 1.0
    shift: float = 0.0
    labels: int = 0

    @classmethod
    def identity(cls) -> Calibration:
        """Takes every confidence at its word: what stands until labels say better."""
        return cls()

    @property
    def name(self) -> str:
        """Names the scale of its risks: 8 hex digits; "" for the identity."""
        if self == self.identity():
            return ""
        return hashlib.sha256(f"{self.slope!r} {self.shift!r}".encode()).hexdigest()[:8]

    def risk(self, confidence: float) -> float:
        """Probability that an answer of this confidence (0 to 1) is wrong."""
        if self == self.identity():
            return min(1.0, max(0.0, 1.0 - confidence))
        return _logistic(self.slope * _logit(1.0 - confidence) + self.shift)


def fit(pairs: Iterable[tuple[float, bool]]) -> Calibration:
    """The calibration that labels ask for: pairs of (confidence, was the answer right).

    Newton's method on the logistic loss with a quadratic pull towards the identity, so that few labels change
    little; a slope never turns negative (that would trust the least sure answers most).
    """
    rows = [(_logit(1.0 - confidence), 0.0 if right else 1.0) for confidence, right in pairs]
    slope, shift = 1.0, 0.0
    for _ in range(_STEPS):
        step_slope, step_shift = _newton(rows, slope, shift)
        slope, shift = max(0.0, slope - step_slope), shift - step_shift
        if abs(step_slope) + abs(step_shift) < 1e-9:
            break
    return Calibration(slope, shift, len(rows)) if rows else Calibration.identity()


def _newton(rows: list[tuple[float, float]], slope: float, shift: float) -> tuple[float, float]:
    """One step of Newton's method: what to take off slope and shift."""
    # The pull on either parameter weighs as _PRIOR labels at even odds do (each has a curvature of 1/4).
    weight = _PRIOR / 4
    gradient = [weight * (slope - 1.0), weight * shift]
    curve = [weight, 0.0, weight]
    for x, wrong in rows:
        p = _logistic(slope * x + shift)
        gradient[0] += (p - wrong) * x
        gradient[1] += p - wrong
        spread = p * (1.0 - p)
        curve[0] += spread * x * x
        curve[1] += spread * x
        curve[2] += spread
    if slope <= 0 and gradient[0] > 0:
        # At the bound, and the labels would go beyond it: the shift alone is left to move.
        return 0.0, gradient[1] / curve[2]
    determinant = curve[0] * curve[2] - curve[1] ** 2
    return (
        (curve[2] * gradient[0] - curve[1] * gradient[1]) / determinant,
        (curve[0] * gradient[1] - curve[1] * gradient[0]) / determinant,
    )


def _logit(p: float) -> float:
    p = min(1.0 - _EDGE, max(_EDGE, p))
    return math.log(p / (1.0 - p))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))
