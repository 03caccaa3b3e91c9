"""Shutdown: one word from a worker's main process to its pool, so that a batch is given back and not finished."""

from __future__ import annotations

import mmap
from typing import Any

from celery.signals import worker_shutting_down


class Shutdown:
    """Whether this worker was told to end. Made before the pool is forked, its children see the same byte."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def __call__(self) -> bool:
        return self._byte[0] != 0

    def begin(self, **_: Any) -> None:
        self._byte[0] = 1

    def listen(self) -> None:
        """Begins when Celery takes the first SIGTERM."""
        worker_shutting_down.connect(self.begin, weak=False)
