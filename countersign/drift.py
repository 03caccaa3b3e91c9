"""Drift: whether what comes in, or how it is answered, has changed by more than chance and by enough to matter.

Each signal is a table of counts, before and now, compared by a G-test. It fires if the p-value holds after Holm's
correction over all signals looked at together, and if the change is at least `minimum` (Cramér's V, corrected for the
bias of many classes: Bergsma 2013). Drift informs and raises the control lane's share; it never acts alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from countersign.chances import per_cent

_LEVEL = 0.01
_MINIMUM = 0.1
_EXPECTED = 5.0
_FEWEST = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """Something to compare: counts by class, before and now."""

    name: str
    before: Mapping[str, int]
    now: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """What comparing a signal came to. `effect` is 0 (same) to 1; `p` is corrected for the signals looked at.

    `unknown` says why it could not be compared. `because` names what changed most.
    """

    name: str
    fires: bool
    n_before: int
    n_now: int
    g: float | None = None
    p: float | None = None
    effect: float | None = None
    because: str = ""
    unknown: str = ""

    @property
    def key(self) -> str:
        """The signal's name as data has it."""
        return self.name.replace(" ", "_")

    @property
    def found(self) -> str:
        """What it came to, in words."""
        if self.unknown:
            return f"unknown: {self.unknown}"
        return "drifts" if self.fires else "no drift"


def drifts(
    signals: Iterable[Signal], *, level: float = _LEVEL, minimum: float = _MINIMUM
) -> tuple[Drift, ...]:
    """Each signal compared, corrected together, in the order given."""
    compared = [_compare(signal) for signal in signals]
    corrected = _holm([drift.p for drift in compared if drift.p is not None])
    known = iter(corrected)
    return tuple(
        drift if drift.p is None else _judged(replace(drift, p=next(known)), level, minimum)
        for drift in compared
    )


def _judged(drift: Drift, level: float, minimum: float) -> Drift:
    assert drift.p is not None
    assert drift.effect is not None
    return replace(drift, fires=drift.p < level and drift.effect >= minimum)


def _compare(signal: Signal) -> Drift:
    n_before, n_now = sum(signal.before.values()), sum(signal.now.values())
    blank = Drift(name=signal.name, fires=False, n_before=n_before, n_now=n_now)
    if min(n_before, n_now) < _FEWEST:
        return replace(blank, unknown=f"fewer than {_FEWEST} before or now")
    rows = _classes(signal, n_before, n_now)
    if len(rows) < 2:
        return replace(blank, g=0.0, p=1.0, effect=0.0, because="all are of one kind, before and now")
    total = n_before + n_now
    cells = [
        (count, (old + new) * size / total)
        for old, new in rows.values()
        for count, size in ((old, n_before), (new, n_now))
    ]
    g = 2 * sum(count * math.log(count / expected) for count, expected in cells if count)
    pearson = sum((count - expected) ** 2 / expected for count, expected in cells)
    freedom = len(rows) - 1
    effect = _cramer(pearson / total, freedom, total)
    # Williams' correction: G runs high in small tables.
    spread = (total / n_before + total / n_now - 1) * (
        sum(total / (old + new) for old, new in rows.values()) - 1
    )
    williams = 1 + spread / (6 * total * freedom)
    return replace(
        blank,
        g=g,
        p=_chi_square_tail(g / williams, freedom),
        effect=effect,
        because=_most(rows, n_before, n_now),
    )


def _classes(signal: Signal, n_before: int, n_now: int) -> dict[str, tuple[int, int]]:
    """Counts by class, those too rare for the test put together."""
    least = _EXPECTED * (n_before + n_now) / min(n_before, n_now)
    rows: dict[str, tuple[int, int]] = {}
    rest = (0, 0)
    for name in sorted({*signal.before, *signal.now}):
        pair = (signal.before.get(name, 0), signal.now.get(name, 0))
        if sum(pair) >= least:
            rows[name] = pair
        else:
            rest = (rest[0] + pair[0], rest[1] + pair[1])
    if sum(rest):
        rows["(rare ones)"] = rest
    return rows


def _cramer(phi_square: float, freedom: int, total: int) -> float:
    """Bergsma's corrected V of a table of two columns."""
    corrected = max(0.0, phi_square - freedom / (total - 1))
    columns = 2 - 1 / (total - 1)
    rows = freedom + 1 - freedom**2 / (total - 1)
    return math.sqrt(corrected / max(1e-12, min(columns, rows) - 1))


def _most(rows: Mapping[str, tuple[int, int]], n_before: int, n_now: int) -> str:
    name, (old, new) = max(rows.items(), key=lambda row: abs(row[1][0] / n_before - row[1][1] / n_now))
    was, now = (per_cent(share, digits=1, sign=" %") for share in (old / n_before, new / n_now))
    return f"{name}: {was} before, {now} now"


def _holm(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = highest
    return corrected


def _chi_square_tail(x: float, freedom: int) -> float:
    """P(chi-square > x): the regularised upper incomplete gamma function (Numerical Recipes, 6.2)."""
    a, x = freedom / 2, x / 2
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        place = a
        while term > total * 1e-15:
            place += 1
            term *= x / place
            total += term
        return max(0.0, 1 - front * total)
    return front * _continued(a, x)


def _continued(a: float, x: float) -> float:
    """Lentz's continued fraction of the upper incomplete gamma function."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    value = d
    for step in range(1, 500):
        coefficient = -step * (step - a)
        b += 2
        d = 1 / (coefficient * d + b or tiny)
        c = b + coefficient / c or tiny
        value *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return value
