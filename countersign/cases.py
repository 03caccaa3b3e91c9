"""Cases: all that is known about one thing that went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from countersign.alerts import Alert, AlertState
from countersign.context import NOTHING_ASKED, Context
from countersign.severity import Severity
from countersign.tickets import Ticket


class Stage(StrEnum):
    """Where a case is on its way. DUE: to be assessed. DECIDED: its decision is recorded. DEAD: given to people."""

    DUE = "due"
    DECIDED = "decided"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One thing that went wrong: its alerts (a storm is one case), its ticket and its context.

    `alerts` holds at least one and at most the newest 20, oldest first; `alert_count` counts them all.
    `firing` is how many of its dedup keys have not recovered. `episode` counts from 1 for a fingerprint
    that came back after its case was over, and `previous` names that case. `revision` counts the times
    the case was looked at again, because something about it changed.
    """

    id: str
    use_case: str
    fingerprint: str
    alerts: tuple[Alert, ...]
    alert_count: int
    firing: int
    first_at: datetime
    last_at: datetime
    episode: int = 1
    revision: int = 1
    previous: str | None = None
    ticket: Ticket | None = None
    context: Context = NOTHING_ASKED

    @property
    def lead(self) -> Alert:
        """The alert that speaks for the case: the newest firing one, else the newest."""
        firing = [alert for alert in self.alerts if alert.state is AlertState.FIRING]
        return (firing or self.alerts)[-1]

    @property
    def severity_floor(self) -> Severity:
        """What the sources said, at its worst. A model may raise it, never lower it."""
        return max(alert.severity for alert in self.alerts)

    @property
    def service(self) -> str:
        return self.lead.service or (self.ticket.service if self.ticket else "")

    @property
    def ci(self) -> str:
        return self.lead.ci or (self.ticket.ci if self.ticket else "")

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(tag for alert in self.alerts for tag in alert.tags)

    @property
    def texts(self) -> Iterator[str]:
        """Everything that others wrote into its alerts and its ticket."""
        for alert in self.alerts:
            yield from (alert.summary, alert.body, alert.service, alert.ci, *alert.tags)
        if self.ticket is not None:
            yield from (self.ticket.title, self.ticket.description)

    @property
    def born_in_desk(self) -> bool:
        """True for a ticket that people (or another tool) opened, with no alert of a source behind it."""
        return self.lead.ticket is not None
