"""Chances: a probability or a share as a reader's words, which rounding makes neither certain nor impossible."""

from __future__ import annotations


def per_cent(share: float, *, digits: int = 0, sign: str = "%") -> str:
    """0.431 is "43%", 0.9996 "over 99%", 0.0004 "under 1%"; only all and nothing are 100% and 0%."""
    step, shown = 10.0**-digits, round(share * 100, digits)
    if shown <= 0 < share:
        return f"under {step:.{digits}f}{sign}"
    if shown >= 100 > share * 100:
        return f"over {100 - step:.{digits}f}{sign}"
    return f"{share * 100:.{digits}f}{sign}"


def chance(probability: float) -> str:
    """The same of what somebody believes, who is never certain: 1.0 is "over 99%", 0.0 "under 1%"."""
    return per_cent(min(1 - 1e-9, max(1e-9, probability)))


def risk_figure(risk: float) -> str:
    """A risk in three figures: 0.101, 0.0042; none is 0."""
    return f"{risk:.3g}" if risk > 0 else "under 0.001"
