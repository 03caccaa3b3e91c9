"""Figures: one measured value with everything a reader needs to judge it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from countersign.chances import per_cent

# Of business hours a day has fewer than 24: they are never told in days.
Unit = Literal["h", "business h", "share", "count", "usd", "min"]
Better = Literal["lower", "higher", "neither"]

Z95 = 1.959963984540054
# 80 % power at a two-sided 5 % test, two periods of equal size: (1.960 + 0.842) * sqrt(2).
_DETECTABLE = 2.8015852 * math.sqrt(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """How many tickets (or changes) a figure leaves out, and why."""

    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A measured value. `value` None means unknown (never 0), and `unknown` says why.

    `low` and `high` bound it with 95 % confidence; None where the data bound it on one side only. `n` counts the
    tickets it rests on, `censored` those among them whose end is not known yet. `detectable` is the smallest change,
    in the figure's unit, that two periods of this size would show with 80 % power.
    """

    key: str
    title: str
    definition: str
    unit: Unit
    better: Better = "neither"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    censored: int = 0
    excluded: tuple[Exclusion, ...] = ()
    detectable: float | None = None
    unknown: str = ""


def detectable_change(standard_error: float | None, *, most: float = math.inf) -> float | None:
    """The smallest change that a comparison with an equal period would show with 80 % power.

    None where not even a change by `most` would: a share can't change by more than 1.
    """
    if standard_error is None or not math.isfinite(standard_error) or standard_error <= 0:
        return None
    smallest = _DETECTABLE * standard_error
    return smallest if smallest <= most else None


def shown(value: float | None, unit: Unit, *, like: float | None = None) -> str:
    """A value in a reader's words: "12.3 %", "4.5 h", "2.1 d", "$0.42"; "unknown" for None.

    Hours become seconds, minutes or days where those read better, as they would for `like` if that is given. What is
    more than nothing is not rounded to it.
    """
    if value is None:
        return "unknown"
    if unit in _TIMES:
        return _time(value, abs(value if like is None else like), days=unit == "h")
    return _FORMS[unit](value)


def length(hours: float, unit: Unit) -> str:
    """A length of time in full words: "30 days", "6.5 hours", "100 business hours"."""
    if unit == "h" and hours >= 48:
        return f"{hours / 24:.4g} days"
    return f"{hours:.4g} {'business ' if unit == 'business h' else ''}hours"


_TIMES: frozenset[Unit] = frozenset({"h", "business h"})


def _time(hours: float, size: float, *, days: bool) -> str:
    if days and size >= 48:
        return f"{hours / 24:.1f} d"
    if size >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 3600:.0f} s" if 0 < size < 1 / 60 else f"{hours * 60:.0f} min"


def _rounded(value: float, form: str) -> str:
    """Rounded to hundredths, but not to nothing."""
    return f"under {form.format(0.01)}" if 0 < value < 0.005 else form.format(value)


_FORMS: dict[Unit, Callable[[float], str]] = {
    "share": lambda value: per_cent(value, digits=1, sign=" %"),
    "usd": lambda value: _rounded(value, "${:,.2f}"),
    "min": lambda value: f"{value:.1f} min",
    "count": lambda value: f"{value:,.0f}" if float(value).is_integer() else _rounded(value, "{:.2f}"),
}


def shown_interval(figure: Figure) -> str:
    """The interval in a reader's words, or "" for a figure without one."""
    if figure.value is None or (figure.low is None and figure.high is None):
        return ""
    low, high = (shown(end, figure.unit, like=figure.value) for end in (figure.low, figure.high))
    if figure.high is None:
        return f"at least {low}"
    return f"at most {high}" if figure.low is None else f"{low} to {high}"
