"""The supervisor of `countersign up`: starts the roles as processes, restarts what dies or hangs, ends all in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal

import structlog

from workers.heartbeat import Heartbeat

_log = structlog.get_logger()
PARENT_VARIABLE = "COUNTERSIGN_PARENT"
PATIENCE_S = 30.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
# So much longer may one be silent that is starting: it beats when it begins, again when it has learnt what it has to,
# and then once it is connected.
_STARTING_S, _STARTING_BEATS = 5.0, 3
# Who has slept for so long itself, with the others perhaps, judges nobody by what it missed.
_SLEPT_S = 3.0
# Who has run for so long did not die of its start: it is started again without a longer wait.
_SETTLED_S = 10.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Role:
    """One process: its arguments after `countersign`, its heartbeats (one for each child that takes work), how long
    one may stay away, how it has been.
    """

    name: str
    arguments: Sequence[str]
    heartbeats: Sequence[Heartbeat]
    hang_after_s: float
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts: int = 0
    wait_s: float = _FIRST_WAIT_S
    due: float = 0.0
    last_beats: dict[Heartbeat, str] = field(default_factory=dict)
    heard: dict[Heartbeat, float] = field(default_factory=dict)
    beats: dict[Heartbeat, int] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def begin(self, now: float) -> None:
        """It has just been started."""
        self.started, self.starts = now, self.starts + 1
        self.last_beats = {one: one.last() for one in self.heartbeats}
        self.heard = dict.fromkeys(self.heartbeats, now)
        self.beats = dict.fromkeys(self.heartbeats, 0)

    @property
    def may_be_silent_s(self) -> float:
        """For how long it is not thought to hang."""
        starting = min(self.beats.values(), default=0) < _STARTING_BEATS
        return self.hang_after_s + (_STARTING_S if starting else 0.0)

    def listen(self, now: float) -> float:
        """For how long the one has been silent that was silent for longest, in seconds.

        Heard is a beat that differs from the last one: the clocks that it was written by may jump.
        """
        for one in self.heartbeats:
            if (beat := one.last()) != self.last_beats.get(one, ""):
                self.last_beats[one], self.heard[one] = beat, now
                self.beats[one] = self.beats.get(one, 0) + 1
        return now - min(self.heard.values(), default=now)

    def excuse(self, until: float) -> None:
        """None need have been heard before then."""
        self.heard = {one: max(heard, until) for one, heard in self.heard.items()}


@dataclass(slots=True)
class Supervisor:
    """Keeps roles running until it is told to stop by SIGTERM or SIGINT.

    A role that was not heard for too long is ended and started anew, unless nobody can work: `can_work` is whether
    the broker answers.
    """

    roles: Sequence[Role]
    environment: Mapping[str, str]
    can_work: Callable[[], bool]
    stopping: bool = field(default=False)
    _looked: float = field(default=0.0)

    def run(self, *, tick: Callable[[], None] = lambda: None) -> None:
        """Starts everything and watches over it; `tick` is called about twice a second."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self.stopping:
                now = time.monotonic()
                for role in self.roles:
                    self._keep(role, now)
                    self._watch(role, now)
                self._looked = now
                tick()
                time.sleep(0.5)
        finally:
            self.stop_all()

    def states(self) -> dict[str, dict[str, object]]:
        """What health shows of each role."""
        return {role.name: {"alive": role.alive, "restarts": max(role.starts - 1, 0)} for role in self.roles}

    def stop_all(self) -> None:
        """Asks every role to finish what it holds, and ends those that have not after `PATIENCE_S` seconds."""
        for role in self.roles:
            if role.alive and role.process is not None:
                role.process.terminate()
        deadline = time.monotonic() + PATIENCE_S
        for role in self.roles:
            if role.process is None:
                continue
            try:
                role.process.wait(timeout=max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                _log.warning("role.killed", role=role.name)
                _end(role.process)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _watch(self, role: Role, now: float) -> None:
        """Ends a role that exists and does nothing; `_keep` starts it again."""
        silent_s = role.listen(now)
        if now - self._looked > _SLEPT_S:
            role.excuse(now)
            return
        if role.process is None or not role.alive:
            return
        match judged(silent_s, role.may_be_silent_s, self.can_work):
            case "excused":
                role.excuse(now)
            case "hung":
                _log.warning("role.hung", role=role.name, silent_s=round(silent_s))
                _end(role.process)

    def _keep(self, role: Role, now: float) -> None:
        if role.alive:
            if now - role.started > _SETTLED_S:
                role.wait_s = _FIRST_WAIT_S
            return
        if role.process is not None:
            _log.warning("role.died", role=role.name, status=role.process.returncode, again_in_s=role.wait_s)
            role.process, role.due = None, now + role.wait_s
            role.wait_s = min(role.wait_s * 2, _LONGEST_WAIT_S)
        if now >= role.due:
            self._start(role, now)

    def _start(self, role: Role, now: float) -> None:
        role.process = subprocess.Popen(
            [sys.executable, "-m", "workers", *role.arguments],
            env={**os.environ, **self.environment, PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the supervisor, which then asks the roles to finish.
            start_new_session=True,
        )
        role.begin(now)
        _log.info("role.started", role=role.name, pid=role.process.pid)


def judged(
    silent_s: float, hang_after_s: float, can_work: Callable[[], bool]
) -> Literal["well", "excused", "hung"]:
    """What a silence means. Asked early whether there is a broker: without one nobody beats, nor finds back at once."""
    if silent_s <= hang_after_s / 2:
        return "well"
    if not can_work():
        return "excused"
    return "hung" if silent_s > hang_after_s else "well"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that does not hear, and its children with it: its session is its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def die_with_parent() -> None:
    """Asks the kernel to end this process when its supervisor is gone (Linux only)."""
    parent = os.environ.get(PARENT_VARIABLE)
    if not parent or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        raise SystemExit("The supervisor is gone; start countersign up again.")
