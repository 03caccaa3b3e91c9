"""Exports of changes: what failed and what only repaired, held against the tickets that name them."""

from __future__ import annotations

import csv
import io
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from countersign.exports.changes import ChangeExport, read_changes
from countersign.exports.forms import CHANGES
from countersign.exports.problems import ExportError
from countersign.exports.reading import Export, read
from countersign.exports.survey import survey
from countersign.kpis.changes import change_figures
from countersign.kpis.figures import Figure

TICKETS = (
    "number,opened_at,resolved_at,state,caused_by,rfc\n"
    "INC1,2026-03-01 00:00:00,2026-03-02 11:00:00,Closed,CHG2,CHG3\n"
    "INC2,2026-03-05 09:00:00,2026-03-05 11:00:00,Closed,CHG2,\n"
    "INC3,2026-03-06 09:00:00,2026-03-31 00:00:00,Closed,,CHG1\n"
)
HEADER = "number,type,state,close_code,closed_at\n"
GOOD = "CHG1,normal,Closed,successful,2026-03-03 09:00:00\n"
CAUSE = "CHG2,standard,3,successful_issues,2026-03-04 09:00:00\n"
REPAIR = "CHG3,emergency,Closed,unsuccessful,2026-03-05 09:00:00\n"
OUTSIDE = "the change ended before or after the time of the tickets"


def tickets_of(text: str) -> Export:
    plan = survey(io.StringIO(text, newline=""), links=True)
    return read(io.StringIO(text, newline=""), plan)


def changes_of(text: str, tickets: str = TICKETS, **mapping: str) -> ChangeExport:
    plan = survey(io.StringIO(text, newline=""), mapping=mapping, form=CHANGES)
    return read_changes(io.StringIO(text, newline=""), plan, tickets_of(tickets))


def figures(found: ChangeExport) -> tuple[Figure, Figure]:
    return change_figures(found.changes)


def left_out(figure: Figure) -> dict[str, int]:
    return {one.reason: one.count for one in figure.excluded}


def told(found: ChangeExport) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_a_change_fails_by_its_close_code_or_by_a_ticket_it_caused_and_counts_once() -> None:
    """Two tickets name CHG2 as their cause; only CHG3 was an emergency because of one."""
    found = changes_of(HEADER + GOOD + CAUSE + REPAIR)
    fail, rework = figures(found)
    assert (fail.value, fail.n, fail.excluded) == (pytest.approx(2 / 3), 3, ())
    assert (rework.value, rework.n) == (pytest.approx(1 / 3), 3)
    assert None not in (fail.low, fail.high)
    assert "2026-03-01 00:00 to 2026-03-31 00:00 UTC" in fail.definition
    assert told(found) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("CHG9,normal,Canceled,,2026-03-03 09:00:00", "the change was cancelled"),
        ("CHG9,normal,Review,successful,2026-03-03 09:00:00", "the change has not ended"),
        ("CHG9,normal,?,successful,2026-03-03 09:00:00", "the state of the change is unknown"),
        ("CHG9,normal,Closed,successful,", "when the change ended is unknown"),
        ("CHG9,normal,Closed,successful,2026-02-28 23:59:59", OUTSIDE),
        ("CHG9,normal,Closed,successful,2026-04-01 00:00:00", OUTSIDE),
        ("CHG9,normal,Closed,,2026-03-03 09:00:00", "how it ended is not recorded"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_said_with_its_reason(row: str, reason: str) -> None:
    """None of these is a success, and none is a failure."""
    fail, _ = figures(changes_of(f"{HEADER}{GOOD}{REPAIR}{row}\n"))
    assert (fail.value, fail.n, left_out(fail)) == (0.5, 2, {reason: 1})


def test_a_change_without_a_close_code_failed_all_the_same_if_it_caused_a_ticket() -> None:
    """One piece of evidence is enough to know it; none is not enough to know the contrary."""
    fail, _ = figures(changes_of(HEADER + CAUSE.replace("successful_issues", "?")))
    assert (fail.value, fail.n) == (1, 1)


@pytest.mark.parametrize(
    ("row", "problem", "n"),
    [
        (CAUSE.replace("successful_issues", "rolled out"), 'row 3, close_code: "rolled out" is not a known', 2),
        (CAUSE.replace(",3,", ",limbo,"), 'row 3, state: "limbo" is not a known state; it counts as unknown', 1),
        (CAUSE.replace("standard", "small"), 'row 3, type: "small" is not a known type; it counts as unknown', 2),
        (CAUSE.replace("2026-03-04 09:00:00", "soon"), 'row 3, closed_at: "soon" is not a time', 1),
        (GOOD, "row 3, number: the same row again (first in row 2); the first counts", 1),
        (GOOD.replace("successful", "unsuccessful"), "row 3, number: CHG1 again, with other values", 1),
        (CAUSE.replace("CHG2", ""), "row 3, number: the row has no id, so it was not counted", 1),
        (CAUSE[:20] + "\n", "row 3: it has 4 of 5 columns, so it was not counted", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_row_and_column_and_the_rest_is_counted(
    row: str, problem: str, n: int
) -> None:
    """The good change counts whatever stands beside it."""
    found = changes_of(HEADER + GOOD + row)
    fail, _ = figures(found)
    assert fail.n == n
    assert told(found)[0].startswith(problem)


def test_an_end_before_its_start_counts_as_unknown() -> None:
    """Told by row and column, as a negative duration of a ticket is."""
    header = HEADER.replace("closed_at", "closed_at,work_start")
    found = changes_of(header + GOOD.replace("\n", ",2026-03-04 09:00:00\n"))
    assert told(found) == [
        "row 2, closed_at: 2026-03-03 09:00 UTC lies before its start, 2026-03-04 09:00; it counts as unknown"
    ]
    assert figures(found)[0].value is None


def test_columns_of_other_names_are_mapped_and_labels_are_known() -> None:
    """The desk's labels as well as its names; what is needed and not there is said."""
    found = changes_of("Number,Type,State,Close code,Actual end\n" + GOOD + REPAIR)
    assert figures(found)[0].value == 0.5
    mapped = changes_of(
        "Ref;Fine;Done\nCHG1;successful;2026-03-03 09:00\n", id="Ref", close_code="Fine", ended="Done"
    )
    assert (figures(mapped)[0].value, figures(mapped)[0].n) == (0, 1)
    with pytest.raises(ExportError, match=r'--map change\.ended="…"'):
        changes_of("number,close_code\n")
    with pytest.raises(ExportError, match=r'no field "change\.opened"; it knows change\.id, change\.started'):
        changes_of(HEADER, opened="closed_at")


def test_what_nothing_records_is_unknown_and_said() -> None:
    """Without causes the close code alone tells; without either, and without the ticket's change, nothing does."""
    bare = "number,opened_at,resolved_at\nINC1,2026-03-01 00:00:00,2026-03-31 00:00:00\n"
    fail, rework = figures(changes_of(HEADER + GOOD + CAUSE + REPAIR, bare))
    assert (fail.value, fail.n) == (pytest.approx(1 / 3), 3)
    assert "no column of the tickets says which change caused them" in fail.definition
    assert (rework.value, left_out(rework)) == (None, {"why it was made is not recorded": 3})
    fail, _ = figures(changes_of("number,closed_at\nCHG1,2026-03-03 09:00:00\n", bare))
    assert (fail.value, left_out(fail)) == (None, {"how it ended is not recorded": 1})
    fail, _ = figures(changes_of(HEADER, bare))
    assert fail.unknown == "no change request is known to have ended in the time of the tickets"


def test_changes_that_tickets_name_but_the_export_does_not_hold_are_told() -> None:
    """They would count as failures, had anybody exported them."""
    found = changes_of(HEADER + GOOD)
    assert found.assumptions[-1] == (
        "2 changes that tickets name are not in this export (as CHG2); they do not count."
    )


def test_columns_that_name_changes_are_read_only_when_asked() -> None:
    """Whoever gives no changes pays nothing for them."""
    assert "caused_by" not in survey(io.StringIO(TICKETS, newline="")).columns


def wilson(share: float, n: int) -> tuple[float, float]:
    """The interval again, from its formula."""
    z = 1.959963984540054
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def test_figures_agree_with_loops_over_the_real_log_and_its_own_changes(data_dir: Path) -> None:
    """Causes and change requests of a real instance's log; the changes themselves are made up around them."""
    columns = ["number", "incident_state", "sys_mod_count", "sys_updated_at", "opened_at", "rfc", "caused_by"]
    rows = pl.read_parquet(data_dir / "uci-incident-log" / "events.parquet", columns=columns).rows(named=True)
    last = {row["number"]: row for row in sorted(rows, key=lambda row: row["sys_updated_at"])}
    named = sorted({row[name] for row in rows for name in ("rfc", "caused_by") if row[name]})
    since = min(row["opened_at"] for row in last.values()).replace(tzinfo=UTC)
    until = max(row["sys_updated_at"] for row in rows).replace(tzinfo=UTC)
    chosen = random.Random(20261121)
    made = [
        (
            number,
            chosen.choice(["normal", "standard", "emergency", "?"]),
            chosen.choice(["Closed", "3", "Review", "Canceled"]),
            chosen.choice(["successful", "Successful with issues", "unsuccessful", ""]),
            since + timedelta(hours=chosen.randint(-100, 1800)),
        )
        for number in (*named, *(f"CHX{n}" for n in range(400)))
    ]  # fmt: skip

    ended = [row for row in made if row[2] in ("Closed", "3") and since <= row[4] <= until]
    caused = {row["caused_by"] for row in last.values() if row["caused_by"]}
    because = {row["rfc"] for row in last.values() if row["rfc"]}
    failed = [row[3] == "unsuccessful" or row[0] in caused for row in ended if row[3] or row[0] in caused]
    rework = [row[1] == "emergency" and row[0] in because for row in ended if row[1] != "?"]
    assert min(len(caused), len(because), sum(failed), sum(rework)) > 0

    changes = io.StringIO(newline="")
    csv.writer(changes).writerows(
        [HEADER.strip().split(","), *((*row[:4], f"{row[4]:%Y-%m-%d %H:%M:%S}") for row in made)]
    )
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *([_written(cell) for cell in row.values()] for row in rows)])
    found = figures(changes_of(changes.getvalue(), text.getvalue()))
    for figure, answers in zip(found, (failed, rework), strict=True):
        assert (figure.n, figure.value) == (len(answers), pytest.approx(sum(answers) / len(answers)))
        # Of what stands alone, n / (n - 1) is the factor of the variance: n - 1 observations' worth.
        assert (figure.low, figure.high) == pytest.approx(
            wilson(sum(answers) / len(answers), len(answers) - 1)
        )


def _written(cell: object) -> object:
    match cell:
        case None:
            return "?"
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M:%S}"
        case _:
            return cell
