"""`countersign tryout` on the exports that nobody here wrote."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from countersign.tryout import read_tickets
from workers.main import main

ROOT = Path(__file__).parents[2]
EACH = 1 if os.environ.get("COUNTERSIGN_NIGHTLY") else 4
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
    assert (found["a_close_is_wrong_if"], found["wrong"]["value"]) == ([], None)


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
    """D/M/YYYY and `?`: the log as the system wrote it; every fourth ticket but for the nightly run."""
    events = pl.read_parquet(data_dir / "uci-incident-log" / "events.parquet")
    events = events.filter(pl.col("number").cast(str).str.tail(2).str.to_integer() % EACH == 0)
    times = [
        pl.col(name).dt.strftime("%-d/%-m/%Y %H:%M")
        for name, kind in events.schema.items()
        if kind.is_temporal()
    ]
    file = tmp_path / "log.csv"
    events.with_columns(times).write_csv(file, null_value="?")
    found = _tried(capsys, str(file))
    tickets = events.group_by("number").agg(pl.col("reopen_count", "reassignment_count").max())
    came_back = tickets.filter((pl.col("reopen_count") > 0) | (pl.col("reassignment_count") > 0)).height
    wrong = found["wrong_if_all_were_closed"]
    assert (found["rows"], found["tickets"]) == (events.height, tickets.height)
    assert (round(wrong["value"] * wrong["n"]), wrong["n"]) == (came_back, tickets.height)
    assert found["the_export_does_not_tell_whether"] == [
        "people gave it another category (category, in the policy's words)"
    ]
    assert found["groups"]["right"]["low"] > 0.2
    assert not found["problem_counts"]


JIRA = """\
Summary,Issue key,Issue id,Issue Type,Status,Priority,Resolution,Assignee,Reporter,Created,Updated,\
Last Viewed,Resolved,Component/s,Labels,Labels,Description,Log Work,Time Spent,Work Ratio,Σ Time Spent,Comment,Comment,\
Outward issue link (Duplicate),Custom field (Root cause)
Certificate of mail-7 was renewed,OPS-1,10001,Task,Done,Lowest,Won't Do,Lena,robot,12/Mar/24 3:04 PM,\
13/Mar/24 9:00 AM,,12/Mar/24 4:34 PM,informational,nightly,mail,"Certificate renewal finished,
valid for 90 days, no ""action"" needed",,1800,0%,1800,"12/Mar/24 3:30 PM;lena;SECRETWORD",second,,SECRETWORD
Certificate of mail-8 was renewed,OPS-2,10002,Task,Done,Lowest,Done,Lena,robot,29/Feb/24 12:04 AM,13/Mar/24 9:00 AM,,\
29/Feb/24 1:04 AM,security,,,"Certificate renewal finished,
valid for 90 days, no action needed",,,0%,,SECRETWORD,,,
Disk of db-8 is full,OPS-3,10003,Bug,In Progress,Highest,,,robot,13/Mar/24 8:00 AM,\
13/Mar/24 9:00 AM,,,capacity,,,"Disk at 99 %
host db-8",,,0%,,,,,
"""


def test_a_jira_export_is_tried_with_its_own_columns_and_dates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Repeated headers, descriptions of many lines, half days: counted; what was written later is hidden; a category
    that people set otherwise is a wrong close, and what Jira does not tell is said."""
    file = tmp_path / "jira.csv"
    file.write_text(JIRA, encoding="utf-8")
    found = _tried(capsys, str(file))
    assert (found["rows"], found["tickets"], found["problems"]) == (3, 3, [])
    assert found["hidden_from_the_model"] == [
        "Status", "Resolution", "Assignee", "Updated", "Last Viewed", "Resolved", "Component/s", "Log Work",
        "Time Spent", "Work Ratio", "Σ Time Spent", "Comment", "Outward issue link (Duplicate)",
        "Custom field (Root cause)",
    ]  # fmt: skip
    quiet = next(one for one in found["by_category"] if one["category"] == "informational")
    assert (quiet["closed"], quiet["wrong_closes"], quiet["wrong"]["n"]) == (2, 1, 2)
    assert found["a_close_is_wrong_if"] == ["people gave it another category"]
    assert len(found["the_export_does_not_tell_whether"]) == 2
    hours = next(one for one in found["baseline"] if one["key"] == "time_to_resolve.mean_of_resolved")
    assert (hours["value"], hours["n"]) == (1.25, 2)


def test_words_of_later_columns_never_reach_the_model() -> None:
    """Comments, root causes and resolutions of Jira are not in what is read."""
    texts = [ticket.text for ticket in read_tickets(io.StringIO(JIRA, newline=""), {}).tickets]
    assert "valid for 90 days" in texts[0]
    assert not [text for text in texts if "SECRETWORD" in text or "Won't Do" in text]
