"""What a measurement needs to know besides the tickets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from countersign.kpis.times import BusinessHours


@dataclass(frozen=True, kw_only=True, slots=True)
class Measuring:
    """How to measure. What happened after `until` is not known; tickets open then count as "longer than".

    `reopened_within`: a resolution that is reopened within it was none. `horizon`: restricted means look no further.
    `usd_per_hour` is what an hour of people's time costs; None leaves the cost of a ticket unknown.
    """

    until: datetime
    reopened_within: timedelta = timedelta(days=7)
    horizon: timedelta = timedelta(days=30)
    business: BusinessHours = field(default_factory=BusinessHours)
    usd_per_hour: float | None = None

    @property
    def end(self) -> float:
        """`until` in seconds since 1970."""
        return self.until.timestamp()
