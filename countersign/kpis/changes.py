"""Changes: how many fail, and how many only repair what another broke. Each change counts once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from countersign.kpis.figures import Exclusion, Figure, detectable_change
from countersign.kpis.rates import share_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeHistory:
    """One change that was carried out. `incidents` are the tickets it caused; None where nobody records that.

    `failed`: it was rolled back or marked as failed. `repairs`: the ticket because of which it was made, unplanned; ""
    where it was made for another reason.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Changes and what they are: `of` says which in words, `excluded` which are left out, `unknown` why there are none.

    `failing` and `repairing` say in words what is known to be a failure and a repair; `rework_unknown` why the latter
    can't be told of these changes, if it can't.
    """

    histories: tuple[ChangeHistory, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    of: str = "all changes carried out"
    failing: str = "were rolled back, marked as failed or caused at least one ticket"
    repairing: str = "were made, unplanned, because of a ticket"
    unknown: str = "no changes are recorded"
    rework_unknown: str = ""


NO_CHANGES = Changes()
FAIL_RATE = Figure(
    key="change_fail_rate",
    title="Changes that failed",
    definition="Changes that {failing}, of {of}; each change counts once, whatever number of tickets it caused.",
    unit="share",
    better="lower",
)
REWORK_RATE = Figure(
    key="change_rework_rate",
    title="Changes that repair",
    definition="Changes that {repairing}, of {of}; each change counts once.",
    unit="share",
    better="lower",
)


def change_figures(changes: Changes) -> tuple[Figure, Figure]:
    """Fail rate and rework rate. A change that is told twice, as by a join with its tickets, is merged by its id."""
    merged: dict[str, ChangeHistory] = {}
    for change in changes.histories:
        merged[change.id] = _merge(merged[change.id], change) if change.id in merged else change
    distinct = merged.values()
    failed = [change.went_wrong for change in distinct]
    repairs = [None if change.repairs is None else bool(change.repairs) for change in distinct]
    rework = _rate(REWORK_RATE, repairs, changes, "why it was made is not recorded")
    if changes.rework_unknown:
        rework = replace(rework, excluded=(), unknown=changes.rework_unknown)
    return _rate(FAIL_RATE, failed, changes, "how it ended is not recorded"), rework


def _merge(one: ChangeHistory, other: ChangeHistory) -> ChangeHistory:
    incidents = None
    if one.incidents is not None or other.incidents is not None:
        incidents = tuple(dict.fromkeys((*(one.incidents or ()), *(other.incidents or ()))))
    failed = one.failed if other.failed is None else bool(one.failed) or other.failed
    repairs = one.repairs if other.repairs is None else one.repairs or other.repairs
    return replace(one, failed=failed, incidents=incidents, repairs=repairs)


def _rate(figure: Figure, answers: list[bool | None], changes: Changes, reason: str) -> Figure:
    known = np.array([answer for answer in answers if answer is not None], dtype=np.float64)
    left_out = len(answers) - len(known)
    named = replace(
        figure,
        definition=figure.definition.format(
            failing=changes.failing, repairing=changes.repairing, of=changes.of
        ),
        excluded=(*changes.excluded, *((Exclusion(reason=reason, count=left_out),) if left_out else ())),
    )
    if not len(known):
        return replace(named, unknown=f"of no change it is known: {reason}" if answers else changes.unknown)
    value, low, high, error = share_of(known, np.arange(len(known)))
    return replace(
        named, value=value, low=low, high=high, n=len(known), detectable=detectable_change(error, most=1.0)
    )
