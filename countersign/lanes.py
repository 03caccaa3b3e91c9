"""Lanes: the seeded share of cases in which people work without seeing the verdict, to measure against."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Lane(StrEnum):
    TREATED = "treated"
    CONTROL = "control"


def lane(*, seed: str, case_id: str, share: float) -> Lane:
    """The lane of a case: the same for ever for the same seed and case, CONTROL with probability `share`."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}\x1f{case_id}".encode()).digest()[:8], "big") / 2**64
    return Lane.CONTROL if drawn < share else Lane.TREATED
