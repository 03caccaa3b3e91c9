"""Checkpoints: what a long reading of an export has read so far, kept in the user's cache until it is done."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import polars as pl

from countersign.exports.problems import ExportProblem
from countersign.exports.reading import Part
from countersign.exports.rows import Place
from countersign.exports.survey import Survey

_SAMPLE = 1 << 16
_FORGOTTEN_S = 7 * 86_400


def cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "countersign" / "exports"


class Checkpoints:
    """The parts of one file, read in one way; another file, another way or another release starts over.

    `rows` is the number of rows in the parts. A cache that can't be written costs only the way back.
    """

    def __init__(self, file: Path, plan: Survey, *, encoding: str, zone: str, home: Path) -> None:
        self.rows = 0
        self._count = 0
        _forget_old(home)
        self._folder = home / _key(file, plan, encoding, zone)

    def kept(self) -> Iterator[Part]:
        while part := self._read(self._count + 1):
            self._count += 1
            self.rows += len(part.rows)
            yield part

    def keep(self, part: Part) -> None:
        told = {
            "place": asdict(part.place),
            "problems": [asdict(problem) for problem in part.problems],
            "counts": [[*key, count] for key, count in part.counts.items()],
            "unzoned": part.unzoned,
        }
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            rows, about = self._files(self._count + 1)
            part.rows.write_ipc(rows, compression="lz4")
            half = about.with_suffix(".new")
            half.write_text(json.dumps(told), encoding="utf-8")
            half.replace(about)  # from here on the part counts
        except OSError:
            return
        self._count += 1
        self.rows += len(part.rows)

    def forget(self) -> None:
        """The reading is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self, number: int) -> tuple[Path, Path]:
        return self._folder / f"{number:05}.arrow", self._folder / f"{number:05}.json"

    def _read(self, number: int) -> Part | None:
        rows, about = self._files(number)
        try:
            told = json.loads(about.read_text(encoding="utf-8"))
            return Part(
                rows=pl.read_ipc(rows),
                place=Place(**told["place"]),
                problems=tuple(ExportProblem(**problem) for problem in told["problems"]),
                counts={(column, kind): count for column, kind, count in told["counts"]},
                unzoned=told["unzoned"],
            )
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            return None  # not there, or torn: what follows is read again


def _key(file: Path, plan: Survey, encoding: str, zone: str) -> str:
    """A name that another file, another way of reading or another release does not have."""
    about = file.stat()
    with file.open("rb") as data:
        head = data.read(_SAMPLE)
        data.seek(max(about.st_size - _SAMPLE, 0))
        tail = data.read()
    way = (about.st_size, about.st_mtime_ns, repr(plan), encoding, zone, pl.__version__)
    return sha256(head + tail + repr(way).encode()).hexdigest()[:32]


def _forget_old(home: Path) -> None:
    """Those that nobody came back for."""
    for folder in home.glob("*/"):
        try:
            old = time.time() - folder.stat().st_mtime > _FORGOTTEN_S
        except OSError:  # another reading has just ended
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)
