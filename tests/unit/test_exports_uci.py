"""The real log of a ServiceNow instance: figures agree with a computation over the raw rows in plain Python."""

from __future__ import annotations

import csv
import gzip
import io
import statistics
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from countersign.exports.reading import Export, read
from countersign.exports.survey import survey
from countersign.kpis.engine import measure
from countersign.kpis.figures import Figure
from countersign.kpis.settings import Measuring

DONE = ("Resolved", "Closed")
Rows = list[dict[str, Any]]


@cache
def raw_form(data_dir: Path) -> str:
    """The log as CSV with D/M/YYYY and `?`."""
    events = pl.read_parquet(data_dir / "uci-incident-log" / "events.parquet")
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(events.columns)
    writer.writerows([as_written(value) for value in row] for row in events.iter_rows())
    return out.getvalue()


def as_written(value: object) -> object:
    match value:
        case None:
            return "?"
        case datetime():
            return f"{value.day}/{value.month}/{value.year} {value:%H:%M}"
        case _:
            return value


def variant_form(data_dir: Path) -> str:
    """The same log, a part of it, as another export wrote it: DD-MM-YYYY."""
    with gzip.open(next((data_dir / "uci-incident-log").glob("variant_*.csv.gz")), "rt", newline="") as file:
        return file.read()


def parsed(text: str, form: str) -> Rows:
    """The rows again, read independently."""
    rows = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        for name in ("opened_at", "sys_updated_at", "resolved_at"):
            written = row[name]
            row[name] = datetime.strptime(written, form).replace(tzinfo=UTC) if written != "?" else None  # type: ignore[assignment]
        rows.append(row)
    return rows


def independent(rows: Rows) -> dict[str, float]:
    """Counts, medians and means by loops and the statistics module."""
    tickets: dict[str, Rows] = defaultdict(list)
    for row in rows:
        tickets[row["number"]].append(row)
    resolve, acknowledge, reopened, once, moves = [], [], 0, 0, []
    for changes in tickets.values():
        changes.sort(key=lambda row: row["sys_updated_at"])
        opened, resolved = changes[-1]["opened_at"], changes[-1]["resolved_at"]
        resolve += [(resolved - opened).total_seconds() / 3600] if resolved else []
        taken = next(row["sys_updated_at"] for row in changes if row["incident_state"] != "New")
        acknowledge += [(taken - opened).total_seconds() / 3600] if taken >= opened else []
        reopens, moved = (
            max(int(row[name]) for row in changes) for name in ("reopen_count", "reassignment_count")
        )
        reopened += reopens > 0
        once += reopens == 0 and moved == 0
        moves.append(moved)
        assert changes[-1]["incident_state"] in DONE
    return {
        "tickets": len(tickets),
        "resolved": len(resolve),
        "median": statistics.median(resolve),
        "mean": statistics.fmean(resolve),
        "mean_30_days": statistics.fmean(min(hours, 720) for hours in resolve),
        "acknowledged": len(acknowledge),
        "median_acknowledge": statistics.median(acknowledge),
        "reopened": reopened,
        "once": once,
        "moves": statistics.fmean(moves),
        "p90": sorted(resolve)[-(-len(resolve) * 9 // 10) - 1],
    }


@pytest.fixture(scope="module", params=["raw", "variant"])
def both(
    request: pytest.FixtureRequest, data_dir: Path
) -> tuple[Export, dict[str, Figure], dict[str, float]]:
    """The export as read, its figures, and the independent ones, for both forms of dates."""
    make, form = {"raw": (raw_form, "%d/%m/%Y %H:%M"), "variant": (variant_form, "%d-%m-%Y %H:%M")}[
        request.param
    ]
    text = make(data_dir)
    export = read(io.StringIO(text, newline=""), survey(io.StringIO(text, newline="")))
    figures = {figure.key: figure for figure in measure(export.tickets, Measuring(until=export.until))}
    return export, figures, independent(parsed(text, form))


def test_counts_are_exact(both: tuple[Export, dict[str, Figure], dict[str, float]]) -> None:
    """Tickets, resolutions, first takers and reopenings are the same to the last one."""
    export, figures, own = both
    assert len(export.tickets) == own["tickets"]
    assert figures["time_to_resolve.median"].n == own["resolved"]
    assert left_out(figures["time_to_resolve.median"]) == own["tickets"] - own["resolved"]
    assert figures["time_to_acknowledge.median"].n == own["acknowledged"]
    assert counted(figures["reopen_rate"]) == own["reopened"]
    assert counted(figures["first_touch_rate"]) == own["once"]


def test_hours_agree_to_a_hundredth(both: tuple[Export, dict[str, Figure], dict[str, float]]) -> None:
    """Median, 90th percentile, plain and restricted mean agree within 0.01 h."""
    _, figures, own = both
    pairs = {
        "time_to_resolve.median": "median",
        "time_to_resolve.p90": "p90",
        "time_to_resolve.mean": "mean_30_days",
        "time_to_resolve.mean_of_resolved": "mean",
        "time_to_acknowledge.median": "median_acknowledge",
        "reassignments": "moves",
    }
    for key, name in pairs.items():
        assert figures[key].value == pytest.approx(own[name], abs=0.01), key


def test_everything_has_an_interval_around_it(
    both: tuple[Export, dict[str, Figure], dict[str, float]],
) -> None:
    """Every known figure lies in its interval and says what change could be seen."""
    for figure in both[1].values():
        known = figure.value is None or (figure.low <= figure.value <= figure.high and figure.detectable)  # type: ignore[operator]
        assert known, figure.key


def counted(figure: Figure) -> int:
    assert figure.value is not None
    return round(figure.value * figure.n)


def left_out(figure: Figure) -> int:
    return sum(left.count for left in figure.excluded)


def test_rows_out_of_order_are_told(data_dir: Path) -> None:
    """Three rows of the real log have a clock that went back; all three are named."""
    text = raw_form(data_dir)
    export = read(io.StringIO(text, newline=""), survey(io.StringIO(text, newline="")))
    assert sorted(export.counts) == [
        ("incident_state", "reopened, yet not counted"),
        ("sys_updated_at", "before its opening"),
    ]
    assert sum(export.counts.values()) == 3


def test_half_a_file_still_counts(data_dir: Path) -> None:
    """Cut in the middle of a row: that row is told, what is open stays open."""
    text = raw_form(data_dir)
    text = text[: len(text) // 2 + 7]
    export = read(io.StringIO(text, newline=""), survey(io.StringIO(text, newline="")))
    assert ("", "not a whole row") in export.counts
    assert len(export.tickets) > 5000
    resolve: Iterable[Figure] = measure(export.tickets, Measuring(until=export.until))
    assert next(figure for figure in resolve if figure.key == "time_to_resolve.median").value
