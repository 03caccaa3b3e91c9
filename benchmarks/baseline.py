"""`python -m benchmarks.baseline`: a million tickets, as a log of their changes, from an export to their figures."""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

TICKETS = 1_000_000
ALLOWED_S, ALLOWED_MB = 60.0, 1000
_AT_ONCE = 50_000
_START = 1_735_689_600  # 2025-01-01
_PRIORITIES = np.array(["1 - Critical", "3 - Moderate", "4 - Low"])
# What a change log of a ServiceNow desk holds besides the columns that are measured: they have to be read over.
_OTHER = (
    "active", "made_sla", "caller_id", "opened_by", "sys_created_by", "sys_updated_by", "contact_type", "location",
    "subcategory", "u_symptom", "cmdb_ci", "impact", "urgency", "assignment_group", "assigned_to", "knowledge",
    "u_priority_confirmation", "notify", "problem_id", "rfc", "vendor", "caused_by", "closed_code", "resolved_by",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline", description=__doc__)
    parser.add_argument("--tickets", type=int, default=TICKETS)
    parser.add_argument("--file", type=Path, help="Keep the export here, and use it again if it exists.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.file or Path(folder) / "log.csv"
        if not file.exists():
            _write(file, arguments.tickets)
        found = _measured(file, Path(folder))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if found["tickets"] >= TICKETS and (found["seconds"] > ALLOWED_S or found["peak_mb"] > ALLOWED_MB):
        sys.exit(f"{ALLOWED_S:.0f} s and {ALLOWED_MB} MB are allowed.")


def _measured(file: Path, folder: Path) -> dict[str, Any]:
    """The command as its users start it, a process of its own; and reading the file alone, with the csv module."""
    report = folder / "report.html"
    command = [sys.executable, "-m", "workers", "baseline", str(file), "--json", "--html", str(report)]
    began = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env={**os.environ, "XDG_CACHE_HOME": str(folder)}
    )
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(done.stdout)
    began = time.process_time()
    with file.open(encoding="utf-8", newline="") as lines:
        rows = sum(1 for _ in csv.reader(lines)) - 1
    alone = time.process_time() - began
    cpu = used.ru_utime + used.ru_stime
    assert told["rows"] == rows
    return {
        "tickets": told["tickets"],
        "rows": rows,
        "file_mb": round(file.stat().st_size / 1e6),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
        "cpu_to_reading_with_csv": round(cpu / alone, 2),
    }


def _write(file: Path, tickets: int) -> None:
    """Tickets with two to ten changes each, written in order of tickets, as desks do; all times in minutes."""
    draw = np.random.default_rng(7)
    with file.open("wb") as out:
        for first in range(0, tickets, _AT_ONCE):
            some = _portion(draw, first, min(_AT_ONCE, tickets - first))
            some.write_csv(out, include_header=first == 0)


def _portion(draw: np.random.Generator, first: int, count: int) -> pl.DataFrame:
    changes = draw.integers(2, 11, count)
    ticket = np.repeat(np.arange(count), changes)
    rows = len(ticket)
    number = np.arange(rows) - np.repeat(np.cumsum(changes) - changes, changes)
    left = np.repeat(changes, changes) - number  # 1 at the last change
    opened = np.repeat(_START + draw.integers(0, 360 * 1440, count) * 60, changes)
    lasted = np.repeat(draw.exponential(48 * 60, count).astype(np.int64) * 60 + 600, changes)
    resolved, closed = opened + lasted, opened + lasted + 5 * 86_400
    updated = np.where(left == 1, closed, opened + lasted * number // np.maximum(number + left - 2, 1))
    states = np.array(["Active", "Awaiting User Info", "Active", "Awaiting Vendor"])
    state = np.select(
        [left == 1, left == 2, number == 0], ["Closed", "Resolved", "New"], states[draw.integers(0, 4, rows)]
    )
    columns = {
        "number": pl.Series(first + ticket).cast(pl.String).str.zfill(7).str.replace("^", "INC"),
        "incident_state": pl.Series(state),
        "reassignment_count": pl.Series(np.minimum(number, np.repeat(draw.integers(0, 4, count), changes))),
        "reopen_count": pl.Series(np.zeros(rows, dtype=np.int64)),
        "sys_mod_count": pl.Series(number),
        "category": _named("Category ", np.repeat(draw.integers(0, 60, count), changes)),
        "priority": pl.Series(np.repeat(_PRIORITIES[draw.integers(0, 3, count)], changes)),
        **{name: _named(f"{name[:8]} ", draw.integers(0, 300, rows)) for name in _OTHER},
    }
    for name, at in (("opened_at", opened), ("sys_created_at", opened), ("sys_updated_at", updated),
                     ("resolved_at", resolved), ("closed_at", closed)):  # fmt: skip
        columns[name] = pl.from_epoch(pl.Series(at)).dt.strftime("%-d/%-m/%Y %H:%M")
    columns["problem_id"] = pl.Series(["?"] * rows)
    return pl.DataFrame(columns)


def _named(prefix: str, numbers: Any) -> pl.Series:
    return pl.Series(numbers).cast(pl.String).str.replace("^", prefix)


if __name__ == "__main__":
    main()
