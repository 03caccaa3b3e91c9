"""Wakeful: lets a worker's loop hear at once that one of its threads has taken or finished a task.

Celery hands a thread's acknowledgement to the loop without waking it, and the loop sleeps until its next timer:
with a timer every ten seconds, a worker on threads took work every ten seconds, whatever waited for it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from celery import Celery, bootsteps
from celery.concurrency.thread import TaskPool
from celery.signals import task_postrun, task_prerun


class _Bell(bootsteps.StartStopStep):
    """A pipe from the threads to the loop, for as long as the consumer has its connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    pipe: tuple[int, int] | None = None

    def start(self, consumer: Any) -> None:
        if consumer.hub is None or not isinstance(consumer.pool, TaskPool):
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


def keep_awake(app: Celery) -> None:
    """Gives the workers of this application a bell."""
    app.steps["consumer"].add(_Bell)
