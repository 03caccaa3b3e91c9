"""What models cost: prices that are pinned beside this file, never fetched."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """US dollars for a million tokens read and written: the same figure is micro-dollars for one token."""

    read: float
    written: float

    def micro_usd(self, *, tokens_in: int, tokens_out: int) -> int:
        """What a call costs at most, rounded up: discounts for cached tokens are left out."""
        return math.ceil(tokens_in * self.read + tokens_out * self.written)


@cache
def prices() -> Mapping[str, Price]:
    """The pinned prices by model, as provider/name."""
    table = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
    return {name: Price(**price) for name, price in table.items()}


def priced(model: str) -> bool:
    """Whether a model's price is known; a use case with a budget must not ask one whose price is not."""
    return model in prices()
