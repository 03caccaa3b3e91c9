"""Nursery: a process that has imported and learnt all it needs, and does nothing but fork the worker on threads.

A case may kill its process, by its memory say. A worker that starts from nothing takes seconds from all other cases,
each time; one that is forked takes none. Pools of processes do the same inside Celery.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import structlog

from workers.supervisor import PARENT_VARIABLE, die_with_parent

_log = structlog.get_logger()
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Who was killed younger than this may die of its start: whoever started us waits before it starts us again.
_GROWN_S = 2.0


def become_worker(now: Callable[[], float] = time.monotonic) -> None:
    """Returns in a child, which is to work; the process itself stays behind and never comes back from here.

    It hands on what it is told by SIGTERM, SIGINT and SIGQUIT, forks another child when one was killed, and exits as
    the child that ended by itself did.
    """
    told: list[int] = []
    children: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        with suppress(ProcessLookupError):
            os.kill(children[-1], number)

    os.environ[PARENT_VARIABLE] = str(os.getpid())
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    usual = {number: signal.signal(number, hand_on) for number in _ENDING}
    while True:
        born = now()
        child = os.fork()
        if not child:
            for number, handler in usual.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            die_with_parent()
            return
        children.append(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        if told or code >= 0 or now() - born < _GROWN_S:
            sys.exit(code if code >= 0 else 128 - code)
        _log.warning("worker.killed", by=signal.Signals(-code).name, do="another has taken its place")
