"""Changes of an export: a list of change requests, held against the tickets that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from countersign.exports.forms import Course, Outcome, Urgency
from countersign.exports.histories import in_order, once, with_id
from countersign.exports.problems import ExportProblem, Problems
from countersign.exports.reading import Export, Reader
from countersign.exports.rows import Text
from countersign.exports.survey import Survey
from countersign.exports.table import Table
from countersign.kpis.changes import ChangeHistory, Changes
from countersign.kpis.figures import Exclusion
from countersign.kpis.history import UNKNOWN, Bools

# Change -> the tickets that name it; None where the tickets' export has no such column.
Named: TypeAlias = Mapping[str, tuple[str, ...]] | None
_FAILED: Mapping[int, bool | None] = {UNKNOWN: None, Outcome.FAILED: True, Outcome.SUCCESSFUL: False}
_CODED, _CAUSED = 'have the close code "unsuccessful"', "are named by a ticket as its cause"
_FAILING = {
    (True, True): f"{_CODED} or {_CAUSED}",
    (True, False): f"{_CODED} (no column of the tickets says which change caused them)",
    (False, True): f"{_CAUSED} (no column of the changes says how they ended)",
    (False, False): f"{_CODED} or {_CAUSED}",
}
_REPAIRING = "are emergency changes that a ticket names as its change request"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeExport:
    """What an export of changes came to, as `Export` says it for tickets."""

    changes: Changes
    rows: int
    problems: tuple[ExportProblem, ...]
    counts: Mapping[tuple[str, str], int]
    assumptions: tuple[str, ...]


def read_changes(text: Text, plan: Survey, tickets: Export, *, zone: ZoneInfo | None = None) -> ChangeExport:
    """The changes that ended in the time of the tickets' export, and what its tickets say of them."""
    reader = Reader(plan=plan, zone=zone)
    for portion in reader.portions(text):
        reader.add(portion)
    caused, fixed = (tickets.links.tickets_of(field) for field in ("caused_by", "fixed_by"))
    histories: tuple[ChangeHistory, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    missing: set[str] = {*(caused or ()), *(fixed or ())}
    if reader.rows:
        table = reader.table()
        table = once(with_id(table, plan, reader.problems), plan, reader.problems)
        missing -= set(_names(table))
        kept, excluded = _ended(table, plan, tickets, reader.problems)
        histories = tuple(_histories(table.take(kept), caused, fixed))
    period = f"{tickets.since:%Y-%m-%d %H:%M} to {tickets.until:%Y-%m-%d %H:%M} UTC, the time of the tickets"
    changes = Changes(
        histories=histories,
        excluded=excluded,
        of=f"the change requests that ended from {period}",
        failing=_FAILING["close_code" in plan.columns, caused is not None],
        repairing=_REPAIRING,
        unknown="no change request is known to have ended in the time of the tickets",
    )
    return ChangeExport(
        changes=changes,
        rows=reader.rows,
        problems=reader.problems.kept,
        counts=dict(reader.problems.counts),
        assumptions=(*plan.assumptions, *reader.assumptions(), *_not_held(missing)),
    )


def _ended(
    table: Table, plan: Survey, tickets: Export, problems: Problems
) -> tuple[Bools, tuple[Exclusion, ...]]:
    """Which changes ended in the time of the tickets, and how many others there are, each left out for one reason."""
    ended = table.times["ended"]
    if "started" in table.times:
        ended = in_order(ended, table, "ended", plan, problems, after="started")
    state = table.states.get("state", np.full(len(ended), Course.ENDED))
    reasons = (
        (state == Course.CANCELLED, "the change was cancelled"),
        (state == Course.PENDING, "the change has not ended"),
        (state == UNKNOWN, "the state of the change is unknown"),
        (np.isnan(ended), "when the change ended is unknown"),
        (
            (ended < tickets.since.timestamp()) | (ended > tickets.until.timestamp()),
            "the change ended before or after the time of the tickets",
        ),
    )
    kept = np.ones(len(ended), dtype=np.bool_)
    excluded = []
    for hit, reason in reasons:
        if count := int(np.count_nonzero(kept & hit)):
            excluded.append(Exclusion(reason=reason, count=count))
        kept &= ~hit
    return kept, tuple(excluded)


def _histories(table: Table, caused: Named, fixed: Named) -> Iterator[ChangeHistory]:
    unknown = np.full(len(table.row), UNKNOWN)
    outcomes = table.states.get("close_code", unknown).tolist()
    urgencies = table.states.get("type", unknown).tolist()
    for name, outcome, urgency in zip(_names(table), outcomes, urgencies, strict=True):
        yield ChangeHistory(
            id=name,
            failed=_FAILED[outcome],
            incidents=_incidents(name, caused, coded="close_code" in table.states, outcome=outcome),
            repairs=_repairs(name, fixed, urgency),
        )


def _incidents(name: str, caused: Named, *, coded: bool, outcome: int) -> tuple[str, ...] | None:
    """That no ticket names it does not make a change right whose close code should be there, and is not."""
    found = (caused or {}).get(name, ())
    silent = caused is None or (coded and outcome == UNKNOWN)
    return None if silent and not found else found


def _repairs(name: str, fixed: Named, urgency: int) -> str | None:
    if fixed is None or urgency == UNKNOWN:
        return None
    return next(iter(fixed.get(name, ())), "") if urgency == Urgency.UNPLANNED else ""


def _names(table: Table) -> list[str]:
    return [table.ids.names[code] for code in table.ids.codes.tolist()]


def _not_held(missing: set[str]) -> Iterator[str]:
    if missing:
        first = min(missing)
        yield f"{len(missing):,} changes that tickets name are not in this export (as {first}); they do not count."
