"""Nursery: a process that has imported and learnt all it needs, and does nothing but fork workers on threads.

A case may kill its process, by its memory say. A worker that starts from nothing takes seconds from all other cases,
each time; one that is forked takes none. Pools of processes do the same inside Celery.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import structlog

from workers.supervisor import PARENT_VARIABLE, die_with_parent

_log = structlog.get_logger()
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Who was killed younger than this may die of its start: whoever started us waits before it starts us again.
_GROWN_S = 2.0


def become_worker(count: int = 1, *, now: Callable[[], float] = time.monotonic) -> int:
    """Returns in each of `count` children, which is to work, its place from 0; the process itself stays behind and
    never comes back from here.

    It hands on what it is told by SIGTERM, SIGINT and SIGQUIT, and forks another child when one was killed or has
    ended in order, beyond its limits say. When one fails the others are told to end, and it exits as that one did.
    """
    told: list[int] = []
    children: dict[int, tuple[int, float]] = {}

    def hand_on(number: int, _frame: FrameType | None = None) -> None:
        told.append(number)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, number)

    os.environ[PARENT_VARIABLE] = str(os.getpid())
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    usual = {number: signal.signal(number, hand_on) for number in _ENDING}
    unfilled, ended = deque(range(count)), 0
    while unfilled or children:
        while unfilled:
            place, born = unfilled.popleft(), now()
            child = os.fork()
            if not child:
                for number, handler in usual.items():
                    signal.signal(number, handler)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
                die_with_parent()
                return place
            children[child] = (place, born)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        child, status = os.wait()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        code, (place, born) = os.waitstatus_to_exitcode(status), children.pop(child)
        if not told and code <= 0 and now() - born >= _GROWN_S:
            how = (
                {"event": "worker.killed", "by": signal.Signals(-code).name}
                if code
                else {"event": "worker.ended"}
            )
            _log.warning(**how, do="another has taken its place")
            unfilled.append(place)
            continue
        ended = ended or (code if code >= 0 else 128 - code)
        if not told:
            hand_on(signal.SIGTERM)
    sys.exit(ended)


def keep_to_one_core(place: int, count: int) -> None:
    """Where there are as many children as cores each keeps to its own: hundreds of threads that hand Python's one lock
    from core to core take half as much time again for the same work. (Linux only.)
    """
    if sys.platform != "linux" or len(cores := sorted(os.sched_getaffinity(0))) != count:
        return
    os.sched_setaffinity(0, {cores[place]})
