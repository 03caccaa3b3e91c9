"""The policy: the written boundary of one use case, its loader, its words and its reference."""

from countersign.policy.calendars import Window
from countersign.policy.differences import Edit, diff, edits
from countersign.policy.loader import load_policy
from countersign.policy.problems import PolicyError, Problem
from countersign.policy.reference import json_schema_text, reference_markdown
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
from countersign.policy.words import describe

__all__ = [
    "CATEGORIES",
    "Approvals",
    "Approvers",
    "Change",
    "Edit",
    "Escalation",
    "Limits",
    "NeverClose",
    "Owners",
    "Policy",
    "PolicyError",
    "Problem",
    "Rule",
    "Scope",
    "SeverityRange",
    "Threshold",
    "When",
    "Window",
    "describe",
    "diff",
    "edits",
    "json_schema_text",
    "load_policy",
    "reference_markdown",
]
