"""Bad exports, for `baseline` and `tryout` alike: told by row and column, the rest counted, nothing guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workers.main import main

POLICY = str(Path(__file__).parents[2] / "policies" / "alert-triage.yaml")
HEADER = "number,opened_at,resolved_at,state,short_description,reopen_count\n"
GOOD = "INC1,2026-03-02T09:00:00Z,2026-03-02T11:00:00Z,Closed,Backup of db finished,0\n"
ODD = GOOD.replace("INC1", "INC2")


def _both(
    capsys: pytest.CaptureFixture[str], file: Path, *more: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    found = []
    for command in (["baseline", str(file)], ["tryout", str(file), "--policy", POLICY]):
        capsys.readouterr()
        with pytest.raises(SystemExit, match="0"):
            main([*command, "--json", *more])
        found.append(json.loads(capsys.readouterr().out))
    return found[0], found[1]


def _told(problems: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    return [(one["row"], one["column"], one["sentence"]) for one in problems]


UNDATED = (3, "opened_at", "the ticket has no opening time")
TORN = (3, "", "it has 3 of 6 columns, so it was not counted")
NEGATIVE = (
    3, "resolved_at", "2026-03-01 11:00 UTC lies before its opening, 2026-03-02 09:00; it counts as unknown",
)  # fmt: skip


@pytest.mark.parametrize(
    ("row", "of_times", "of_rows", "tickets"),
    [
        (ODD.replace("2026-03-02T09:00:00Z", ""), [UNDATED], [], 2),
        (ODD.replace("2026-03-02T09:00:00Z", "?"), [UNDATED], [], 2),
        (ODD.replace("2026-03-02T11:00:00Z", "?").replace("Closed", "New"), [], [], 2),
        (ODD.replace("2026-03-02T11", "2026-03-01T11"), [NEGATIVE], [], 2),
        (ODD[:40], [TORN], [TORN], 1),
        (
            GOOD,
            [(3, "number", "the same row again (first in row 2); the first counts")],
            [(3, "", "the same row again; it counts once")],
            1,
        ),
    ],
    ids=["no opening", "a null for it", "a null that is allowed", "a negative duration", "half a file", "a row twice"],
)  # fmt: skip
def test_what_is_wrong_is_told_by_row_and_column_and_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str,
    of_times: list[tuple[int, str, str]], of_rows: list[tuple[int, str, str]], tickets: int,
) -> None:  # fmt: skip
    """The good ticket counts in both; the tryout tells what its own reading met and what the figures' reading met."""
    file = tmp_path / "export.csv"
    file.write_text(HEADER + GOOD + row, encoding="utf-8")
    before, tried = _both(capsys, file)
    assert _told(before["problems"]) == _told(tried["baseline_problems"]) == of_times
    assert _told(tried["problems"]) == of_rows
    assert before["tickets"] == tried["tickets"] == tickets
    hours = next(one for one in before["figures"] if one["key"] == "time_to_resolve.mean_of_resolved")
    assert hours["value"] == 2


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], codec: str) -> None:
    """It is found from the bytes; what was written stays what it was."""
    file = tmp_path / "export.csv"
    file.write_bytes((HEADER + GOOD + ODD.replace("Closed", "Größe")).encode(codec))
    before, tried = _both(capsys, file)
    assert _told(before["problems"]) == [(3, "state", '"Größe" is not a known state; it counts as unknown')]
    assert before["tickets"] == tried["tickets"] == 2


def test_times_without_a_zone_and_dates_of_two_meanings_are_told_or_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """UTC is said to be assumed; 3/4 is March or April until --dates says which."""
    file = tmp_path / "export.csv"
    file.write_text(HEADER + GOOD.replace("T", " ").replace("Z", ""), encoding="utf-8")
    for found, key in zip(_both(capsys, file), ("assumptions", "baseline_assumptions"), strict=True):
        assert "Times have no zone and are taken to be in UTC" in found[key][-1]
    rome = _both(capsys, file, "--zone", "Europe/Rome")
    assert rome[0]["assumptions"][-1] == rome[1]["baseline_assumptions"][-1] == (
        "Times without a zone are taken to be in Europe/Rome."
    )  # fmt: skip
    file.write_text(HEADER + GOOD.replace("2026-03-02T", "3/4/2026 ").replace(":00Z", ""), encoding="utf-8")
    with pytest.raises(SystemExit, match="0"):
        main(["tryout", str(file), "--policy", POLICY, "--json"])
    assert "--dates day-first or month-first" in json.loads(capsys.readouterr().out)["baseline_unknown"]
    before, tried = _both(capsys, file, "--dates", "day-first")
    assert (before["problems"], tried["baseline_unknown"]) == ([], "")


def test_columns_of_other_names_are_mapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One --map for each serves both; a field of the other command is none of a mistake."""
    file = tmp_path / "export.csv"
    file.write_text(
        "Ref;Reported;Fixed;Betreff\n7;2026-03-02T09:00:00Z;2026-03-02T11:00:00Z;Backup finished\n",
        encoding="utf-8",
    )
    told = [word for pair in ("id=Ref", "opened=Reported", "resolved=Fixed") for word in ("--map", pair)]
    with pytest.raises(SystemExit, match="0"):
        main(["baseline", str(file), *told, "--json"])
    assert json.loads(capsys.readouterr().out)["tickets"] == 1
    with pytest.raises(SystemExit, match="0"):
        main(["tryout", str(file), "--policy", POLICY, *told, "--map", "title=Betreff", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["tickets"], found["baseline_unknown"]) == (1, "")
