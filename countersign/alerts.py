"""Alerts: one firing or recovery, in the words of PagerDuty's Common Event Format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from countersign.severity import Severity
from countersign.tickets import TicketRef


class AlertState(StrEnum):
    FIRING = "firing"
    RECOVERED = "recovered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One event of a source.

    `source_id` names the event at its source, `version` tells a later reading of the same event from the
    first (a source that never changes an event leaves it empty), and `dedup_key` joins a recovery to its
    firing. `rule` is the source's own name for what fired (monitor id, saved search): where it is known,
    grouping does not depend on the words of the summary. `ticket` is set for an event born in a desk.
    Raises ValueError for a time without a zone.
    """

    source: str
    source_id: str
    dedup_key: str
    state: AlertState
    occurred_at: datetime
    summary: str
    severity: Severity
    version: str = ""
    body: str = ""
    rule: str = ""
    service: str = ""
    ci: str = ""
    component: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()
    link: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    ticket: TicketRef | None = None

    def __post_init__(self) -> None:
        if self.occurred_at.tzinfo is None:
            raise ValueError(f"alert {self.source}:{self.source_id} has a time without a zone; give it one")
