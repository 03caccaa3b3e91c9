"""`countersign baseline` on an export so long that it may be interrupted: it goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from countersign.exports.reading import Part
from countersign.exports.rows import Place
from countersign.exports.survey import survey
from workers.checkpoints import Checkpoints

pytestmark = pytest.mark.e2e

HOWS = (signal.SIGINT, signal.SIGKILL) if os.environ.get("COUNTERSIGN_NIGHTLY") else (signal.SIGINT,)
TICKETS = 2_000


# Sends itself a signal as soon as it has kept a part: then it always has more to read.
_INTERRUPTED = """
import os, sys
from workers.checkpoints import Checkpoints
from workers.main import main
keep, how = Checkpoints.keep, int(sys.argv.pop(1))
def keep_and_stop(self, part):
    keep(self, part)
    os.kill(os.getpid(), how)
Checkpoints.keep = keep_and_stop
main()
"""


@pytest.fixture
def long_export(memory_path: Path) -> Path:
    """Few tickets of many words: more characters than a part has, cheap to make and to read."""
    file, filler = memory_path / "export.csv", "x" * 40_000
    rows = (
        f"INC{number},2026-03-02 09:00:00,2026-03-02 11:00:00,Closed,{filler}\n" for number in range(TICKETS)
    )
    with file.open("w", encoding="utf-8") as out:
        out.write("Number,Opened,Resolved,State,Description\n")
        out.writelines(rows)
    return file


def _run(export: Path, *python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "baseline", str(export), "--json"],
        env={**os.environ, "XDG_CACHE_HOME": str(export.parent / "cache")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_an_interrupted_run_goes_on_where_it_was_and_says_so(long_export: Path, how: signal.Signals) -> None:
    """Killed or Ctrl-C: the next run tells after how many rows it goes on, counts all, and leaves nothing behind."""
    ended = _run(long_export, "-c", _INTERRUPTED, str(int(how)))
    assert ended.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[how]
    assert ("goes on after" in ended.stderr) == (how is signal.SIGINT)
    assert list(long_export.parent.glob("cache/*/*/*/00001.json"))
    done = _run(long_export, "-m", "workers")
    told = json.loads(done.stdout)
    assert "rows that an interrupted run had read" in done.stderr
    assert (told["tickets"], told["rows"], told["problem_counts"]) == (TICKETS, TICKETS, [])
    assert not list(long_export.parent.glob("cache/*/*/*"))


def test_another_file_of_the_same_name_starts_over(tmp_path: Path) -> None:
    """What was kept belongs to the bytes that were read, and to the way they were read in; a torn part is none."""
    file = tmp_path / "export.csv"
    file.write_text("Number,Opened\nINC1,2026-03-02 09:00:00\n", encoding="utf-8")
    _kept(file).keep(PART)
    assert [len(part.rows) for part in _kept(file).kept()] == [1]
    assert not list(_kept(file, zone="Europe/Rome").kept())
    next(tmp_path.glob("cache/*/00001.arrow")).write_bytes(b"torn")
    assert not list(_kept(file).kept())
    _kept(file).keep(PART)
    file.write_text("Number,Opened\nINC2,2026-03-02 09:00:00\n", encoding="utf-8")
    assert not list(_kept(file).kept())


PART = Part(
    rows=pl.DataFrame({"row": [2]}), place=Place(rows=2, characters=40), problems=(), counts={}, unzoned=True
)


def _kept(file: Path, zone: str = "") -> Checkpoints:
    with file.open(encoding="utf-8", newline="") as lines:
        return Checkpoints(file, survey(lines), encoding="utf-8", zone=zone, home=file.parent / "cache")
