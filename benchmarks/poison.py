"""A worker whose model kills its process over one case, restarted like `up` does: `python -m benchmarks.poison`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType

from benchmarks.worker import Instant
from countersign.policy import Policy
from countersign.ports import Completion, Model
from countersign.prompts import Prompt
from workers import logs
from workers.app import new_app, run_worker
from workers.crowd import crowd_for, messages_at_once
from workers.nursery import become_worker
from workers.parts import Parts
from workers.settings import Workers, load_settings
from workers.supervisor import PARENT_VARIABLE, die_with_parent
from workers.tasks import register
from workers.wakeful import keep_awake
from workers.wiring import open_parts, warm_up

AS_UP = Workers()
QUEUES = "pull,assess,act,watch,control"


@dataclass(frozen=True, slots=True)
class Poisonable:
    """A model that dies of one prompt without a word, and else answers as the one behind it, after so many seconds."""

    behind: Model
    latency_s: float

    @property
    def name(self) -> str:
        return self.behind.name

    def most(self, prompt: Prompt) -> int | None:
        return self.behind.most(prompt)

    def complete(self, prompt: Prompt) -> Completion:
        time.sleep(self.latency_s)
        if "poison" in str(prompt):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.behind.complete(prompt)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poison", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--queues", default=QUEUES)
    parser.add_argument("--latency", type=float, default=0.0, help="Seconds that a model takes.")
    parser.add_argument("--worker", action="store_true", help="Be the worker, not who starts it again.")
    pool = parser.add_mutually_exclusive_group(required=True)
    pool.add_argument("--processes", dest="pool", action="store_const", const="prefork")
    pool.add_argument("--threads", dest="pool", action="store_const", const="threads")
    asked = parser.parse_args()
    if asked.worker:
        _work(asked)
    else:
        _keep([sys.executable, "-m", "benchmarks.poison", *sys.argv[1:], "--worker"])


def _keep(command: list[str]) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def end(_number: int, _frame: FrameType | None) -> None:
        for process in running:
            process.kill()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        running[:] = [subprocess.Popen(command, env={**os.environ, PARENT_VARIABLE: str(os.getpid())})]
        running[0].wait()


def _work(asked: argparse.Namespace) -> None:
    die_with_parent()
    logs.set_up("ERROR")
    settings = load_settings(asked.config)
    warm_up(settings, asked.queues.split(","))
    if asked.pool == "threads":
        become_worker(AS_UP.model_processes)
    app = new_app(settings, asked.broker)

    @cache
    def parts(_process: int) -> Parts:
        opened = open_parts(settings)
        return _over_the_network(opened, asked.latency) if asked.latency else _embedded(opened)

    register(app, lambda: parts(os.getpid()))
    keep_awake(app)
    at_once = messages_at_once(AS_UP.model_threads) if asked.pool == "threads" else AS_UP.model_processes
    sys.exit(run_worker(app, asked.queues.split(","), pool=asked.pool, concurrency=at_once))


def _embedded(parts: Parts) -> Parts:
    """The embedded model, which dies of that case."""
    return replace(parts, models=lambda policy: [Poisonable(model, 0.0) for model in parts.models(policy)])


def _over_the_network(parts: Parts, latency_s: float) -> Parts:
    """As if every policy asked a model over the network, which takes its time."""
    return replace(
        parts,
        policies={name: _asking(policy) for name, policy in parts.policies.items()},
        models=lambda _policy: [Poisonable(Instant(), latency_s)],
        local=None,
        crowd=crowd_for(AS_UP.model_threads),
    )


def _asking(policy: Policy) -> Policy:
    asked = policy.model.model_copy(update={"candidates": ("openai/slow",)})
    return policy.model_copy(update={"model": asked})


if __name__ == "__main__":
    main()
