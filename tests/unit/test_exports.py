"""Exports: what can be read is counted, what can't is told by row and column, nothing is guessed silently."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from countersign.exports.encodings import encoding_of
from countersign.exports.moments import DateOrder, Moments
from countersign.exports.problems import ExportError
from countersign.exports.reading import Export, read
from countersign.exports.survey import survey
from countersign.kpis.history import Event

LIST = "number,opened_at,resolved_at,closed_at,state,reopen_count,reassignment_count,category\n"
ROW = "INC1,2026-03-02 09:00:00,2026-03-02 11:00:00,2026-03-07 11:00:00,Closed,0,1,disk\n"
LOG = "number,incident_state,sys_mod_count,sys_updated_at,opened_at,resolved_at,reopen_count\n"


def export_of(
    text: str, *, mapping: Mapping[str, str] | None = None, order: DateOrder | None = None, zone: str = ""
) -> Export:
    plan = survey(io.StringIO(text, newline=""), mapping=mapping, order=order)
    return read(io.StringIO(text, newline=""), plan, zone=ZoneInfo(zone) if zone else None)


def told(export: Export) -> list[str]:
    return [str(problem) for problem in export.problems]


def hours_to_resolve(export: Export) -> list[float]:
    events = export.tickets.events
    last = events.time(events.last(Event.RESOLVED, len(export.tickets)))
    return ((last - export.tickets.opened) / 3600).tolist()


def test_a_servicenow_list_is_read_without_being_told_how() -> None:
    """Column names of the desk's own export are known; what was assumed is said."""
    export = export_of(LIST + ROW)
    assert hours_to_resolve(export) == [2]
    assert (export.tickets.moves.tolist(), export.tickets.reopens.tolist()) == ([1], [0])
    assert export.tickets.category.names == ("disk",)
    assert told(export) == []
    assert "Times have no zone" in export.assumptions[-1]


def test_a_jira_list_is_read_with_its_own_dates_and_repeated_headers() -> None:
    """Months in letters leave no doubt about the order; of two equal headers the first counts."""
    export = export_of(
        "Issue key,Status,Created,Resolved,Priority,Labels,Labels\n"
        "OPS-1,Done,12/Mar/26 9:15 AM,12/Mar/26 1:45 PM,High,a,b\n"
        "OPS-2,In Progress,13/Mar/26 12:05 AM,,Low,,\n"
    )
    assert hours_to_resolve(export)[0] == 4.5
    assert export.tickets.finished.tolist() == [True, False]
    assert told(export) == []


@pytest.mark.parametrize(
    ("header", "told", "minutes"),
    [
        ("time_worked", "600", 10),
        ("Time worked", "1 Hour 5 Minutes", 65),
        ("time_worked", "1970-01-02 01:00:00", 1500),
        ("time_worked", "1970-01-01 00:00:00", None),
        ("time_worked", "0", None),
        ("time_worked", "", None),
    ],
)
def test_work_logged_in_an_export_is_peoples_minutes(header: str, told: str, minutes: float | None) -> None:
    """Seconds, spans since 1970 and words; nothing logged is unknown, and what a number means is said."""
    text = LIST.replace("\n", f",{header},business_duration\n") + ROW.replace("\n", f",{told},7200\n")
    export = export_of(text)
    assert [None if math.isnan(one) else one for one in export.tickets.minutes] == [minutes]
    assert "minutes" in export.tickets.recorded
    assert export.problems == ()
    assert "Bare numbers of logged work are seconds; 0 counts as unknown" in export.assumptions[-1]


def test_work_that_can_not_be_read_is_told_and_a_jira_list_has_it_in_seconds() -> None:
    """By row and column, and it counts as unknown."""
    export = export_of(
        "Issue key,Created,Time Spent\nOPS-1,2026-03-12 09:15,5400\nOPS-2,2026-03-12 09:15,a while\n"
    )
    assert export.tickets.minutes[0] == 90
    assert math.isnan(export.tickets.minutes[1])
    assert told(export) == ['row 3, Time Spent: "a while" is not a span of work; it counts as unknown']
    assert "minutes" not in export_of(LIST + ROW).tickets.recorded


def test_other_column_names_are_mapped() -> None:
    """`--map opened=Reported` is enough for a tool nobody here knows."""
    text = "Ref;Reported;Fixed\n7;2026-03-02T09:00:00Z;2026-03-02T10:30:00+01:00\n"
    export = export_of(text, mapping={"id": "ref", "opened": "Reported", "resolved": "Fixed"})
    assert hours_to_resolve(export) == [0.5]
    assert export.assumptions[-1] == "Columns are separated by ';'."


def test_columns_that_are_missing_are_asked_for() -> None:
    """The message lists what the export has."""
    with pytest.raises(
        ExportError, match=r'No column is known to hold id or opened; add --map id="…".*Ref, Reported'
    ):
        export_of("Ref,Reported\n7,2026-03-02\n")
    with pytest.raises(ExportError, match='no column "Nope"'):
        export_of(LIST + ROW, mapping={"service": "Nope"})
    with pytest.raises(ExportError, match='no field "speed"'):
        export_of(LIST + ROW, mapping={"speed": "state"})


def test_dates_that_could_be_read_in_two_ways_are_asked_about() -> None:
    """3/4/2026 is March or April; nobody guesses."""
    text = LIST + "INC1,3/4/2026 09:00,4/4/2026 10:00,,Closed,0,0,disk\n"
    with pytest.raises(ExportError, match="--dates day-first or month-first"):
        export_of(text)
    assert hours_to_resolve(export_of(text, order="day-first")) == [25]
    assert hours_to_resolve(export_of(text, order="month-first")) == [31 * 24 + 1 - 24 * 0][:1]


def test_one_date_tells_the_order_of_all() -> None:
    """29/2 can only start with the day, and that is said with its place."""
    export = export_of(LIST + "INC1,3/4/2026 09:00,29/4/2026 09:00,,Closed,0,0,disk\n")
    assert hours_to_resolve(export) == [26 * 24]
    assert (
        'Dates are read day-first, as row 2, resolved_at: "29/4/2026 09:00" can only be.'
        in export.assumptions
    )


def test_dates_that_contradict_each_other_are_refused_or_told() -> None:
    """Near each other they are refused; with --dates the odd one is told and unknown."""
    text = LIST + "INC1,29/4/2026 09:00,4/30/2026 09:00,,Closed,0,0,disk\n"
    with pytest.raises(ExportError, match=r"row 2, opened_at.*row 2, resolved_at"):
        export_of(text)
    assert told(export_of(text, order="day-first")) == [
        'row 2, resolved_at: "4/30/2026 09:00" is not day-first, as the others are; it counts as unknown'
    ]


def test_a_zone_is_put_on_times_without_one() -> None:
    """Across the change of clocks in Rome, 01:00 to 04:00 are two hours."""
    text = LIST + "INC1,2026-03-29 01:00:00,2026-03-29 04:00:00,,Closed,0,0,disk\n"
    assert hours_to_resolve(export_of(text, zone="Europe/Rome")) == [2]
    assert (
        export_of(text, zone="Europe/Rome").assumptions[-1]
        == "Times without a zone are taken to be in Europe/Rome."
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW.replace("2026-03-02 09:00:00", "?"), "row 2, opened_at: the ticket has no opening time"),
        (
            ROW.replace("2026-03-02 11:00:00", "soon"),
            'row 2, resolved_at: "soon" is not a time; it counts as unknown',
        ),
        (
            ROW.replace("2026-03-02 11:00:00", "2026-03-02"),
            'row 2, resolved_at: "2026-03-02" has no time of day; it counts as unknown',
        ),
        (
            ROW.replace("2026-03-02 11:00:00", "2026-02-30 11:00:00"),
            "row 2, resolved_at: day is out of range for month; it counts as unknown",
        ),
        (
            ROW.replace("2026-03-02 11:00:00", "2026-03-02 08:00:00"),
            "row 2, resolved_at: 2026-03-02 08:00 UTC lies before its opening, 2026-03-02 09:00; it counts as unknown",
        ),
        (ROW.replace("Closed", "-100"), 'row 2, state: "-100" is not a known state; it counts as unknown'),
        (
            ROW.replace(",1,", ",-1,"),
            'row 2, reassignment_count: "-1" is not a number from 0 up; it counts as unknown',
        ),
        (ROW.replace("INC1", "?"), "row 2, number: the row has no id, so it was not counted"),
        ("INC1,2026-03-02 09:0", "row 2: it has 2 of 8 columns, so it was not counted"),
        (ROW.replace("\n", ",more\n"), "row 2: it has 9 of 8 columns, so it was not counted"),
        (
            'INC1,"2026-03-02 09:00',
            "row 2: it can't be read as CSV (unexpected end of data), so it was not counted",
        ),
    ],
)
def test_what_is_wrong_is_told_by_row_and_column_and_the_rest_counts(row: str, expected: str) -> None:
    """One bad cell or row costs no other."""
    good = ROW.replace("INC1", "INC2")
    export = export_of(LIST + row.rstrip("\n") + "\n" + good if row.endswith("\n") else LIST + good + row)
    assert [line.replace("row 3", "row 2") for line in told(export)] == [expected]
    assert 2.0 in hours_to_resolve(export)


def test_a_null_is_not_a_problem() -> None:
    """`?`, empty and null are how desks write nothing."""
    export = export_of(LIST + "INC1,2026-03-02 09:00:00,?,,New,null,?,?\n")
    assert told(export) == []
    assert np.isnan(export.tickets.moves[0])
    assert export.tickets.category.names == ()


def test_a_row_that_comes_twice_counts_once() -> None:
    """Equal or not, the first counts, and the later one is told."""
    export = export_of(LIST + ROW + ROW + ROW.replace("disk", "net"))
    assert len(export.tickets) == 1
    assert told(export) == [
        "row 3, number: the same row again (first in row 2); the first counts",
        "row 4, number: INC1 again, with other values (first in row 2); the first counts",
    ]


def test_an_export_without_rows_is_refused() -> None:
    """Empty files say what to do."""
    with pytest.raises(ExportError, match="is empty"):
        export_of("")
    with pytest.raises(ExportError, match="no row that can be read"):
        export_of(LIST)


def test_a_log_tells_when_a_ticket_was_taken_held_and_reopened() -> None:
    """States in time become events; the final resolution stands on every row and is taken from the last."""
    states = ("New,0,09:00", "Active,1,09:30", "Awaiting Vendor,2,10:00", "Active,3,11:00", "Resolved,4,12:00",
              "Active,5,13:00", "Resolved,6,14:00", "Closed,7,20:00")  # fmt: skip
    rows = "".join(
        "INC1,{},{},2026-03-02 {},2026-03-02 09:00,2026-03-02 14:05,1\n".format(*state.split(","))
        for state in states
    )
    export = export_of(LOG + rows)
    tickets = export.tickets
    assert (tickets.acknowledged[0] - tickets.opened[0]) / 60 == 30
    found = [
        (Event(kind).name, round((at - tickets.opened[0]) / 60))
        for kind, at in zip(tickets.events.kind, tickets.events.at, strict=True)
    ]
    assert found == [
        ("PAUSED", 60),
        ("RESUMED", 120),
        ("RESOLVED", 180),
        ("REOPENED", 240),
        ("RESOLVED", 305),
    ]
    assert tickets.finished.tolist() == [True]
    assert told(export) == []


def test_a_log_in_disorder_gives_the_same_histories() -> None:
    """Rows of other tickets may lie between, in any order."""
    rows = [
        f"INC{number},{state},{place},2026-03-02 {9 + place:02}:00,2026-03-02 09:00,2026-03-02 11:00,0\n"
        for number in (1, 2)
        for place, state in enumerate(("New", "Active", "Resolved", "Closed"))
    ]
    exports = [
        export_of(LOG + "".join(lines))
        for lines in (rows, [rows[place] for place in (3, 7, 0, 4, 6, 1, 5, 2)])
    ]
    assert [hours_to_resolve(export) for export in exports] == [[2, 2], [2, 2]]
    taken = [export.tickets.acknowledged.tolist() for export in exports]
    assert taken[0] == taken[1]


def test_a_log_cut_before_the_resolution_does_not_know_it() -> None:
    """The final time of resolution stands on early rows already; until then the ticket is open."""
    export = export_of(LOG + "INC1,Active,1,2026-03-02 10:00,2026-03-02 09:00,2026-03-05 09:00,0\n")
    assert export.until.isoformat() == "2026-03-02T10:00:00+00:00"
    assert not export.tickets.finished[0]


def test_a_clock_that_went_back_is_no_reopening() -> None:
    """Its states seem to go back, but the desk counts no reopening: told, and not counted."""
    export = export_of(
        LOG + "INC1,Resolved,2,2026-03-02 11:03,2026-03-02 09:00,2026-03-02 11:03,0\n"
        "INC1,New,1,2026-03-02 11:10,2026-03-02 09:00,2026-03-02 11:03,0\n"
        "INC1,Closed,3,2026-03-05 12:00,2026-03-02 09:00,2026-03-02 11:03,0\n"
    )
    assert Event.REOPENED not in export.tickets.events.kind
    assert len(export.problems) == 1


def test_all_problems_are_counted_and_the_first_hundred_of_a_kind_kept() -> None:
    """A file full of one mistake does not drown the others."""
    rows = "".join(ROW.replace("INC1", f"INC{number}").replace("Closed", "Gone") for number in range(250))
    export = export_of(LIST + rows)
    assert export.counts == {("state", "not a known state"): 250}
    assert len(export.problems) == 100


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("latin-1", "latin-1"),
    ],
)
def test_the_encoding_is_found_from_the_bytes(codec: str, name: str) -> None:
    """Marks tell it; without one UTF-8 must hold to the end, else it is latin-1 and that is said."""
    data = (LIST + ROW.replace("disk", "Störung")).encode(codec)
    found = encoding_of(data[start : start + 64] for start in range(0, len(data), 64))
    assert found.name == name
    assert bool(found.assumption) == (name == "latin-1")
    assert "Störung" in data.decode(found.name)


@pytest.mark.parametrize(
    "text",
    ["2026-03-12 09:15", "12/3/2026 09:15", "12-03-2026 09:15:00", "12.03.2026 09:15", "12/Mar/26 9:15 AM",
     "2026-03-12T09:15:00.000+0000", "2026-03-12T10:15:00+01:00", "2026/03/12 09:15", "03-12-2026 09:15 UTC"],
)  # fmt: skip
def test_times_are_read_in_the_forms_that_desks_write(text: str) -> None:
    """All of these are the same moment; the last one month first."""
    order: DateOrder = {True: "month-first", False: "day-first"}[text.startswith("03")]  # type: ignore[assignment]
    assert Moments(order, None)[text] == 1773306900


def test_quoted_line_breaks_do_not_break_rows() -> None:
    """Descriptions hold newlines and separators."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["number", "opened_at", "resolved_at", "short_description"])
    writer.writerow(["INC1", "2026-03-02 09:00", "2026-03-02 10:00", 'two\nlines, "quoted"'])
    assert hours_to_resolve(export_of(out.getvalue())) == [1]
