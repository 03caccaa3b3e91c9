"""Crowd: the threads on which one worker waits for models: so many calls at once, and a few more cases in hand.

A message brings several cases: they share their transactions and the question to the desk, and are asked about side
by side. None is claimed before there is room for it, because a claim is a lease; and whoever was answered makes room
for the next at once, while its neighbours still wait and the answers are recorded. A case is in hand for longer than
its call takes: it is claimed, its ticket is read and its bill is written. So there are more cases than calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from math import ceil
from threading import Event, Lock, Semaphore
from typing import TypeVar

from workers.tracing import in_this_trace

T = TypeVar("T")
R = TypeVar("R")
# Cases of one message wait for the slowest of them, so there are more messages in hand than would just fill the crowd.
_MESSAGES_PER_THREAD = 4
_LEAST = 4
# Cases in hand for each call that may be under way.
_IN_HAND = 1.2
# A task that waited for longer would be taken for one that hangs. Its message is a wake-up, and the sweeper has more.
PATIENCE_S = 60.0


class Crowd:
    """So many threads, shared by the tasks of a process. Without any, everything is done one after the other.

    `one_call` is to be held while a model is waited for: no more of them wait than `calls`, or than threads.
    """

    def __init__(self, threads: int = 0, *, calls: int = 0) -> None:
        self.one_call: AbstractContextManager[object] = Semaphore(calls) if calls else nullcontext()
        self._threads = self._free = threads
        self._changing = Lock()
        self._line = deque[_Waiting]()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="asking") if threads else None

    @contextmanager
    def room(self, wanted: int, *, patience_s: float = PATIENCE_S) -> Iterator[Room | None]:
        """Waits until so many threads (or all that there are) are free, and keeps them; None if none were in time."""
        taken = min(wanted, self._threads)
        if not self._taken_in_turn(taken, patience_s):
            yield None
            return
        room = Room(self._pool, self._leave, wanted=wanted, taken=taken)
        try:
            yield room
        finally:
            room.close()

    def _taken_in_turn(self, threads: int, patience_s: float) -> bool:
        waiting = _Waiting(threads)
        with self._changing:
            self._line.append(waiting)
            self._admit()
        if waiting.admitted.wait(patience_s):
            return True
        with self._changing:
            if not waiting.admitted.is_set():
                self._line.remove(waiting)
                self._admit()  # those behind may want less
        return waiting.admitted.is_set()

    def _leave(self, threads: int) -> None:
        with self._changing:
            self._free += threads
            self._admit()

    def _admit(self) -> None:
        """Who came first goes first. Nobody else is woken: hundreds of answers a second would wake dozens each."""
        while self._line and self._line[0].threads <= self._free:
            first = self._line.popleft()
            self._free -= first.threads
            first.admitted.set()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


@dataclass(eq=False, slots=True)
class _Waiting:
    threads: int
    admitted: Event = field(default_factory=Event)


class Room:
    """Threads of a crowd that are kept for so many cases, and given back one by one as the cases are done with."""

    def __init__(
        self, pool: ThreadPoolExecutor | None, leave: Callable[[int], None], *, wanted: int, taken: int
    ) -> None:
        self._pool = pool
        self._leave = leave
        self._to_come = wanted
        self._taken = taken
        self._changing = Lock()

    def map(self, do: Callable[[T], R], each: Sequence[T]) -> list[R]:
        """What `do` gives for each, in their order; raises what the first that failed raised, when all have ended."""
        if self._pool is None:
            return [do(one) for one in each]

        def done(one: T) -> R:
            try:
                return do(one)
            finally:
                self._one_less()

        asked = [self._pool.submit(in_this_trace(done), one) for one in each]
        failed = [problem for one in asked if (problem := one.exception()) is not None]
        if failed:
            raise failed[0]
        return [one.result() for one in asked]

    def close(self) -> None:
        """Gives back what is left: of cases that nobody could claim, or that were never asked about."""
        with self._changing:
            left, self._taken = self._taken, 0
        self._leave(left)

    def _one_less(self) -> None:
        """A thread is free when fewer cases are to come than threads are kept for them."""
        with self._changing:
            self._to_come -= 1
            over = max(0, self._taken - self._to_come)
            self._taken -= over
        self._leave(over)


def crowd_for(calls: int) -> Crowd:
    """The crowd of a worker that may have so many calls under way at once."""
    return Crowd(ceil(calls * _IN_HAND), calls=calls)


def messages_at_once(calls: int) -> int:
    """How many messages a worker should have in hand that may have so many calls under way."""
    return min(calls, max(_LEAST, calls // _MESSAGES_PER_THREAD))
