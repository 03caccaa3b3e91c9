"""The heart: where the heartbeats of a Celery worker and of the scheduler come from."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.beat import ScheduleEntry, Scheduler
from celery.worker import state

from workers.heartbeat import GOOD_FOR, Heartbeat, renew

_log = structlog.get_logger()
# A pool of processes has ended what is too slow by then.
_GRACE = 1.2


class _WorkerHeart(bootsteps.StartStopStep):
    """Beats in the consumer's own loop, so it stops when that hangs or has no broker to take work from."""

    heartbeats: Sequence[Heartbeat]
    every_s: float
    limits: Limits | None

    def __init__(self, parent: Any, **more: Any) -> None:
        super().__init__(parent, **more)
        self.seen: dict[str, float] = {}

    def start(self, consumer: Any) -> None:
        self._beat(consumer)
        self._timer = consumer.timer.call_repeatedly(self.every_s, self._beat, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - called by Celery
        self._timer.cancel()

    def _beat(self, consumer: Any) -> None:
        now = time.monotonic()
        # By its own clock since it saw them first, because the one on the wall may jump. The list is a copy made in
        # one step: threads accept tasks meanwhile.
        begun = [task for task, request in list(state.requests.items()) if request.time_start]
        self.seen = {task: self.seen.get(task, now) for task in begun}
        started = list(self.seen.values())
        longest_s = consumer.app.conf.task_time_limit * _GRACE
        if takes_work(started, consumer.controller.concurrency, now=now, longest_s=longest_s):
            renew(self.heartbeats)
        if self.limits is not None and (why := self.limits.exceeded(started, resident_mb(), now=now)):
            _log.warning("worker.beyond_its_limits", why=why)
            # In order: what it holds is given back. What hangs keeps it from ending and beating; then it is killed.
            os.kill(os.getpid(), signal.SIGTERM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a worker of threads may take, which Celery limits in nothing: memory, and seconds for each task."""

    memory_mb: int
    task_s: float

    def exceeded(self, started: Sequence[float], resident: int, *, now: float) -> str:
        """Which limit is exceeded, as a sentence, or "". `started`: when the tasks began that it holds."""
        if resident > self.memory_mb:
            return f"it holds {resident} MB, and may {self.memory_mb}"
        slowest = max((now - at for at in started), default=0.0)
        return f"a task takes {slowest:.0f} s, and may {self.task_s:.0f}" if slowest > self.task_s else ""


def resident_mb() -> int:
    """Memory that this process holds; 0 where the system does not say (it is Linux that does)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def takes_work(started: Sequence[float], slots: int, *, now: float, longest_s: float) -> bool:
    """Whether there is room for a task, or one was taken within `longest_s`. `started`: when those held began."""
    return len(started) < slots or now - max(started) < longest_s


def enliven(app: Celery, heartbeats: Sequence[Heartbeat], *, limits: Limits | None, every_s: float) -> None:
    """Gives the workers of this application a heart that beats so often. Beyond its limits a worker ends by itself.

    For threads, which Celery limits in nothing; it replaces processes of a pool by itself.
    """
    its = {"heartbeats": heartbeats, "limits": limits, "every_s": every_s}
    app.steps["consumer"].add(type("WorkerHeart", (_WorkerHeart,), its))


class BeatingScheduler(Scheduler):
    """Celery's scheduler, which beats whenever the broker has taken a wake-up from it."""

    heartbeat = Heartbeat("beat")

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> Any:
        sent = super().apply_async(entry, *args, **kwargs)
        periods = [each["schedule"] for each in self.app.conf.beat_schedule.values()]
        self.heartbeat.renew(max(GOOD_FOR, 3 * timedelta(seconds=min(periods))))
        return sent
