"""`countersign worker`: one Celery worker that does the stages of the queues it is given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from countersign.errors import ConfigError
from workers import logs
from workers.app import QUEUES, run_worker
from workers.console import Config, new_app
from workers.settings import load_settings
from workers.supervisor import die_with_parent

app = new_app("Run one worker, for containers: --queues names what it does.")
EVERY_S = 10.0
ALL_QUEUES = ",".join(dict.fromkeys(QUEUES.values()))


@app.command()
def worker(
    config: Config = None,
    queues: Annotated[str, typer.Option(help="Queues to work on, with commas.")] = ALL_QUEUES,
    processes: Annotated[
        int, typer.Option(min=0, max=64, show_default=False, help="Processes; name these, threads, or both.")
    ] = 0,
    threads: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            show_default=False,
            help="Threads of each process, for queues that wait for others.",
        ),
    ] = 0,
) -> None:
    """Work until told to stop; what is in hand is finished or given back.

    With both --processes and --threads each process has so many threads, unless the embedded model alone is asked.
    """
    doing = queues.split(",")
    unknown = sorted(set(doing) - set(QUEUES.values()))
    if unknown:
        raise ConfigError(f"There is no queue {', '.join(unknown)}; write some of {ALL_QUEUES}.")
    if not processes and not threads:
        raise ConfigError("A worker has --processes, --threads or both; name one of them.")
    die_with_parent()
    settings = load_settings(config)
    logs.set_up(settings.log_level)

    from workers.crowd import messages_at_once
    from workers.heart import Limits, enliven
    from workers.heartbeat import Heartbeat, of_worker, renew
    from workers.nursery import become_worker, keep_to_one_core
    from workers.wakeful import keep_awake
    from workers.wiring import LOCAL, celery_app, warm_up

    beating: Sequence[Heartbeat] = of_worker(queues, processes if threads else 1)
    renew(beating)  # who hangs from here on is known to have begun
    models = warm_up(settings, doing)
    renew(beating)
    # The embedded model waits for nothing. A pool gives its messages to another child when a case kills one.
    on_threads = bool(threads) and not (processes and models == {LOCAL})
    if on_threads:
        place = become_worker(len(beating))
        keep_to_one_core(place, len(beating))
        beating = (beating[place],)
    asking = (threads or settings.workers.model_threads) if "assess" in doing else 0
    celery = celery_app(settings, asking=asking)
    allowed = settings.workers
    # Several cases in one message may each take as long as one alone.
    task_s = allowed.task_limit.total_seconds() * (2 if asking else 1)
    limits = Limits(memory_mb=allowed.memory_mb, task_s=task_s) if on_threads else None
    enliven(celery, beating, limits=limits, every_s=min(EVERY_S, allowed.hang_after.total_seconds() / 4))
    keep_awake(celery)
    if on_threads:
        at_once = messages_at_once(asking) if asking else threads
        sys.exit(run_worker(celery, doing, pool="threads", concurrency=at_once))
    sys.exit(run_worker(celery, doing, pool="prefork", concurrency=processes))
