"""Results: what the ledger holds of a use case beside its histories, as a report needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from countersign.reports import CorrectionLine
from countersign.thresholds.certificate import Certificate


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUse:
    """What one model was asked in a period, and what that cost in micro-dollars."""

    model: str
    calls: int
    micro_usd: int
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """The newest certificate of a category. `withdrawn` says when and `why`, once its monitor has spoken."""

    certificate: Certificate
    withdrawn: datetime | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCount:
    """Labels of one category so far, and how many of them say that a close is wrong."""

    n: int
    wrong: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """Corrections and model calls are those of the period; certificates and labels are those that hold at its end."""

    corrections: tuple[CorrectionLine, ...] = ()
    models: tuple[ModelUse, ...] = ()
    certificates: Mapping[str, Granted] = field(default_factory=dict)
    labels: Mapping[str, LabelCount] = field(default_factory=dict)
