"""Figures: what a policy asks to be measured, on the histories of its cases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from countersign.errors import ConfigError
from countersign.kpis.engine import measure
from countersign.kpis.figures import Figure
from countersign.kpis.history import TicketHistory, as_columns
from countersign.kpis.settings import Measuring
from countersign.kpis.times import BusinessHours
from countersign.policy import Policy
from countersign.policy.durations import parse_duration

# What the ledger records of a case; every other field of a history is unknown, not absent.
RECORDED = frozenset(
    {
        "opened", "acknowledged", "resolved", "reopened", "finished", "category", "priority", "service",
        "cluster", "lane", "reopens", "alerts", "closed_by_policy", "wrong", "draft", "model_usd",
    }
)  # fmt: skip


def figures_of(policy: Policy, histories: Sequence[TicketHistory], *, until: datetime) -> tuple[Figure, ...]:
    """Every figure of one use case, by the policy's business hours and reopening window."""
    business = BusinessHours()
    if policy.report is not None:
        business = BusinessHours(text=policy.report.business_hours, zone=policy.report.zone)
    how = Measuring(until=until, reopened_within=policy.feedback.reopened_within, business=business)
    return measure(as_columns(histories, recorded=RECORDED), how)


def length(text: str) -> timedelta:
    """A length of time as a person types it. Raises ConfigError with what to write."""
    try:
        return parse_duration(text)
    except ValueError as problem:
        raise ConfigError(f"--since: {problem}") from None
