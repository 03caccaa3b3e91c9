"""Grouping: what a page of new alerts does to the cases it belongs to. Pure; the intake carries it out.

Events are told apart by when they occurred, not by when they came: an older event of a dedup key never
overwrites what a newer one said, and of two at the same instant the recovery counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.sql.codec import key_text
from countersign.alerts import Alert, AlertState
from countersign.cases import Stage
from countersign.ledger import Entry

Group = tuple[str, str]


@dataclass(kw_only=True, slots=True)
class Known:
    """A case as the page finds it and leaves it. `keys` holds the newest (time, is recovery) of a dedup key."""

    id: str
    use_case: str
    fingerprint: str
    stage: str
    title: str
    first_at: datetime
    last_at: datetime
    firing: int = 0
    alert_count: int = 0
    episode: int = 1
    revision: int = 1
    previous: str | None = None
    seen_before: bool = False
    decided: bool = False
    over: bool = False
    is_new: bool = False
    settle: timedelta = timedelta(0)
    firing_before: int = 0
    keys: dict[str, tuple[datetime, bool]] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)

    @property
    def fell_silent(self) -> bool:
        """It had been decided, and this page made `firing` fall to 0: it is looked at again."""
        silent = self.firing == 0 and self.firing_before > 0
        return silent and self.stage == Stage.DECIDED and not self.over

    def knows_newer(self, alert: Alert) -> bool:
        return self.keys.get(key_text(alert.dedup_key), (alert.occurred_at, False))[0] > alert.occurred_at

    def join(self, alert: Alert) -> None:
        self.alert_count += 1
        recovery = alert.state is AlertState.RECOVERED
        if not recovery and alert.occurred_at >= self.last_at:
            self.title = alert.summary
        self.first_at = min(self.first_at, alert.occurred_at)
        self.last_at = max(self.last_at, alert.occurred_at)
        key, said = key_text(alert.dedup_key), (alert.occurred_at, recovery)
        before = self.keys.get(key)
        if before is not None and before >= said:
            return
        was_firing = before is not None and not before[1]
        self.firing += (not recovery) - was_firing
        self.keys[key] = said
        self.heard.add(key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouped:
    """Every case touched, and the case id of each new alert in the order they are to be written."""

    cases: tuple[Known, ...]
    placed: tuple[tuple[Entry, str], ...]


def group(entries: Iterable[Entry], current: dict[Group, Known], next_id: Callable[[], str]) -> Grouped:
    """Places each entry in the current case of its fingerprint, or in a new one. Changes `current`."""
    touched: dict[str, Known] = {}
    placed: list[tuple[Entry, str]] = []
    for entry in sorted(entries, key=_order):
        name = (entry.use_case, entry.fingerprint)
        known = current.get(name)
        if known is None or _comes_back(known, entry.alert):
            known = current[name] = _opened(entry, known, next_id())
        known.join(entry.alert)
        touched[known.id] = known
        placed.append((entry, known.id))
    return Grouped(cases=tuple(touched.values()), placed=tuple(placed))


def _order(entry: Entry) -> tuple[datetime, bool]:
    return entry.alert.occurred_at, entry.alert.state is AlertState.RECOVERED


def _comes_back(known: Known, alert: Alert) -> bool:
    """A firing after the case was over. One that is older than what its key said since is only late."""
    return known.over and alert.state is AlertState.FIRING and not known.knows_newer(alert)


def _opened(entry: Entry, earlier: Known | None, case_id: str) -> Known:
    alert = entry.alert
    return Known(
        id=case_id,
        use_case=entry.use_case,
        fingerprint=entry.fingerprint,
        stage=Stage.DUE,
        title=alert.summary,
        first_at=alert.occurred_at,
        last_at=alert.occurred_at,
        episode=earlier.episode + 1 if earlier else 1,
        previous=earlier.id if earlier else None,
        seen_before=earlier is not None and (earlier.seen_before or earlier.decided),
        is_new=True,
        settle=entry.settle,
    )
