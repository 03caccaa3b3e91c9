"""`countersign worker`: one Celery worker that does the stages of the queues it is given."""

from __future__ import annotations

import gc
import os
import socket
from typing import Annotated

import typer

from countersign.errors import ConfigError
from workers import logs
from workers.app import QUEUES
from workers.console import Config, new_app
from workers.settings import load_settings
from workers.supervisor import die_with_parent

app = new_app("Run one worker, for containers: --queues names what it does.")
EVERY_S = 10.0
# So many a case or two make: Python's own 700 are a collection every millisecond.
YOUNG_OBJECTS = 20_000
ALL_QUEUES = ",".join(dict.fromkeys(QUEUES.values()))


@app.command()
def worker(
    config: Config = None,
    queues: Annotated[str, typer.Option(help="Queues to work on, with commas.")] = ALL_QUEUES,
    processes: Annotated[int, typer.Option(min=0, max=64, help="Processes; 0 for threads instead.")] = 0,
    threads: Annotated[
        int, typer.Option(min=0, max=1000, help="Threads, for queues that wait for models.")
    ] = 0,
) -> None:
    """Work until told to stop; what is in hand is finished or given back."""
    unknown = sorted(set(queues.split(",")) - set(QUEUES.values()))
    if unknown:
        raise ConfigError(f"There is no queue {', '.join(unknown)}; write some of {ALL_QUEUES}.")
    if bool(processes) == bool(threads):
        raise ConfigError("A worker has either --processes or --threads; name one of them.")
    die_with_parent()
    settings = load_settings(config)
    logs.set_up(settings.log_level)

    from workers.crowd import messages_at_once
    from workers.heart import Limits, enliven
    from workers.nursery import become_worker
    from workers.wakeful import keep_awake
    from workers.wiring import celery_app, warm_up

    warm_up(settings, queues.split(","))
    # What was imported stays: a collection that walks through it stops every thread, and in a child copies its pages.
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    if threads:
        become_worker()
    asking = threads if "assess" in queues.split(",") else 0
    pool = (
        ["--pool=prefork", f"--concurrency={processes}"]
        if processes
        else ["--pool=threads", f"--concurrency={messages_at_once(asking) if asking else threads}"]
    )
    celery = celery_app(settings, asking=asking)
    allowed = settings.workers
    # Several cases in one message may each take as long as one alone.
    task_s = allowed.task_limit.total_seconds() * (2 if asking else 1)
    limits = Limits(memory_mb=allowed.memory_mb, task_s=task_s) if threads else None
    enliven(celery, queues, limits=limits, every_s=min(EVERY_S, allowed.hang_after.total_seconds() / 4))
    keep_awake(celery)
    celery.worker_main(
        [
            "--quiet",
            "worker",
            f"--queues={queues}",
            *pool,
            "--loglevel=WARNING",
            f"--hostname={queues.replace(',', '-')}-{os.getpid()}@{socket.gethostname()}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
