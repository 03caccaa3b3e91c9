"""500 at once: `python -m benchmarks.concurrency` assesses cases while every model answer takes 2 s.

Three figures from one run, each against the ideal (threads / latency): raw HTTP on threads, the model connector
alone, and whole cases through Celery (claim, ticket, context, question, decision, record), with the CPU that a case
takes in our workers, in the vendors' imitation and in Redis. Every message must be acknowledged. A run begins and ends
with calls that nothing follows or goes before, so beside the whole of it stands what was decided a second in between.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
import structlog
import yaml

from benchmarks.plant import cpu_s
from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel
from connectors.redis.server import EmbeddedRedis
from countersign.assessment import triage_answer
from countersign.policy.schema import CATEGORIES
from countersign.prompts import Prompt
from countersign.redaction import Redacted
from sandbox.model import TOKEN
from sandbox.server import Sandbox
from tests.workers.house import ROOT, write_config
from workers.parts import Parts, Wake
from workers.pull import pull
from workers.settings import Settings, load_settings
from workers.supervisor import PARENT_VARIABLE
from workers.tasks import send
from workers.wiring import celery_app, migrate, open_parts

NAME = "openai/sandbox-small"
LONGEST_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.add_argument("--cases", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2, help="Processes that share the threads.")
    parser.add_argument("--latency", type=float, default=2.0, help="Seconds that a model takes.")
    given = parser.parse_args()
    if given.cases < 4 * given.threads:
        parser.error("--cases has to be four times --threads, or all calls are hardly ever under way at once")
    told = measured(given.cases, given.threads, given.workers, given.latency)
    print(json.dumps({**told, "load_average": os.getloadavg()}, indent=2))
    if told["left_in_broker"]:
        sys.exit("Messages were left in the broker: the run does not count.")


def measured(cases: int, threads: int, workers: int, latency_s: float) -> dict[str, float]:
    """Rates a second, their ratios to the ideal and to raw HTTP, CPU in ms and memory in MB."""
    os.environ["OPENAI_API_KEY"] = TOKEN
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRedis() as broker,
        Sandbox(seed=5) as box,
        _provider(latency_s) as (url, provider),
    ):
        run = Run(folder=Path(folder), broker=broker, box=box, model_url=url, provider=provider)
        told = {
            "raw_http_per_s": _rate(cases, threads, _raw(url)),
            "connector_per_s": _rate(cases, threads, _connector(url)),
            **run.through_celery(cases, threads, workers),
        }
    ideal = threads / latency_s
    ratios = {f"{name.removesuffix('_per_s')}_to_ideal": round(rate / ideal, 3)
              for name, rate in told.items() if name.endswith("_per_s")}  # fmt: skip
    beside = round(told["cases_per_s"] / told["raw_http_per_s"], 3)
    return {"ideal_per_s": ideal, **told, **ratios, "cases_to_raw_http": beside}


@contextmanager
def _provider(latency_s: float) -> Iterator[tuple[str, int]]:
    """The model's address, and the process that stands for it."""
    command = [sys.executable, "-m", "benchmarks.provider", str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1", process.pid
    finally:
        process.kill()
        process.wait()


def _rate(calls: int, threads: int, call: Callable[[int], object]) -> float:
    """Calls per second on so many threads."""
    call(-1)
    started = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(call, range(calls)):
            pass
    return round(calls / (time.monotonic() - started), 1)


def _raw(model_url: str) -> Callable[[int], object]:
    """The same request over the same client, without anything else of ours around it."""
    client, key = new_client(), {"Authorization": f"Bearer {TOKEN}"}
    url = f"{model_url}/chat/completions"
    return lambda n: client.post(
        url,
        headers=key,
        json={"model": "sandbox-small", "messages": [{"role": "user", "content": f"disk {n} is full"}]},
    ).raise_for_status()


def _connector(model_url: str) -> Callable[[int], object]:
    model = LiteLLMModel(NAME, timeout_s=60, client=new_client(), api_base=model_url)
    schema = triage_answer(CATEGORIES, ()).model_json_schema()
    return lambda n: model.complete(
        Prompt(
            name="t",
            hash="0",
            shared=", ".join(CATEGORIES),
            schema=schema,
            case=Redacted(f"[a1] ⟦disk {n} is full⟧"),
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What stands around the workers: each of them is a process whose CPU is told apart."""

    folder: Path
    broker: EmbeddedRedis
    box: Sandbox
    model_url: str
    provider: int

    def through_celery(self, cases: int, threads: int, workers: int) -> dict[str, float]:
        """Whole cases: from the moment their messages are sent until the last is decided."""
        config = _config(self.folder, self.broker.url, self.box, self.model_url, threads // workers)
        settings = load_settings(config)
        migrate(settings)
        parts = open_parts(settings)
        with _started(config, threads // workers, workers) as nursery:
            _decide(parts, self.box, settings, cases // 2)  # imports, connections, what threads keep
            pids = {
                "workers": _children(nursery.pid),
                "vendors_and_driver": [os.getpid()],
                "redis": [self.broker.pid or 0], "provider": [self.provider],
            }  # fmt: skip
            before = _resident_mb(pids["workers"])
            due = _due(parts, self.box, cases)
            spent = {name: cpu_s(them) for name, them in pids.items()}
            course = _woken(parts, settings, due)
            spent = {name: cpu_s(them) - spent[name] for name, them in pids.items()}
            after = _resident_mb(pids["workers"])
        parts.close()
        return {
            "cases_per_s": round(cases / course[-1].at_s, 1),
            "in_between_per_s": round(_in_between(course, cases, threads), 1),
            **{f"{name}_cpu_ms_per_case": round(cpu / cases * 1000, 2) for name, cpu in spent.items()},
            "left_in_broker": _left(self.broker.url),
            "workers_mb": round(after),
            "workers_kb_per_case_grown": round((after - before) * 1000 / cases, 1),
        }


def _children(pid: int) -> list[int]:
    """The workers on threads that this process has forked."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def _left(broker: str) -> int:
    """Messages still queued or unacknowledged."""
    with redis.Redis.from_url(broker) as client:
        queued = sum(client.llen(key) for key in client.keys("*assess"))
        return int(queued + sum(client.hlen(key) for key in client.keys("*unacked")))


def _decide(parts: Parts, box: Sandbox, settings: Settings, cases: int) -> None:
    _woken(parts, settings, _due(parts, box, cases))


def _due(parts: Parts, box: Sandbox, cases: int) -> tuple[str, ...]:
    """Opens tickets and records their cases."""
    stamp = time.monotonic_ns()
    for n in range(cases):
        box.run(
            lambda n=n: box.servicenow.open_incident(  # type: ignore[misc]
                short_description=f"Disk {stamp}-{n} is slow", description=f"p95 of disk {stamp}-{n} grows"
            )
        )
    list(pull(parts, "servicenow"))
    return parts.ledger.cases.due_cases(limit=100_000)


@dataclass(frozen=True, slots=True)
class Sight:
    """How many cases were still undecided so many seconds after the first wake-up."""

    at_s: float
    left: int


def _woken(parts: Parts, settings: Settings, due: tuple[str, ...]) -> list[Sight]:
    """What was left from the first wake-up to the last decision."""
    started = time.monotonic()
    send(celery_app(settings), Wake("assess", due), slow_models=True)
    course = [Sight(0.0, len(due))]
    while course[-1].left:
        if course[-1].at_s > LONGEST_S:
            sys.exit("The cases were not decided in time.")
        # Counting takes its share of the two cores.
        time.sleep(1.0 if course[-1].left > len(due) // 10 else 0.2)
        left = parts.ledger.reading.tally().cases.get("due", 0)
        course.append(Sight(time.monotonic() - started, left))
    return course


def _in_between(course: Sequence[Sight], cases: int, threads: int) -> float:
    """Decisions a second while all threads had calls: after the first of them were done, before the last began."""
    full = [one for one in course if threads <= one.left <= cases - threads]
    return (full[0].left - full[-1].left) / (full[-1].at_s - full[0].at_s)


def _config(folder: Path, broker: str, box: Sandbox, model_url: str, threads: int) -> Path:
    policy = yaml.safe_load((ROOT / "policies" / "alert-triage.yaml").read_text(encoding="utf-8"))
    policy["model"] |= {"candidates": [NAME], "timeout": "60s"}
    policy["scope"]["sources"] = ["servicenow"]
    file = folder / "alert-triage.yaml"
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return write_config(
        folder, box, f"sqlite:///{folder / 'ledger.db'}", broker=broker, policies=[str(file)],
        models={"api_base": model_url}, workers={"model_threads": threads, "memory_mb": 2000},
    )  # fmt: skip


@contextmanager
def _started(config: Path, threads: int, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    pool = ["--queues", "assess", "--processes", str(workers), "--threads", str(threads)]
    with (config.parent / "workers.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", "worker", "--config", str(config), *pool],
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def _resident_mb(pids: Sequence[int]) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) for pid in pids)
    return pages * resource.getpagesize() / 1_000_000


if __name__ == "__main__":
    main()
