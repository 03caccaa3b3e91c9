"""Monitors: whether wrong closes still keep to the allowed rate, told after every audited close.

Two statistics are watched, either of which gives the alarm:

* The *e-process* bets against "the rate is at most the allowed one": its wealth multiplies with every audit, and
  if the rate keeps to it, it ever reaches 1 / delta with probability delta at most (Ville 1939), however often
  one looks. It finds a rule that was never good enough.
* The *Shiryaev-Roberts* detector adds up such bets begun at every earlier audit, so that a long good past does
  not hide a change. While the rate keeps to the allowed one, an alarm comes on average no sooner than after
  `patience_of` audits (e-detectors: Shin, Ramdas and Rinaldo 2022).

How soon three times the allowed rate is found, after 2,000 audits at half of it, with at most 1 % false alarms in
5,000 audits at half of it (`python -m benchmarks.monitor`: 20,000 monitors for the alarms, 4,000 for the medians):

    allowed                0.5 %   1 %    2 %    5 %
    false alarms           0.8 %   0.8 %  0.7 %  0.8 %
    median audits          432     245    136    60
    knowing both rates     414     233    127    55
    no detector below      366     200    109    48

The fourth line is the Shiryaev-Roberts sum of the very likelihood ratio of three times to half the rate, as strict as
1 % false alarms let it be; ours is fair at the allowed rate too. The last: of 5,000 / n windows one has its share of
the 1 % or less, and no test of that size finds half of the changes in n audits (Neyman and Pearson).

Each bets on several higher rates at once (a mixture). An audit drawn with probability π moves the bet by
floor / π, `floor` being the smallest probability that any close has to be audited: the expectation of a bet is
then the population's, not the sample's (as in Waudby-Smith and Ramdas 2024, betting on weighted means).

An alarm stays: only a new certificate, with a monitor of its own, restores autonomy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from countersign.thresholds.binomial import binomial_cdf

# The bets: multiples of the allowed rate.
RATES = (2.0, 3.0, 5.0)
# From this allowed rate on: audits between false alarms of the detector while the rate is just the allowed one, and
# far more below it. As few as let false alarms at half the rate stay below 1 % in 5,000 audits.
_PATIENCE = ((0.05, 4_000.0), (0.02, 5_500.0), (0.01, 7_500.0), (0.005, 10_000.0), (0.0, 20_000.0))
_LARGEST = 1e250  # beyond any alarm, and far enough from the largest float

Alarm = Literal["never kept", "changed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Monitor:
    """The state for one category and version, renewed with every audit.

    `allowed` is the promised rate of wrong closes. `log_wealth` and `detector` hold one figure per bet.
    `alarm` says which statistic spoke first and `alarm_at` after how many audits; both stay.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    allowed: float
    delta: float
    floor: float
    patience: float
    log_wealth: tuple[float, ...]
    detector: tuple[float, ...]
    audits: int = 0
    wrong: int = 0
    alarm: Alarm | None = None
    alarm_at: int | None = None

    @classmethod
    def start(
        cls, *, allowed: float, floor: float = 1.0, delta: float = 0.01, patience: float | None = None
    ) -> Monitor:
        """A monitor that has seen nothing, as patient as its rate asks for. Raises ValueError for rates outside 0-1."""
        patience = patience_of(allowed) if patience is None else patience
        if not (0 < allowed < 1 and 0 < floor <= 1 and 0 < delta < 1 and patience > 1):
            raise ValueError(
                "A monitor needs allowed, floor and delta between 0 and 1, and patience above 1."
            )
        return cls(
            allowed=allowed,
            delta=delta,
            floor=floor,
            patience=patience,
            log_wealth=tuple(0.0 for _ in RATES),
            detector=tuple(0.0 for _ in RATES),
        )

    @property
    def evidence(self) -> float:
        """The wealth of the e-process: 1 is none, 1 / delta is an alarm."""
        return sum(math.exp(log) for log in self.log_wealth) / len(RATES)

    @property
    def change(self) -> float:
        """The detector's figure: `patience` is an alarm."""
        return sum(self.detector) / len(RATES)

    def audited(self, *, wrong: bool, probability: float | None = None) -> Monitor:
        """The monitor after one more audited close, drawn with this probability (None: with the floor).

        Raises ValueError for a probability below the floor: its weight would be more than was reckoned with.
        """
        probability = self.floor if probability is None else probability
        if not self.floor <= probability <= 1:
            raise ValueError(
                f"An audit was drawn with {probability}, outside {self.floor} to 1; lower the floor."
            )
        factors = bet_factors(self.allowed, weight=self.floor / probability, wrong=wrong)
        after = replace(
            self,
            log_wealth=tuple(
                min(math.log(_LARGEST), log + math.log(factor))
                for log, factor in zip(self.log_wealth, factors, strict=True)
            ),
            detector=tuple(
                min(_LARGEST, (1.0 + figure) * factor)
                for figure, factor in zip(self.detector, factors, strict=True)
            ),
            audits=self.audits + 1,
            wrong=self.wrong + wrong,
        )
        return after._alarmed() if self.alarm is None else after

    def _alarmed(self) -> Monitor:
        alarm: Alarm | None = None
        if self.evidence * self.delta >= 1:
            alarm = "never kept"
        elif self.change >= self.patience:
            alarm = "changed"
        return replace(self, alarm=alarm, alarm_at=self.audits if alarm else None)

    def to_json(self) -> str:
        return _JSON.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Monitor:
        """Raises ValueError for text that is not a monitor."""
        return _JSON.validate_json(text)


_JSON = TypeAdapter(Monitor)


def patience_of(allowed: float) -> float:
    """What the detector's figure has to reach for an alarm, by the allowed rate."""
    return next(patience for rate, patience in _PATIENCE if allowed >= rate or not rate)


def bet_factors(allowed: float, *, weight: float, wrong: bool) -> tuple[float, ...]:
    """What one audit of this weight (floor / probability) multiplies each bet by.

    A bet on rate q multiplies by 1 + λ·weight·(wrong - allowed), with the λ that makes it the likelihood ratio
    of q to the allowed rate where the weight is 1.
    """
    moved = weight * ((1.0 if wrong else 0.0) - allowed)
    # A multiple beyond what a rate can be is cut to seven eighths of the way to 1.
    rates = (min(multiple * allowed, allowed + 0.875 * (1.0 - allowed)) for multiple in RATES)
    return tuple(1.0 + (rate - allowed) / (allowed * (1.0 - allowed)) * moved for rate in rates)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trip:
    """A trip-wire that was touched: how many reopens since when, where fewer than `bound` are usual."""

    reopens: int
    bound: int
    since: datetime


def tripped(reopened_at: Sequence[datetime], *, now: datetime, window: timedelta, bound: int) -> Trip | None:
    """Whether `bound` or more tickets closed by us were reopened within the window that ends now.

    It stands beside the monitor because reopens come sooner than audits. It is no label: people reopen for
    other reasons, and leave what is wrong closed.
    """
    since = now - window
    reopens = sum(since < moment <= now for moment in reopened_at)
    return Trip(reopens=reopens, bound=bound, since=since) if reopens >= bound else None


def reopen_bound(closes: int, *, usual: float, delta: float = 0.001) -> int:
    """The bound that so many closes reach with probability delta at most, if `usual` is the share reopened."""
    low, high = 1, closes + 1
    while low < high:
        middle = (low + high) // 2
        if 1.0 - binomial_cdf(middle - 1, closes, usual) <= delta:
            high = middle
        else:
            low = middle + 1
    return low
