"""The policy: the written boundary of one use case, its loader, its words and its reference."""

from countersign.policy.calendars import Window
from countersign.policy.rules import Change, Rule, SeverityRange, Threshold, When
from countersign.policy.schema import (
    CATEGORIES,
    Approvals,
    Approvers,
    Escalation,
    Limits,
    NeverClose,
    Owners,
    Policy,
    Scope,
)

__all__ = [
    "CATEGORIES",
    "Approvals",
    "Approvers",
    "Change",
    "Escalation",
    "Limits",
    "NeverClose",
    "Owners",
    "Policy",
    "Rule",
    "Scope",
    "SeverityRange",
    "Threshold",
    "When",
    "Window",
]
