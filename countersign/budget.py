"""Budgets: what model calls may cost in a day, reserved before a call and settled after it, in micro-dollars.

An account is one use case under one policy version on one day (UTC). A call is held at the most it can cost; a
worker that dies leaves its hold standing, so that the day's sum is never less than what was spent. The counters
live where they can be changed in one step (the purse); every grant and every settlement is also a row of the
ledger (the book), from which a purse that has lost its counters is filled again. Until it is, nothing is granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, Protocol

MICRO = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Where money is counted: a use case, a policy version, a day (2026-11-20, UTC)."""

    use_case: str
    policy_version: int
    day: str

    @property
    def key(self) -> str:
        return f"{self.use_case}:{self.policy_version}:{self.day}"


def account(use_case: str, policy_version: int, now: datetime) -> Account:
    """The account that a call made now belongs to."""
    return Account(
        use_case=use_case, policy_version=policy_version, day=now.astimezone(UTC).date().isoformat()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What a day may cost and from where on it is told, both in micro-dollars."""

    limit: int
    warn: int


def allowance(usd_per_day: Decimal, warn_at: float) -> Allowance:
    """Rounded down: a budget is never exceeded by a fraction."""
    limit = int(usd_per_day * MICRO)
    return Allowance(limit=limit, warn=int(limit * warn_at))


Answer = Literal["granted", "refused", "closed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What a purse said. `epoch` names the filling of the purse; `used` counts holds and settlements.

    `warned` is True for the first grant of the day that passes the share to warn at.
    """

    answer: Answer
    epoch: str = ""
    used: int = 0
    warned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """One call on an account: `held` is the most it could cost, `micro_usd` what it did (None while it is held)."""

    call_id: str
    account: Account
    case_id: str
    model: str
    held: int
    micro_usd: int | None = None
    category: str = ""
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def counts(self) -> int:
        """What it takes from the day: a call that nobody settled may have cost all it could."""
        return self.held if self.micro_usd is None else self.micro_usd


@dataclass(frozen=True, kw_only=True, slots=True)
class CostLine:
    """One row of `countersign costs`."""

    use_case: str
    category: str
    model: str
    day: str
    calls: int
    unsettled: int
    tokens_in: int
    tokens_out: int
    micro_usd: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PerThousand:
    """What 1,000 alerts take of language models, beside one call for each of them at the same price.

    Money is in micro-dollars; `naive_micro_usd` is None while no call was paid for, so that no price is known.
    """

    use_case: str
    alerts: int
    calls: float
    micro_usd: float
    naive_calls: float
    naive_micro_usd: float | None


def per_thousand(lines: Sequence[CostLine], alerts: Mapping[str, int]) -> tuple[PerThousand, ...]:
    """One for each use case that alerts came in for; `alerts` counts them since the day of the first line."""
    return tuple(
        _per_thousand(use_case, came, [one for one in lines if one.use_case == use_case])
        for use_case, came in sorted(alerts.items())
        if came
    )


def _per_thousand(use_case: str, alerts: int, lines: Sequence[CostLine]) -> PerThousand:
    calls, spent = sum(one.calls for one in lines), sum(one.micro_usd for one in lines)
    return PerThousand(
        use_case=use_case,
        alerts=alerts,
        calls=1000 * calls / alerts,
        micro_usd=1000 * spent / alerts,
        naive_calls=1000.0,
        naive_micro_usd=1000 * spent / calls if calls else None,
    )


class Purse(Protocol):
    """The day's counters. Every method is one atomic step and harmless when repeated with the same call id."""

    def reserve(self, account: Account, call_id: str, micro_usd: int, allowance: Allowance) -> Grant: ...

    def settle(self, account: Account, call_id: str, micro_usd: int, *, category: str) -> None: ...

    def epoch(self, account: Account) -> str:
        """Which filling the counters are of; "" while they are closed."""
        ...

    def begin(self, account: Account) -> str:
        """A token to fill a closed account with; "" where somebody else is at it, or it is open."""
        ...

    def fill(self, account: Account, token: str, rows: Sequence[Spent]) -> bool:
        """Opens a closed account with what the ledger knows; False where the token is no longer good."""
        ...

    def close(self) -> None: ...


class SpendingBook(Protocol):
    """The ledger's rows of the same calls."""

    def hold(self, spent: Spent) -> None:
        """Records a grant. The same call id again changes nothing."""
        ...

    def settle(self, spent: Spent) -> None:
        """Records what a call cost, whether it was held or not. The first settlement stands."""
        ...

    def on(self, account: Account) -> tuple[Spent, ...]: ...

    def costs(self, *, since: str) -> tuple[CostLine, ...]:
        """Sums since a day (2026-11-20), by use case, category, model and day."""
        ...

    def alerts(self, *, since: str) -> Mapping[str, int]:
        """How many alerts came in since then, by use case."""
        ...
