"""The supervisor of `countersign up`: starts the roles as processes, restarts what dies, stops all in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

import structlog

_log = structlog.get_logger()
PARENT_VARIABLE = "COUNTERSIGN_PARENT"
PATIENCE_S = 30.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
# Who has run for so long did not die of its start: it is started again without a longer wait.
_SETTLED_S = 10.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Role:
    """One process: its arguments after `countersign`, and how it has been doing."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts: int = 0
    wait_s: float = _FIRST_WAIT_S
    due: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Supervisor:
    """Keeps roles running until it is told to stop by SIGTERM or SIGINT."""

    roles: Sequence[Role]
    environment: Mapping[str, str]
    stopping: bool = field(default=False)

    def run(self, *, tick: Callable[[], None] = lambda: None) -> None:
        """Starts everything and watches over it; `tick` is called about twice a second."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self.stopping:
                for role in self.roles:
                    self._keep(role)
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
                role.process.kill()
                role.process.wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _keep(self, role: Role) -> None:
        now = time.monotonic()
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
        role.started, role.starts = now, role.starts + 1
        _log.info("role.started", role=role.name, pid=role.process.pid)


def die_with_parent() -> None:
    """Asks the kernel to end this process when its supervisor is gone (Linux only)."""
    parent = os.environ.get(PARENT_VARIABLE)
    if not parent or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        raise SystemExit("The supervisor is gone; start countersign up again.")
