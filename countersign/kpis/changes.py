"""Changes: how many fail, and how many only repair what another broke. Each change counts once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from countersign.kpis.figures import Exclusion, Figure, detectable_change
from countersign.kpis.rates import share_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeHistory:
    """One change that was carried out. `incidents` are the tickets it caused; None where nobody records that.

    `failed`: it was rolled back or marked as failed. `repairs`: the ticket because of which it was made, unplanned.
    """

    id: str
    failed: bool | None = None
    incidents: tuple[str, ...] | None = None
    repairs: str | None = None

    @property
    def went_wrong(self) -> bool | None:
        """True, False, or None if neither its outcome nor its incidents are recorded."""
        if self.failed or self.incidents:
            return True
        return None if self.failed is None and self.incidents is None else False


FAIL_RATE = Figure(
    key="change_fail_rate",
    title="Changes that failed",
    definition="Changes that were rolled back, marked as failed or caused at least one ticket, of all changes carried "
    "out; a change that caused three tickets counts once.",
    unit="share",
    better="lower",
)
REWORK_RATE = Figure(
    key="change_rework_rate",
    title="Changes that repair",
    definition="Changes made, unplanned, because of a ticket, of all changes carried out.",
    unit="share",
    better="lower",
)


def change_figures(changes: Iterable[ChangeHistory]) -> tuple[Figure, Figure]:
    """Fail rate and rework rate. A change that is told twice, as by a join with its tickets, is merged by its id."""
    merged: dict[str, ChangeHistory] = {}
    for change in changes:
        merged[change.id] = _merge(merged[change.id], change) if change.id in merged else change
    distinct = merged.values()
    return (
        _rate(
            FAIL_RATE, [change.went_wrong for change in distinct], "neither outcome nor tickets are recorded"
        ),
        _rate(
            REWORK_RATE,
            [None if change.repairs is None else bool(change.repairs) for change in distinct],
            "it is not recorded why it was made",
        ),
    )


def _merge(one: ChangeHistory, other: ChangeHistory) -> ChangeHistory:
    incidents = None
    if one.incidents is not None or other.incidents is not None:
        incidents = tuple(dict.fromkeys((*(one.incidents or ()), *(other.incidents or ()))))
    failed = one.failed if other.failed is None else bool(one.failed) or other.failed
    return replace(one, failed=failed, incidents=incidents, repairs=one.repairs or other.repairs)


def _rate(figure: Figure, answers: list[bool | None], reason: str) -> Figure:
    known = np.array([answer for answer in answers if answer is not None], dtype=np.float64)
    left_out = len(answers) - len(known)
    excluded = (Exclusion(reason=reason, count=left_out),) if left_out else ()
    if not len(known):
        return replace(figure, excluded=excluded, unknown="no change is recorded with what it needs")
    value, low, high, error = share_of(known, np.arange(len(known)))
    return replace(
        figure,
        value=value,
        low=low,
        high=high,
        n=len(known),
        excluded=excluded,
        detectable=detectable_change(error),
    )
