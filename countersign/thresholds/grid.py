"""Grids: the risk thresholds that may be certified, and how the allowed error is shared among them.

The grid is fixed before its labels are seen. Testing is the fallback procedure (Wiens 2003; Wiens and
Dmitrienko 2005): each threshold has a share of δ, they are tested from the safest risk upward, and one that
passes hands all it had to the next. With all of δ on the first threshold it is the fixed-sequence procedure.
Either keeps the probability of any false pass at δ or below, whatever the dependence between the thresholds,
and neither assumes that a lower risk is wrong less often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

# Risks at which a calibrated model is usually cut; dense where promises are made.
USUAL = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Thresholds on risk, rising, each with its share of δ (0 to 1, together at most 1).

    `fixed_at` (aware): labels known by then may have shaped the grid, so they don't count for it.
    Raises ValueError for a grid out of order.
    """

    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    fixed_at: datetime

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.thresholds, self.thresholds[1:], strict=False))
        if not self.thresholds or not rising or not 0 <= self.thresholds[0] <= self.thresholds[-1] <= 1:
            raise ValueError(
                "A grid needs thresholds between 0 and 1 that rise; write them in order, once each."
            )
        sound = all(share >= 0 for share in self.shares) and 0 < sum(self.shares) <= 1 + 1e-9
        if len(self.shares) != len(self.thresholds) or not sound:
            raise ValueError("A grid needs one share for each threshold, none below 0, together at most 1.")
        if self.fixed_at.tzinfo is None:
            raise ValueError("A grid needs the time at which it was fixed, with a zone.")

    @classmethod
    def fixed_sequence(cls, thresholds: Sequence[float], *, fixed_at: datetime) -> Self:
        """All of δ starts on the safest threshold: strongest where that one has labels enough."""
        shares = (1.0, *(0.0 for _ in thresholds[1:]))
        return cls(thresholds=tuple(thresholds), shares=shares, fixed_at=fixed_at)

    @classmethod
    def fallback(cls, thresholds: Sequence[float] = USUAL, *, fixed_at: datetime) -> Self:
        """δ in equal shares: survives a safest threshold that fails or has few labels."""
        share = 1.0 / max(1, len(thresholds))
        return cls(thresholds=tuple(thresholds), shares=tuple(share for _ in thresholds), fixed_at=fixed_at)

    @classmethod
    def over(cls, risks: Sequence[float], *, points: int, from_share: float, fixed_at: datetime) -> Self:
        """A fixed sequence over quantiles of risks, from the one below which `from_share` of them lie.

        `risks` must come from cases that are not among the labels (as unlabelled cases of the treated lane):
        a grid that is chosen by the labelled cases' own risks does not keep its promise exactly. Ties give
        fewer points. Raises ValueError without any risk.
        """
        ordered = sorted(risks)
        if not ordered:
            raise ValueError("A grid over risks needs some; use Grid.fallback while there are none.")
        steps = [from_share + (1.0 - from_share) * step / max(1, points - 1) for step in range(points)]
        cuts = sorted({ordered[max(0, min(len(ordered), round(step * len(ordered))) - 1)] for step in steps})
        return cls.fixed_sequence(cuts, fixed_at=fixed_at)

    def levels(self, p_values: Sequence[float], *, delta: float) -> Iterator[tuple[float, bool]]:
        """For each threshold the δ that it was tested at and whether it passed."""
        carried = 0.0
        for share, p_value in zip(self.shares, p_values, strict=True):
            level = carried + delta * share
            passes = level > 0 and p_value <= level
            carried = level if passes else 0.0
            yield level, passes


def spendable(delta: float, *, share: float = 1.0, tuning: int | None) -> float:
    """The δ for one category at the k-th certification: δ·share / (k(k+1)), which never adds up to more than δ.

    Every look at the labels counts as one more. None says that there will be this one only, and spends it all.
    Raises ValueError for a k below 1.
    """
    if tuning is None:
        return delta * share
    if tuning < 1:
        raise ValueError(f"certifications are counted from 1, not {tuning}.")
    return delta * share / (tuning * (tuning + 1))
