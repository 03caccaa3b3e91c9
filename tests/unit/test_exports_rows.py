"""Rows of an export: cut up at once where it is plain CSV, one by one where it isn't, always to the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from countersign.exports import rows as rows_room
from countersign.exports.cells import Cells
from countersign.exports.moments import DateOrder, Moments
from countersign.exports.problems import ExportProblem, Problems
from countersign.exports.reading import Export, Part, read
from countersign.exports.rows import Place, Portion, Rows
from countersign.exports.survey import survey
from countersign.kpis.history import Histories

HEADER = "number,opened_at,resolved_at,short_description\n"
Whole = list[tuple[int, tuple[str, ...]]]


class Text:
    """A text that comes a few characters at a time, and breaks off where an interruption is to come."""

    def __init__(self, text: str, *, at_once: int = 7, breaks_after: int | None = None) -> None:
        self._reading = io.StringIO(text, newline="")
        self._at_once, self._left = at_once, breaks_after
        self.read_so_far = 0

    def read(self, size: int, /) -> str:
        if self._left is not None and self.read_so_far >= self._left:
            raise KeyboardInterrupt
        got = self._reading.read(min(size, self._at_once))
        self.read_so_far += len(got)
        return got


def fast(text: str, *, width: int, at_once: int) -> tuple[Whole, tuple[ExportProblem, ...]]:
    problems = Problems()
    rows = Rows(Text(text, at_once=at_once), width=width, delimiter=",", problems=problems, start=Place())
    found: Whole = []
    for portion in rows:
        found += zip(portion.numbers.tolist(), portion.cells.rows(), strict=True)
    return found, problems.kept


def one_by_one(text: str, *, width: int) -> tuple[Whole, list[str]]:
    """What the csv module alone makes of a text."""
    whole, told = [], []
    for number, cells in enumerate(told_rows(text, told), 1):
        if number > 1 and len(cells) == width:
            whole.append((number, tuple(cells)))
        elif number > 1 and cells:
            told.append(f"row {number}: it has {len(cells)} of {width} columns, so it was not counted")
    return whole, sorted(told)


def told_rows(text: str, told: list[str]) -> Iterator[list[str]]:
    reader, number = csv.reader(io.StringIO(text, newline=""), strict=True), 0
    while True:
        number += 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            told.append(f"row {number}: it can't be read as CSV ({problem}), so it was not counted")
            yield []


@given(
    body=st.lists(
        st.sampled_from([*'ab ,,"\n\n\r', '"",', '","', "\r\n", "é", "a,b\n", '"a\nb",c\n']),
        max_size=30,
    ),
    at_once=st.integers(1, 40),
)
@example(body=['"a\nb",c\n', "a,b\n", "\r\n", '"",', "a", "\n"], at_once=40)
def test_rows_are_those_of_the_csv_module_whatever_is_in_them(body: list[str], at_once: int) -> None:
    """Quotes in odd places, blank and ragged rows, line ends of all kinds, however the text is cut."""
    text = "x,y\n" + "".join(body)
    whole, told = one_by_one(text, width=2)
    found, problems = fast(text, width=2, at_once=at_once)
    assert found == whole
    assert sorted(str(problem) for problem in problems) == told


def test_plain_rows_take_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quoted line breaks, ragged and blank rows are no reason to read row by row."""
    monkeypatch.setattr(rows_room.Rows, "_one_by_one_portion", lambda self: pytest.fail("row by row"))
    text = 'x,y\n1,"two\nlines, ""quoted"""\n\n3\n4,5\r\n'
    assert fast(text, width=2, at_once=100)[0] == [(2, ("1", 'two\nlines, "quoted"')), (5, ("4", "5"))]


@pytest.mark.parametrize("zone", [None, ZoneInfo("Europe/Rome"), ZoneInfo("Australia/Lord_Howe")])
@pytest.mark.parametrize("order", ["day-first", "month-first"])
def test_times_are_the_same_at_once_and_one_by_one(zone: ZoneInfo | None, order: DateOrder) -> None:
    """Every half hour of a year, changes of clocks included, in every form that is read at once; bad ones are told."""
    halves = pl.datetime_range(
        pl.datetime(2026, 1, 1), pl.datetime(2027, 1, 1), interval="30m", eager=True
    ).rename("at")
    days = {"day-first": "%-d{0}%-m{0}%Y", "month-first": "%m{0}%d{0}%Y"}[order]
    forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", *(days.format(sign) + " %-H:%M" for sign in "/-."),
             days.format("/") + " %H:%M:%S", "%Y-%m-%dT%H:%MZ"]  # fmt: skip
    bad = ["31/2/2026 10:00", "2026-02-30 10:00", "1/1/2026 25:00", "2026-01-01", "soon", "?", ""]
    texts = pl.concat(
        [*(halves.dt.strftime(form)[number::11] for number, form in enumerate(forms)), pl.Series(bad)]
    )
    plan = survey(io.StringIO("id,opened\n"), mapping={"id": "id", "opened": "opened"}, order=order)
    problems, moments = Problems(), Moments(order, zone)
    expected = [moments[text] for text in texts]
    cells = pl.DataFrame({"0": texts, "1": texts})
    portion = Portion(
        numbers=pl.int_range(2, 2 + len(texts), eager=True).to_numpy(), cells=cells, end=Place()
    )
    reader = Cells(plan, zone, problems)
    assert reader.read(portion)["opened"].fill_null(float("nan")).equals(pl.Series(expected), null_equal=True)
    assert reader.unzoned
    assert [problem.sentence for problem in problems.kept] == [
        f"{moments.wrong[text]}; it counts as unknown" for text in texts if text in moments.wrong
    ]


class Shelf:
    """Parts, kept in memory."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def kept(self) -> Iterator[Part]:
        yield from list(self.parts)

    def keep(self, part: Part) -> None:
        self.parts.append(part)


def _log(tickets: int) -> str:
    """A log with something wrong in it now and then."""
    lines = ["number,incident_state,sys_mod_count,sys_updated_at,opened_at,resolved_at,category\n"]
    for number in range(tickets):
        for place, state in enumerate(("New", "Active", "Gone" if number % 7 == 3 else "Resolved")):
            lines.append(
                f"INC{number},{state},{place},2026-03-02 {9 + place:02}:{number % 60:02}:00,"
                f'2026-03-02 09:00:00,{"soon" if number % 11 == 5 else "2026-03-02 11:30:00"},"c {number % 5}"\n'
            )
    return "".join(lines) + "torn,row\n"


@pytest.mark.parametrize("breaks_after", [400, 3_000, 9_000])
def test_an_interrupted_reading_goes_on_where_it_was(breaks_after: int) -> None:
    """The export is the same as without the interruption, problems included; what was read is not read again."""
    text = _log(60)
    plan = survey(io.StringIO(text, newline=""))
    whole = read(io.StringIO(text, newline=""), plan)
    shelf, told = Shelf(), list[int]()
    with pytest.raises(KeyboardInterrupt):
        read(Text(text, at_once=100, breaks_after=breaks_after), plan, parts=shelf, part_size=300)
    kept = sum(len(part.rows) for part in shelf.parts)
    again = read(Text(text, at_once=100), plan, parts=shelf, part_size=300, progress=told.append)
    assert same(again, whole)
    assert told[0] > kept > 0


def same(one: Export, other: Export) -> bool:
    first, second = plainly(one.tickets), plainly(other.tickets)
    return first == second and (one.problems, one.counts, one.assumptions, one.rows, one.until) == (
        other.problems, other.counts, other.assumptions, other.rows, other.until,
    )  # fmt: skip


def plainly(tickets: Histories) -> list[object]:
    events = tickets.events
    columns = (
        tickets.opened,
        tickets.acknowledged,
        tickets.finished,
        tickets.category.codes,
        events.at,
        events.kind,
    )
    return [*(str(column.tolist()) for column in columns), tickets.category.names]
