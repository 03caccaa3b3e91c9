"""Lanes: the seeded share of cases in which people work without seeing the verdict, to measure against."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class Lane(StrEnum):
    TREATED = "treated"
    CONTROL = "control"


NEAR = 0.5  # of the threshold: from here up to it a close hangs on little
_MOST = 0.5


def share_of(
    base: float,
    raised: float | None,
    *,
    risk: float | None,
    threshold: float | None,
    first_seen: bool,
    again: bool,
    drifting: bool = False,
) -> float:
    """The probability of the control lane for one case: `raised` near its threshold and for what is new.

    While something drifts it is doubled: the labels that tell whether the promise still holds come sooner.

    A case that is looked at `again` has the base share, so that none gets into the control lane once it was
    treated: the same draw that was above the first share is above the base.
    """
    if again:
        return base
    near = risk is not None and threshold is not None and NEAR * threshold <= risk <= threshold
    share = max(base, raised) if raised is not None and (near or first_seen) else base
    return audit_share(share) if drifting else share


def audit_share(share: float) -> float:
    """The control lane's share while something drifts: doubled, but not above half, and never lowered."""
    return max(share, min(_MOST, 2 * share))


def lane(*, seed: str, case_id: str, share: float) -> Lane:
    """The lane of a case: the same for ever for the same seed and case, CONTROL with probability `share`."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}\x1f{case_id}".encode()).digest()[:8], "big") / 2**64
    return Lane.CONTROL if drawn < share else Lane.TREATED
