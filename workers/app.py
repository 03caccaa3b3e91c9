"""The Celery application: queues, limits, the broker. Messages are wake-ups, so losing all of them is safe."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from celery import Celery
from kombu import Queue

from workers.settings import Settings

# Which queue a stage's messages go to: slow models never hold up closing.
QUEUES = {
    "pull": "pull",
    "assess": "assess",
    "act": "act",
    "watch": "watch",
    "sweep": "control",
    "report": "control",
}


def new_app(settings: Settings, broker: str) -> Celery:
    """A Celery application on this broker (a redis:// or redis+socket:// address)."""
    app = Celery("countersign", broker=broker, set_as_current=False)
    limit_s = settings.workers.task_limit.total_seconds()
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # There is none; else every thread that sends a message looks all installed packages through for it.
        result_backend_thread_safe=True,
        task_queues=[Queue(name) for name in dict.fromkeys(QUEUES.values())],
        task_default_queue="control",
        task_create_missing_queues=False,
        task_routes={f"countersign.{stage}": {"queue": queue} for stage, queue in QUEUES.items()},
        # The ledger is the queue of record: a message that is gone is sent again by the sweeper, and a message
        # that comes twice finds its rows leased or done.
        task_acks_late=False,
        task_soft_time_limit=limit_s * 0.8,
        task_time_limit=limit_s,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_max_memory_per_child=settings.workers.memory_mb * 1024,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=20,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "global_keyprefix": settings.key_prefix,
            "visibility_timeout": 2 * limit_s,
            "max_connections": settings.workers.model_threads + 20,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 20,
            "retry_on_timeout": True,
            # A wake-up that can't be sent is sent by the sweeper: whoever sends it waits for no broker.
            "max_retries": 1,
            "interval_start": 0.1,
        },
        beat_schedule={},
        timezone="UTC",
        enable_utc=True,
    )
    return app


def run_worker(
    app: Celery, queues: Sequence[str], *, pool: Literal["prefork", "threads"], concurrency: int
) -> int:
    """Works until told to stop, and gives the status to exit with. Celery's command line would do the same, half a
    second later.
    """
    worker = app.Worker(
        queues=list(queues), pool=pool, concurrency=concurrency, loglevel="WARNING", quiet=True,
        hostname=f"{'-'.join(queues)}-{os.getpid()}@{socket.gethostname()}",
        without_gossip=True, without_mingle=True, without_heartbeat=True,
    )  # fmt: skip
    worker.start()
    return int(worker.exitcode or 0)


def schedule(
    settings: Settings, feeds: tuple[str, ...], desks: tuple[str, ...]
) -> dict[str, dict[str, object]]:
    """What beat sends: reading is leased in the ledger, so two schedulers read nothing twice."""

    def every(stage: str, argument: str, period: timedelta) -> dict[str, object]:
        args = ([argument],) if argument else ([],)
        return {
            "task": f"countersign.{stage}",
            "schedule": period.total_seconds(),
            "args": args,
            # A wake-up that waited longer than the next one's time is of no use.
            "options": {"expires": max(period.total_seconds(), 5.0)},
        }

    timing = settings.timing
    return {
        **{f"pull {feed}": every("pull", feed, timing.pull) for feed in feeds},
        **{f"watch {desk}": every("watch", desk, timing.watch) for desk in desks},
        "sweep": every("sweep", "", timing.sweep),
    }


def host(broker: str) -> str:
    """The broker's address without its password, for messages to people."""
    return urlsplit(broker).netloc.rpartition("@")[2] or urlsplit(broker).path
