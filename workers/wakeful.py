"""Wakeful: lets a worker's loop hear at once what its threads take and finish, and soon that a process has died.

Celery hands a thread's acknowledgement to the loop without waking it, and the loop sleeps until its next timer:
with a timer every ten seconds, a worker on threads took work every ten seconds, whatever waited for it.

A pool is told of a child's death by a pipe that the kernel closes a moment before the child can be waited for. Looking
in that moment Celery finds it alive, and looks again after five seconds: half of a pool of two stood still for so long.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from celery import Celery, bootsteps
from celery.concurrency import prefork, thread
from celery.signals import task_postrun, task_prerun

_LOOK_EVERY_S = 0.2


class _Bell(bootsteps.StartStopStep):
    """A pipe from the threads to the loop, for as long as the consumer has its connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    pipe: tuple[int, int] | None = None

    def start(self, consumer: Any) -> None:
        if consumer.hub is None or not isinstance(consumer.pool, thread.TaskPool):
            return
        self.pipe = os.pipe()
        for end in self.pipe:
            os.set_blocking(end, False)
        consumer.hub.add_reader(self.pipe[0], self._heard)
        task_prerun.connect(self._ring, weak=False, dispatch_uid="bell")
        task_postrun.connect(self._ring, weak=False, dispatch_uid="bell")

    def stop(self, consumer: Any) -> None:
        if self.pipe is None:
            return
        task_prerun.disconnect(dispatch_uid="bell")
        task_postrun.disconnect(dispatch_uid="bell")
        consumer.hub.remove(self.pipe[0])
        pipe, self.pipe = self.pipe, None
        for end in pipe:
            os.close(end)

    def _heard(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.pipe[0], 4096) if self.pipe else None

    def _ring(self, **_signal: Any) -> None:
        # A full pipe will wake the loop as well as one more byte would.
        with suppress(BlockingIOError, OSError):
            if self.pipe:
                os.write(self.pipe[1], b"!")


class _Watch(bootsteps.StartStopStep):
    """Looks for dead children more often than Celery does."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None

    def start(self, consumer: Any) -> None:
        if consumer.hub is not None and isinstance(consumer.pool, prefork.TaskPool):
            self.timer = consumer.timer.call_repeatedly(_LOOK_EVERY_S, consumer.pool.maintain_pool)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - called by Celery
        if self.timer is not None:
            self.timer.cancel()


def keep_awake(app: Celery) -> None:
    """Gives the workers of this application a bell, and a watch over their children."""
    app.steps["consumer"].update({_Bell, _Watch})
