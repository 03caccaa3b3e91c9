"""Axes: round steps for a chart, and what stands beside them."""

from __future__ import annotations

import math

from countersign.kpis.figures import Unit

_TICKS = 4
_UNITS: dict[Unit, str] = {"h": "h", "business h": "h", "share": "", "count": "", "usd": "$", "min": "min"}


def scale(top: float, unit: Unit) -> tuple[float, int, float]:
    """A round step between lines, how many there are, and the hours in one unit of the labels (24 where many)."""
    words = 24.0 if unit == "h" and top >= 96 else 1.0
    # Where all is 0 the axis still has something to show that by.
    raw = max(top / words, 0.01 if unit == "share" else 1e-6 if top else 1.0) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= raw - 1e-12) * words
    ticks = max(1, math.ceil(top / step - 1e-9))
    return step, min(ticks, round(1 / step)) if unit == "share" and step * ticks > 1 else ticks, words


def axis_label(value: float, unit: Unit, words: float) -> str:
    """A value at the axis; `words` as `scale` gave it."""
    if unit == "share":
        return f"{value * 100:g} %"
    return f"{value / words:g} {'d' if words > 1 else _UNITS[unit]}".strip()
