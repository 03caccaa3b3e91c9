"""Wakeful: what a worker's loop is told sooner than Celery tells it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.concurrency import prefork, thread

from workers.wakeful import keep_awake


class Timer:
    """What is called repeatedly, how often, and what was cancelled."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Any]] = []
        self.cancelled = 0

    def call_repeatedly(self, every_s: float, what: Any) -> Timer:
        self.set.append((every_s, what))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def _started(pool: Any) -> tuple[list[Any], SimpleNamespace]:
    """The steps of a worker that keeps awake, started beside this pool."""
    app = Celery(set_as_current=False)
    before = set(app.steps["consumer"])
    keep_awake(app)
    consumer = SimpleNamespace(hub=SimpleNamespace(add_reader=print, remove=print), pool=pool, timer=Timer())
    steps = [step(consumer) for step in app.steps["consumer"] - before]
    for step in steps:
        step.start(consumer)
    return steps, consumer


def test_a_pool_looks_for_dead_children_several_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery looks once, often a moment too early, and then after five seconds: half of two processes stood still."""
    looked: list[str] = []
    pool = prefork.TaskPool(2)
    monkeypatch.setattr(pool, "maintain_pool", lambda: looked.append("now"), raising=False)
    steps, consumer = _started(pool)
    ((every_s, look),) = consumer.timer.set
    look()
    assert (every_s < 1, looked) == (True, ["now"])
    for step in steps:
        step.stop(consumer)
    assert consumer.timer.cancelled == 1


def test_threads_are_not_looked_for() -> None:
    """A thread can't die alone."""
    steps, consumer = _started(thread.TaskPool(2))
    assert consumer.timer.set == []
    for step in steps:
        step.stop(consumer)
