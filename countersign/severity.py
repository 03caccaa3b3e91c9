"""How bad an alert is: five ordered steps, and the words by which other systems name them."""

from __future__ import annotations

from enum import Enum
from functools import total_ordering


@total_ordering
class Severity(Enum):
    """info < low < medium < high < critical. Compares with other severities only, never with strings."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Severity):
            return NotImplemented
        return _RANK[self] < _RANK[other]

    def __str__(self) -> str:
        return self.value

    @property
    def rank(self) -> int:
        """0 for info up to 4 for critical."""
        return _RANK[self]

    @classmethod
    def parse(cls, word: str) -> Severity:
        """Read the word of another system ("warning", "P1", "sev-2"); ValueError for an unknown one."""
        severity = _WORDS.get(word.strip().lower().replace("-", "").replace(" ", ""))
        if severity is None:
            known = ", ".join(_RANK_WORDS)
            raise ValueError(f'"{word[:40]}" is not a severity; write one of {known}.')
        return severity


_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_RANK_WORDS = tuple(severity.value for severity in Severity)
_WORDS = {
    **{severity.value: severity for severity in Severity},
    **dict.fromkeys(
        ("informational", "information", "notice", "debug", "ok", "planning", "p5", "sev5"), Severity.INFO
    ),
    **dict.fromkeys(("minor", "lowest", "p4", "sev4"), Severity.LOW),
    **dict.fromkeys(("warning", "warn", "moderate", "p3", "sev3"), Severity.MEDIUM),
    **dict.fromkeys(("error", "major", "p2", "sev2"), Severity.HIGH),
    **dict.fromkeys(
        ("fatal", "emergency", "alert", "highest", "blocker", "disaster", "p1", "p0", "sev1", "sev0"),
        Severity.CRITICAL,
    ),
}
