"""Circumstances: what a decision rested on, short of its words: enough to decide it again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from countersign.assessment import Assessment, Unassessed, UnassessedReason
from countersign.cases import Case
from countersign.decision import Facts
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.tickets import TicketState


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What a decision rested on besides its time, its risk and the number of alerts. Many cases share one.

    `category` is None where nobody assessed the case, for the reason in `unassessed`. `ticket` is None where
    there was none. `severity` is the sources' word, `assessed_severity` the model's.
    """

    source: str
    severity: Severity
    service: str = ""
    tags: frozenset[str] = frozenset()
    recovered: bool = False
    born_in_desk: bool = False
    firing: Firing = Firing.UNKNOWN
    first_seen: bool = True
    category: str | None = None
    assessed_severity: Severity = Severity.INFO
    unassessed: UnassessedReason = "incomplete"
    ticket: TicketState | None = TicketState.OPEN
    assigned: bool = False
    group: str = ""

    @classmethod
    def of(cls, case: Case, assessment: Assessment | Unassessed, facts: Facts) -> Self:
        """What is kept of a decision's inputs."""
        known = assessment if isinstance(assessment, Assessment) else None
        return cls(
            source=case.lead.source,
            severity=case.severity_floor,
            service=case.service,
            tags=case.tags,
            recovered=case.firing == 0,
            born_in_desk=case.born_in_desk,
            firing=facts.firing,
            first_seen=facts.first_seen,
            category=known.category if known else None,
            assessed_severity=known.severity if known else Severity.INFO,
            unassessed=assessment.reason if isinstance(assessment, Unassessed) else "incomplete",
            ticket=case.ticket.state if case.ticket else None,
            assigned=bool(case.ticket and case.ticket.assignee),
            group=case.ticket.group if case.ticket else "",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PastDecision:
    """One recorded decision. `risk` is None where nobody assessed the case; `at` is aware."""

    id: str
    at: datetime
    risk: float | None
    alerts: int
    circumstances: Circumstances

    @classmethod
    def of(cls, id: str, case: Case, assessment: Assessment | Unassessed, facts: Facts) -> Self:
        return cls(
            id=id,
            at=facts.now,
            risk=assessment.risk if isinstance(assessment, Assessment) else None,
            alerts=case.alert_count,
            circumstances=Circumstances.of(case, assessment, facts),
        )
