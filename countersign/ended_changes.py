"""Ended changes: how the change requests that Countersign drafted came out, for the figures of a period."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from countersign.kpis.changes import ChangeHistory, Changes
from countersign.kpis.figures import Exclusion


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedChange:
    """A change request that we drafted. `failed` None: its desk does not say; `cancelled`: it was never carried out."""

    id: str
    at: datetime
    failed: bool | None
    cancelled: bool


def changes_between(ended: Iterable[EndedChange], since: datetime, until: datetime) -> Changes:
    """Those that ended from `since` (included) to `until` (excluded)."""
    here = [change for change in ended if since <= change.at < until]
    carried_out = [change for change in here if not change.cancelled]
    cancelled = len(here) - len(carried_out)
    return Changes(
        histories=tuple(ChangeHistory(id=change.id, failed=change.failed) for change in carried_out),
        excluded=(Exclusion(reason="the change was cancelled", count=cancelled),) if cancelled else (),
        of="the change requests that Countersign drafted and that ended in the period",
        failing="ended as unsuccessful or failed, by ServiceNow's close code or by the name of Jira's status or "
        "resolution (a Done of Jira says only that it is over; which tickets a change caused is not read)",
        unknown="no change request that Countersign drafted was carried out and ended in the period",
        rework_unknown="whatever Countersign drafts is made because of a ticket, so that its share says nothing",
    )
