"""The nursery: who was killed is replaced by a fork, who ended by itself is not, and what is told is handed on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Each child adds a line to the file; `grown` is the seconds between two looks at the clock.
_CODE = """
import os, signal, sys, time
from itertools import count
from pathlib import Path
from workers.nursery import become_worker
children, grown = Path(sys.argv[1]), float(sys.argv[2])
place = become_worker(int(sys.argv[3]), now=count(step=grown).__next__)
with children.open("a") as file:
    print(os.getpid(), os.getppid(), place, file=file)
born = len(children.read_text().splitlines())
"""
_KILLED_TWICE = _CODE + "os.kill(os.getpid(), signal.SIGKILL) if born < 3 else sys.exit(7)"
_ENDED_TWICE = _CODE + "sys.exit(0 if born < 3 else 7)"
# The one at the second place is killed once, and the one in its stead ends all.
_TWO = (
    _CODE
    + """
def told(number, _frame):
    sys.exit(0)
signal.signal(signal.SIGTERM, told)
while place == 0:
    time.sleep(60)
while born < 2:
    born = len(children.read_text().splitlines())
os.kill(os.getpid(), signal.SIGKILL) if born == 2 else sys.exit(7)
"""
)
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
def _running(
    code: str, children: Path, *, grown: float = 10.0, count: int = 1
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, str(children), str(grown), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_was_killed_is_replaced(tmp_path: Path) -> None:
    """Two are killed, the third ends by itself: three children of one process, which exits as the third did."""
    with _running(_KILLED_TWICE, tmp_path / "children") as process:
        assert process.wait(30) == 7
    children = _children(tmp_path)
    assert len({child for child, _, _ in children}) == 3
    assert {parent for _, parent, _ in children} == {str(process.pid)}


def test_who_ended_in_order_is_replaced(tmp_path: Path) -> None:
    """Beyond its limits a worker ends by itself: a small one takes its place, and nothing is learnt anew."""
    with _running(_ENDED_TWICE, tmp_path / "children") as process:
        assert process.wait(30) == 7
    assert len(_children(tmp_path)) == 3


def test_of_two_only_the_one_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """In its own place; when one fails the other is told to end, and the failure is what is exited with."""
    with _running(_TWO, tmp_path / "children", count=2) as process:
        assert process.wait(30) == 7
    assert sorted(place for _, _, place in _children(tmp_path)) == ["0", "1", "1"]


def _children(folder: Path) -> list[list[str]]:
    """Of each child its process, its parent's and its place."""
    return [line.split() for line in (folder / "children").read_text().splitlines()]


def test_who_dies_young_is_not(tmp_path: Path) -> None:
    """It may die of its start: that is left to whoever starts processes, with a pause in between."""
    with _running(_KILLED_TWICE, tmp_path / "children", grown=0.5) as process:
        assert process.wait(30) == 128 + signal.SIGKILL
    assert len(_children(tmp_path)) == 1


def test_what_it_is_told_the_worker_hears(tmp_path: Path) -> None:
    """SIGTERM ends the worker in its own way, and nobody takes its place."""
    with _running(_TOLD, tmp_path / "children") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "told SIGTERM\n"
        assert process.wait(30) == 3
    assert len(_children(tmp_path)) == 1


_CORES = """
import os, sys
from workers.nursery import keep_to_one_core
os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
keep_to_one_core(int(sys.argv[2]), int(sys.argv[3]))
print(*sorted(os.sched_getaffinity(0)), sep=",")
"""


@pytest.mark.parametrize(
    ("place", "count", "kept"), [(0, 2, slice(1)), (1, 2, slice(1, 2)), (0, 1, slice(2)), (0, 3, slice(2))]
)
def test_each_of_as_many_as_there_are_cores_keeps_to_its_own(place: int, count: int, kept: slice) -> None:
    """Of two cores the first and the second of two have one each; one alone, or one of three, may use both."""
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))[:2]]
    assert len(cores) == 2, "run it where there are two cores"
    command = [sys.executable, "-c", _CORES, ",".join(cores), str(place), str(count)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.strip() == ",".join(cores[kept])


def test_no_worker_outlives_its_nursery(tmp_path: Path) -> None:
    """Killed itself, it leaves nobody behind who would work beside the one that is started in its place."""
    with _running(_TOLD, tmp_path / "children") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.stdout.read() == "told SIGTERM\n"
