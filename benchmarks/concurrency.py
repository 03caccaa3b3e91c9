"""500 at once: `python -m benchmarks.concurrency` assesses cases while every model answer takes 2 s.

Three figures from one run, each against the ideal (threads / latency): raw HTTP on threads, the model connector
alone, and whole cases through Celery (claim, ticket, context, question, decision, record). Every message must be
acknowledged.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis
import structlog
import yaml

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
from workers.settings import load_settings
from workers.supervisor import PARENT_VARIABLE
from workers.tasks import send
from workers.wiring import celery_app, migrate, open_parts

NAME = "openai/sandbox-small"
LONGEST_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2, help="Processes that share the threads.")
    parser.add_argument("--latency", type=float, default=2.0, help="Seconds that a model takes.")
    given = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = TOKEN
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis() as broker, Sandbox(seed=5) as box:
        box.run(lambda: setattr(box.model, "latency_s", given.latency))
        told = {
            "raw_http_per_s": _rate(given.cases, given.threads, _raw(box)),
            "connector_per_s": _rate(given.cases, given.threads, _connector(box)),
            **_through_celery(Path(folder), broker.url, box, given.cases, given.threads, given.workers),
        }
    ideal = given.threads / given.latency
    ratios = {f"{name.removesuffix('_per_s')}_to_ideal": round(rate / ideal, 3)
              for name, rate in told.items() if name.endswith("_per_s")}  # fmt: skip
    print(json.dumps({"ideal_per_s": ideal, **told, **ratios, "load_average": os.getloadavg()}, indent=2))
    if told["left_in_broker"]:
        sys.exit("Messages were left in the broker: the run does not count.")


def _rate(calls: int, threads: int, call: Callable[[int], object]) -> float:
    """Calls per second on so many threads."""
    call(-1)
    started = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(call, range(calls)):
            pass
    return round(calls / (time.monotonic() - started), 1)


def _raw(box: Sandbox) -> Callable[[int], object]:
    """The same request without anything of ours around it."""
    client = httpx.Client(
        timeout=60, limits=httpx.Limits(max_connections=1000, max_keepalive_connections=1000),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )  # fmt: skip
    url = f"{box.urls['model']}/v1/chat/completions"
    return lambda n: client.post(
        url, json={"model": "sandbox-small", "messages": [{"role": "user", "content": f"disk {n} is full"}]}
    ).raise_for_status()


def _connector(box: Sandbox) -> Callable[[int], object]:
    model = LiteLLMModel(NAME, timeout_s=60, client=new_client(), api_base=f"{box.urls['model']}/v1")
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


def _through_celery(
    folder: Path, broker: str, box: Sandbox, cases: int, threads: int, workers: int
) -> dict[str, float]:
    """Whole cases: from the moment their messages are sent until the last is decided."""
    config = _config(folder, broker, box, threads)
    settings = load_settings(config)
    migrate(settings)
    parts = open_parts(settings)
    with _started(config, threads // workers, workers) as processes:
        _decide(parts, box, settings, workers * 4)  # imports, connections, the embedded model
        started = time.monotonic()
        _decide(parts, box, settings, cases)
        seconds = time.monotonic() - started
        memory = sum(_resident_mb(process.pid) for process in processes)
    with redis.Redis.from_url(broker) as client:
        left = sum(client.llen(key) for key in client.keys("*assess")) + sum(
            client.hlen(key) for key in client.keys("*unacked")
        )  # type: ignore[operator, arg-type, union-attr]
    return {
        "cases_per_s": round(cases / seconds, 1),
        "left_in_broker": left,
        "workers_mb": round(memory),
        "driver_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _decide(parts: Parts, box: Sandbox, settings: object, cases: int) -> None:
    """Opens tickets, records their cases, sends a message for each, and waits until all are decided."""
    stamp = time.monotonic_ns()
    for n in range(cases):
        box.run(
            lambda n=n: box.servicenow.open_incident(  # type: ignore[misc]
                short_description=f"Disk {stamp}-{n} is slow", description=f"p95 of disk {stamp}-{n} grows"
            )
        )
    from workers.pull import pull

    list(pull(parts, "servicenow"))
    due = parts.ledger.cases.due_cases(limit=100_000)
    send(celery_app(settings), Wake("assess", due), slow_models=True)  # type: ignore[arg-type]
    until = time.monotonic() + LONGEST_S
    while parts.ledger.cases.due_cases(limit=1) or _undecided(parts):
        if time.monotonic() > until:
            sys.exit("The cases were not decided in time.")
        time.sleep(0.05)


def _undecided(parts: Parts) -> int:
    return parts.ledger.reading.tally().cases.get("due", 0)


def _config(folder: Path, broker: str, box: Sandbox, threads: int) -> Path:
    policy = yaml.safe_load((ROOT / "policies" / "alert-triage.yaml").read_text(encoding="utf-8"))
    policy["model"] |= {"candidates": [NAME], "timeout": "60s"}
    policy["scope"]["sources"] = ["servicenow"]
    file = folder / "alert-triage.yaml"
    file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return write_config(
        folder, box, f"sqlite:///{folder / 'ledger.db'}", broker=broker, policies=[str(file)],
        models={"api_base": f"{box.urls['model']}/v1"}, workers={"model_threads": threads, "memory_mb": 2000},
    )  # fmt: skip


@contextmanager
def _started(config: Path, threads: int, workers: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "workers", "worker", "--config", str(config), "--queues", "assess"]
    environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
    log = (config.parent / "workers.log").open("wb")
    processes = [
        subprocess.Popen([*command, "--threads", str(threads)], env=environment, stderr=log)
        for _ in range(workers)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)
        log.close()


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1_000_000


if __name__ == "__main__":
    main()
