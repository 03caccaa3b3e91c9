"""Heartbeat: a file that says until when a role may be believed alive, for probes that can't ask over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from countersign.errors import ConfigError

FOLDER_VARIABLE = "COUNTERSIGN_HEARTBEATS"
GOOD_FOR = timedelta(seconds=60)
_ENDING = ".alive"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One role's file in the folder that COUNTERSIGN_HEARTBEATS names; without it, nothing is written."""

    role: str

    def last(self) -> str:
        """What it wrote last, for comparing only; "" before the first."""
        try:
            return self._file(os.environ[FOLDER_VARIABLE]).read_text(encoding="ascii")
        except (KeyError, OSError):
            return ""

    def _file(self, folder: str) -> Path:
        return Path(folder, self.role.replace(",", "-") + _ENDING)

    def renew(self, good_for: timedelta = GOOD_FOR) -> None:
        """To be called only where work has just been taken or could have been, never from a timer beside it."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return
        file = self._file(folder)
        fresh = file.with_suffix(".new")
        fresh.write_text((datetime.now(UTC) + good_for).isoformat(), encoding="ascii")
        fresh.replace(file)


def of_worker(queues: str, processes: int) -> tuple[Heartbeat, ...]:
    """One for each process that takes messages itself: a pool's children take theirs from their parent."""
    if processes <= 1:
        return (Heartbeat(queues),)
    return tuple(Heartbeat(f"{queues}-{place}") for place in range(1, processes + 1))


def renew(several: Iterable[Heartbeat]) -> None:
    """Renews each of them."""
    for one in several:
        one.renew()


def heartbeats() -> dict[str, datetime]:
    """The roles that have ever lived here, and until when each may be believed alive. Raises ConfigError."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        raise ConfigError(
            f"Heartbeats are off; set {FOLDER_VARIABLE} to a folder, for the role and the probe."
        )
    if not Path(folder).is_dir():
        raise ConfigError(f"{FOLDER_VARIABLE} names {folder}, which is no folder; make it.")
    return {
        file.stem: datetime.fromisoformat(file.read_text(encoding="ascii"))
        for file in sorted(Path(folder).glob(f"*{_ENDING}"))
    }
