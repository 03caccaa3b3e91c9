"""The nursery: who was killed is replaced by a fork, who ended by itself is not, and what is told is handed on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Each child adds a line to the file; `grown` is the seconds that each seems to have lived.
_CODE = """
import os, signal, sys, time
from itertools import count
from pathlib import Path
from workers.nursery import become_worker
children, grown = Path(sys.argv[1]), float(sys.argv[2])
become_worker(now=count(step=grown).__next__)
with children.open("a") as file:
    print(os.getpid(), os.getppid(), file=file)
born = len(children.read_text().splitlines())
"""
_KILLED_TWICE = _CODE + "os.kill(os.getpid(), signal.SIGKILL) if born < 3 else sys.exit(7)"
_TOLD = (
    _CODE
    + """
def told(number, _frame):
    print("told", signal.Signals(number).name, flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, told)
print("ready", flush=True)
time.sleep(60)
"""
)


@contextmanager
def _running(code: str, children: Path, *, grown: float = 10.0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, str(children), str(grown)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_was_killed_is_replaced(tmp_path: Path) -> None:
    """Two are killed, the third ends by itself: three children of one process, which exits as the third did."""
    with _running(_KILLED_TWICE, tmp_path / "children") as process:
        assert process.wait(30) == 7
    children = [line.split() for line in (tmp_path / "children").read_text().splitlines()]
    assert len({child for child, _ in children}) == 3
    assert {parent for _, parent in children} == {str(process.pid)}


def test_who_dies_young_is_not(tmp_path: Path) -> None:
    """It may die of its start: that is left to whoever starts processes, with a pause in between."""
    with _running(_KILLED_TWICE, tmp_path / "children", grown=0.5) as process:
        assert process.wait(30) == 128 + signal.SIGKILL
    assert len((tmp_path / "children").read_text().splitlines()) == 1


def test_what_it_is_told_the_worker_hears(tmp_path: Path) -> None:
    """SIGTERM ends the worker in its own way, and nobody takes its place."""
    with _running(_TOLD, tmp_path / "children") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "told SIGTERM\n"
        assert process.wait(30) == 3
    assert len((tmp_path / "children").read_text().splitlines()) == 1


def test_no_worker_outlives_its_nursery(tmp_path: Path) -> None:
    """Killed itself, it leaves nobody behind who would work beside the one that is started in its place."""
    with _running(_TOLD, tmp_path / "children") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.stdout.read() == "told SIGTERM\n"
