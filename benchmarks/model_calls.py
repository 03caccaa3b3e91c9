"""Cheap before dear: `python -m benchmarks.model_calls` counts calls and dollars per 1,000 alerts of the night.

The naive way asks a language model once per alert. Ours groups a storm first, asks once per case, and remembers
answers to equal questions. Both are billed with the same pinned price and the endpoint's own token counts.
"""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.litellm.prices import prices
from connectors.redis.server import EmbeddedRedis
from sandbox.model import TOKEN
from sandbox.scenario import play
from tests.workers.house import house

NAME, BILLED_AS = "openai/sandbox-small", "openai/gpt-4.1-mini"


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """What one night came to. `usd` figures are for 1,000 alerts."""

    alerts: int
    cases: int
    calls: int
    cached: int
    calls_per_1000_alerts: float
    naive_calls_per_1000_alerts: float
    usd_per_1000_alerts: float
    naive_usd_per_1000_alerts: float
    share_of_naive: float


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis() as broker:
        print(json.dumps({"billed_as": BILLED_AS, **asdict(counted(Path(folder), broker.url))}, indent=2))


def counted(folder: Path, broker: str) -> Counted:
    """Plays the night through a house that asks a language model about every case."""
    with house(folder, f"sqlite:///{folder / 'ledger.db'}", broker=broker) as home, new_client() as client:
        model = LiteLLMModel(
            NAME,
            timeout_s=30,
            client=client,
            api_base=f"{home.box.urls['model']}/v1",
            api_key=TOKEN,
            price=prices()[BILLED_AS],
        )
        home = home.with_models(model)
        play(home.box)
        home.once()
        reading = home.parts.ledger.reading
        tally, lines = reading.tally(), reading.cases(limit=100_000)
        calls = [call for line in lines for one in reading.story(line.id).decisions for call in one.calls]
    paid = [call for call in calls if call.outcome != "cached"]
    usd = sum(call.micro_usd for call in paid) / 1e6
    per = 1000 / tally.alerts
    mean = usd / len(paid)
    return Counted(
        alerts=tally.alerts,
        cases=len(lines),
        calls=len(paid),
        cached=len(calls) - len(paid),
        calls_per_1000_alerts=round(len(paid) * per, 1),
        naive_calls_per_1000_alerts=1000.0,
        usd_per_1000_alerts=round(usd * per, 4),
        naive_usd_per_1000_alerts=round(mean * 1000, 4),
        share_of_naive=round(len(paid) / tally.alerts, 3),
    )


if __name__ == "__main__":
    main()
