"""Which way an edit of a policy points: does it narrow what may be done without a person, or widen it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from countersign.policy.rules import When
from countersign.severity import Severity

# `unclear` where it depends on the cases: backtest it.
Direction = Literal["narrows", "widens", "unclear"]
Judge = Callable[[Any, Any], Direction]


def span(before: frozenset[Any], after: frozenset[Any]) -> Direction:
    """A part of the old set narrows."""
    return "narrows" if after < before else "widens" if before < after else "unclear"


def fewer(before: tuple[Any, ...] | None, after: tuple[Any, ...] | None) -> Direction:
    """Fewer narrow; nothing written means everything."""
    if before is None or after is None:
        return "narrows" if before is None else "widens"
    return span(frozenset(before), frozenset(after))


def more(before: tuple[Any, ...], after: tuple[Any, ...]) -> Direction:
    """More narrow."""
    return span(frozenset(after), frozenset(before))


def lower(before: Any, after: Any) -> Direction:
    """Less narrows; nothing written means no limit."""
    if before is None or after is None:
        return "narrows" if before is None else "widens"
    return "narrows" if after < before else "widens"


def higher(before: Any, after: Any) -> Direction:
    """More narrows."""
    return "narrows" if after > before else "widens"


def _added(before: Any, _after: Any) -> Direction:
    return "narrows" if before is None else "widens"


def _ranked(*words: str) -> Judge:
    """Words from the most careful to the boldest."""
    return lambda before, after: lower(words.index(before), words.index(after))


POWER_OF_PROMISE = _ranked("close", "ticket")
POWER = _ranked("hold", "route", "draft_note", "draft_change", "close")

DIRECTIONS: dict[str, Judge] = {
    "autonomy": _ranked("observe", "draft", "act"),
    "scope.sources": fewer,
    "scope.services": fewer,
    "scope.require": more,
    "scope.tickets.create": _ranked("never", "when_missing"),
    "scope.data.visible": fewer,
    "scope.data.redact": more,
    "model.budget.usd_per_day": lower,
    "never_close.severity": _added,
    "never_close.severity.at_least": lower,
    "never_close.first_seen": higher,
    "never_close.services": more,
    "never_close.tags": more,
    "never_close.calendars": more,
    "limits.closes_per_hour": lower,
    "limits.closes_per_service_per_day": lower,
    "control_lane": higher,
    "approvals.approvers.people": fewer,
    "approvals.expires_after": lower,
    "feedback.quorum": higher,
    "feedback.lessons_per_person": lower,
    "feedback.lessons_per_cluster": lower,
    "storms.at_least": lower,
}


def together(steps: list[Direction]) -> Direction:
    """One direction for several steps: only when all of them point the same way."""
    return steps[0] if len(set(steps)) == 1 else "unclear"


def of_conditions(before: When, after: When) -> Direction:
    """Whether a rule matches fewer cases than before."""
    steps: list[Direction] = [
        fewer(getattr(before, name), getattr(after, name))
        for name in ("category", "services", "tags", "source")
        if getattr(before, name) != getattr(after, name)
    ]
    if before.recovered != after.recovered:
        both = before.recovered is not None and after.recovered is not None
        steps.append("unclear" if both else _added(before.recovered, after.recovered))
    if before.severity != after.severity:
        steps.append(span(_severities(before), _severities(after)))
    return together(steps)


def _severities(when: When) -> frozenset[Severity]:
    return frozenset(step for step in Severity if when.severity is None or when.severity.covers(step))
