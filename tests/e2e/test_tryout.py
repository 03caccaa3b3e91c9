"""`countersign tryout` on the exports that nobody here wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from workers.main import main

ROOT = Path(__file__).parents[2]
POLICY = str(ROOT / "policies" / "alert-triage.yaml")


def _tried(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    with pytest.raises(SystemExit, match="0"):
        main(["tryout", *arguments, "--policy", POLICY, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_service_desk_export_is_tried_and_its_groups_are_learnt(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every ticket gets a category and an end; the group is told far better than the largest group would."""
    found = _tried(capsys, str(data_dir / "it-ticket-routing-8500" / "tickets.csv.gz"))
    given = found["by_category"]
    assert found["tickets"] == sum(one["tickets"] for one in given) == 6_472
    assert all(
        one["tickets"] == one["closed"] + one["drafted"] + one["routed"] + one["held"] for one in given
    )
    assert found["hidden_from_the_model"] == ["Assignment group", "split"]
    assert found["groups"]["right"]["low"] > 0.6
    assert "--map" in found["baseline_unknown"]


def test_a_log_of_changes_is_tried_in_its_short_form(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DD-MM-YYYY: one ticket for many rows, what leaks hidden, and the figures before beside it."""
    found = _tried(capsys, str(next((data_dir / "uci-incident-log").glob("variant_*.csv.gz"))))
    leaking = {"resolved_at", "closed_at", "closed_code", "resolved_by", "incident_state", "assignment_group"}
    assert leaking <= set(found["hidden_from_the_model"])
    assert found["rows"] == 5_998
    assert found["a_close_is_wrong_if"] == ["it was reopened", "it was given to another group"]
    assert [one["title"] for one in found["baseline"] if one["value"] is not None]


def test_a_log_of_changes_is_tried_in_its_raw_form(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """D/M/YYYY and `?`: the whole log, as the system wrote it."""
    events = pl.read_parquet(data_dir / "uci-incident-log" / "events.parquet")
    times = [
        pl.col(name).dt.strftime("%-d/%-m/%Y %H:%M")
        for name, kind in events.schema.items()
        if kind.is_temporal()
    ]
    file = tmp_path / "log.csv"
    events.with_columns(times).write_csv(file, null_value="?")
    found = _tried(capsys, str(file))
    assert (found["rows"], found["tickets"]) == (events.height, events["number"].n_unique())
    assert found["groups"]["right"]["low"] > 0.2
    assert not found["problem_counts"]
