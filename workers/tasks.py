"""The tasks: one Base, and one task a stage. Errors are handled here and nowhere else in the workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import structlog
from celery import Celery, Task
from celery.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from countersign.errors import CountersignError, Denied, Transient
from workers.act import act
from workers.assess import assess
from workers.parts import Parts, Wake
from workers.pull import pull
from workers.reporting import deliver
from workers.sweep import inherit, sweep
from workers.tracing import carried, headers, span
from workers.watch import watch

_log = structlog.get_logger()
if TYPE_CHECKING:
    _Task = Task[[list[str]], None]
else:
    _Task = Task  # generic in its stubs alone
Stage = Callable[[Parts, list[str]], Iterator[Wake]]

STAGES: dict[str, Stage] = {
    # The scheduler wakes for all that is configured; what no policy uses is left alone.
    "pull": lambda parts, ids: (w for feed in ids if feed in parts.sources for w in pull(parts, feed)),
    "assess": assess,
    "act": act,
    "watch": lambda parts, ids: (w for desk in ids if desk in parts.desks for w in watch(parts, desk)),
    "sweep": lambda parts, _ids: sweep(parts),
    "report": deliver,
}
# Ids in one message: as many as share their transactions well, and no more than one lease can carry.
BATCH = {"assess": 20, "act": 20}
# Cases of one message are recorded together, when the slowest model has answered.
BATCH_FOR_SLOW_MODELS = 10


class StageTask(_Task):
    """Runs a stage and sends its wake-ups. What a stage leaves undone lies in the ledger, due again."""

    abstract = True
    ignore_result = True
    parts: Callable[[], Parts]
    stage: str
    begun: set[int]

    def run(self, ids: object = (), *newer: object, **named: object) -> None:
        """What a newer release adds to a message is passed over: it is a wake-up, and the ledger knows the rest."""
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            _log.warning("wake.not_understood", stage=self.stage, do="nothing; the sweeper wakes what is due")
            return
        if newer or named:
            _log.info("wake.of_a_newer_version", stage=self.stage)
        self._run(ids)

    def _run(self, ids: list[str]) -> None:
        try:
            with span(f"countersign.{self.stage}", {"ids": len(ids)}, carried(self.request.headers)):
                # Taken once: a task sees one version of each policy, however long it runs.
                parts = self.parts()
                for wake in chain(self._inherited(parts), STAGES[self.stage](parts, ids)):
                    send(self.app, wake, slow_models=slow_models(parts))
        except Denied as problem:
            _log.error("stage.denied", stage=self.stage, where=problem.where, problem=str(problem))
        except Transient as problem:
            _log.warning("stage.later", stage=self.stage, where=problem.where, problem=str(problem))
        except SoftTimeLimitExceeded:
            _log.error("stage.too_slow", stage=self.stage, ids=len(ids))
        except CountersignError as problem:
            _log.error("stage.failed", stage=self.stage, problem=str(problem))
        except Exception:  # noqa: BLE001 - the task boundary: the rows are leased, and due again when the lease ends
            _log.exception("stage.broke", stage=self.stage, ids=ids[:5])

    def _inherited(self, parts: Parts) -> Iterator[Wake]:
        if os.getpid() not in self.begun:
            self.begun.add(os.getpid())
            yield from inherit(parts)


def register(app: Celery, parts: Callable[[], Parts]) -> None:
    """Makes the tasks known to a Celery application. `parts` is called in the worker's own process."""
    begun: set[int] = set()
    for stage in STAGES:
        task = type(
            f"{stage.capitalize()}Task",
            (StageTask,),
            {"name": f"countersign.{stage}", "stage": stage, "parts": staticmethod(parts), "begun": begun},
        )
        app.register_task(task())


def send(app: Celery, wake: Wake, *, slow_models: bool = False) -> None:
    """Sends wake-ups in batches. A broker that is away is no error: the sweeper sends them again."""
    size = BATCH_FOR_SLOW_MODELS if slow_models and wake.stage == "assess" else BATCH.get(wake.stage, 1)
    try:
        for ids in batches(wake.ids, size):
            app.send_task(
                f"countersign.{wake.stage}", args=[list(ids)], ignore_result=True, expires=wake.expires_s,
                headers=headers(),
            )  # fmt: skip
    except (OperationalError, RedisError, OSError) as problem:
        _log.warning("wake.lost", stage=wake.stage, ids=len(wake.ids), problem=type(problem).__name__)


def slow_models(parts: Parts) -> bool:
    """Whether any policy asks a model over the network: then fewer cases share a message."""
    return any(policy.model.waits for policy in parts.policies.values())


def batches(ids: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
