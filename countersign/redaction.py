"""Redaction: the only way from a text of the outside to the model. Placeholders are stable within a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Redacted:
    """Text that may leave for a model, a log or a trace. `hidden` maps each placeholder to what it stands for."""

    text: str
    hidden: Mapping[str, str] = field(default_factory=dict, repr=False)
