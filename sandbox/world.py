"""What all imitated vendors share: one clock, one seeded chance, and the log of every write."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_MARKER = re.compile(r"countersign:[0-9a-f]+")


def marker_in(text: str) -> str:
    """The token by which a writer finds its own write again, or "" if the text carries none."""
    found = _MARKER.search(text)
    return found.group(0) if found else ""


@dataclass(slots=True)
class Clock:
    """Sandbox time: from `start` on, `speed` times as fast as real time (0 = stands still), with steps."""

    start: datetime
    speed: float = 1.0
    _real_start: datetime = field(default_factory=lambda: datetime.now(UTC))
    _stepped: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.start + (datetime.now(UTC) - self._real_start) * self.speed + self._stepped

    def step(self, by: timedelta) -> None:
        self._stepped += by


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One change that a vendor accepted. `marker` is what the writer left in it to be found by."""

    at: datetime
    vendor: str
    kind: str
    target: str
    actor: str
    marker: str
    body: dict[str, object]


@dataclass(slots=True)
class World:
    """State shared by the vendors of one sandbox. Not thread-safe: all handlers run on one event loop.

    What is younger than `search_lag` is not found by searches (of Jira, Datadog, Splunk, PagerDuty's log).
    """

    clock: Clock = field(default_factory=lambda: Clock(start=datetime.now(UTC)))
    seed: int = 7
    latency: timedelta = timedelta(0)
    search_lag: timedelta = timedelta(0)
    writes: list[Write] = field(default_factory=list)
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def log(
        self, vendor: str, kind: str, target: str, *, actor: str, marker: str = "", body: dict[str, object]
    ) -> None:
        self.writes.append(
            Write(
                at=self.clock.now(),
                vendor=vendor,
                kind=kind,
                target=target,
                actor=actor,
                marker=marker,
                body=body,
            )
        )
