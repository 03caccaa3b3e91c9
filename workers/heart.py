"""The heart: where the heartbeats of a Celery worker and of the scheduler come from."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.beat import ScheduleEntry, Scheduler
from celery.worker import state

from workers.heartbeat import GOOD_FOR, Heartbeat

_log = structlog.get_logger()
_EVERY_S = 10
_GRACE_S = 60


class _WorkerHeart(bootsteps.StartStopStep):
    """Beats in the consumer's own loop, so it stops when that hangs or has no broker to take work from."""

    heartbeat: Heartbeat
    memory_mb: int

    def start(self, consumer: Any) -> None:
        self._beat(consumer)
        self._timer = consumer.timer.call_repeatedly(_EVERY_S, self._beat, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - called by Celery
        self._timer.cancel()

    def _beat(self, consumer: Any) -> None:
        # A copy made in one step: threads accept tasks meanwhile.
        started = [request.time_start for request in list(state.requests.values())]
        longest_s = consumer.app.conf.task_time_limit + _GRACE_S
        if takes_work(
            [at for at in started if at],
            consumer.controller.concurrency,
            now=time.time(),
            longest_s=longest_s,
        ):
            self.heartbeat.renew()
        if self.memory_mb and (resident := resident_mb()) > self.memory_mb:
            _log.warning("worker.too_large", resident_mb=resident, limit_mb=self.memory_mb)
            # In order: what it holds is given back, and the supervisor starts another.
            os.kill(os.getpid(), signal.SIGTERM)


def resident_mb() -> int:
    """Memory that this process holds; 0 where the system does not say (it is Linux that does)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def takes_work(started: list[float], slots: int, *, now: float, longest_s: float) -> bool:
    """Whether there is room for a task, or one was taken within `longest_s`. `started`: UNIX times of those held."""
    return len(started) < slots or now - max(started) < longest_s


def enliven(app: Celery, role: str, *, memory_mb: int = 0) -> None:
    """Gives the workers of this application a heart. Above `memory_mb` (0: no limit) a worker ends by itself.

    For threads, which Celery limits in nothing; it replaces processes of a pool by itself.
    """
    heart = type("WorkerHeart", (_WorkerHeart,), {"heartbeat": Heartbeat(role), "memory_mb": memory_mb})
    app.steps["consumer"].add(heart)


class BeatingScheduler(Scheduler):
    """Celery's scheduler, which beats whenever the broker has taken a wake-up from it."""

    heartbeat = Heartbeat("beat")

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> Any:
        sent = super().apply_async(entry, *args, **kwargs)
        periods = [each["schedule"] for each in self.app.conf.beat_schedule.values()]
        self.heartbeat.renew(max(GOOD_FOR, 3 * timedelta(seconds=min(periods))))
        return sent
