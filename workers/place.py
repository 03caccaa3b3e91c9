"""Place: what a process is called in leases, and whether the one of a name is known to be gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NUMBERS = Path("/proc/self/ns/pid")


def place() -> str:
    """Where a process's number means one process: this start of this machine, and this container.

    Host names do not say it: two machines or containers may share one. "" where the system does not tell (it is
    Linux that does).
    """
    try:
        known = f"{_BOOT.read_text(encoding='ascii').strip()} {_NUMBERS.readlink()}"
    except OSError:
        return ""
    return sha256(known.encode()).hexdigest()[:8]


def name() -> str:
    """This process's: `host:number` and, where it is known, `@place`."""
    here = place()
    return f"{socket.gethostname()}:{os.getpid()}" + (f"@{here}" if here else "")


def gone_from_here() -> Callable[[str], bool]:
    """Tells of a name whether its process is gone for certain: it was at this place, and nobody has its number."""
    here = place()

    def gone(worker: str) -> bool:
        rest, _, there = worker.rpartition("@")
        number = rest.rpartition(":")[2]
        return bool(here) and there == here and number.isdecimal() and not _runs(int(number))

    return gone


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
