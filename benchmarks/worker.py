"""A worker for measuring: the product's own tasks, with a model that answers at once; or a task that does nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from celery import Celery

from countersign.ports import Completion
from countersign.prompts import Prompt
from workers import logs
from workers.app import new_app, run_worker
from workers.parts import Parts
from workers.settings import Settings, load_settings
from workers.supervisor import die_with_parent
from workers.tasks import register
from workers.wiring import open_parts

_ANSWER = json.dumps(
    {
        "category": "availability",
        "severity": "medium",
        "actionability": "act",
        "group": None,
        "summary": "The service answers slowly",
        "likely_cause": "The last rollout raised its memory use",
        "evidence": ["a1"],
        "confidence": "medium",
    }
)


class Instant:
    """A model without latency: what is measured is everything around it."""

    name = "local"

    def most(self, prompt: Prompt) -> int:  # noqa: ARG002
        return 0

    def complete(self, prompt: Prompt) -> Completion:  # noqa: ARG002 - it answers everything alike
        return Completion(text=_ANSWER, model=self.name, is_llm=False)


def measured_app(settings: Settings) -> Celery:
    """The product's application, and `benchmark.noop` beside its stages."""
    app = new_app(settings, settings.broker.get_secret_value())

    @cache
    def parts(_process: int) -> Parts:
        return replace(open_parts(settings), models=lambda _policy: (Instant(),))

    register(app, lambda: parts(os.getpid()))
    app.task(name="benchmark.noop", ignore_result=True)(_nothing)
    return app


def _nothing(_ids: list[str]) -> None:
    """What a message costs when nothing is done with it."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--queues", required=True)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    die_with_parent()
    logs.set_up("ERROR")
    app, queues = measured_app(load_settings(arguments.config)), arguments.queues.split(",")
    sys.exit(run_worker(app, queues, pool="prefork", concurrency=arguments.processes))


if __name__ == "__main__":
    main()
