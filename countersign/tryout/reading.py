"""Reading an export for a tryout: one ticket each, as it was when it came in, and what became of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from countersign.exports.moments import is_null
from countersign.exports.problems import ExportError, ExportProblem, Problems
from countersign.severity import Severity
from countersign.tryout.columns import Columns, columns_of

_PRIORITIES = {
    "1": Severity.CRITICAL, "2": Severity.HIGH, "3": Severity.MEDIUM, "4": Severity.LOW, "5": Severity.INFO,
}  # fmt: skip
_LONGEST = 20_000
_CODED = str.maketrans("0123456789", "abcdefghij", " -")
_CELL = 1 << 24


@dataclass(frozen=True, kw_only=True, slots=True)
class OldTicket:
    """A ticket that is over. `reopened`, `moved`, `category`, `group` are None where the export does not tell.

    `severity` is None where the priority is unknown.
    """

    id: str
    row: int
    text: str
    severity: Severity | None
    service: str
    category: str | None
    group: str | None
    reopened: bool | None
    moved: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tickets:
    """What an export came to; `problems` keeps the first hundred of each kind, `counts` counts all."""

    tickets: tuple[OldTicket, ...]
    rows: int
    columns: Columns
    problems: tuple[ExportProblem, ...]
    counts: Mapping[tuple[str, str], int]


def read_tickets(lines: Iterable[str], mapping: Mapping[str, str]) -> Tickets:
    """One ticket for each id: its first row is what the model reads, its last rows tell what became of it.

    Raises ExportError for a file without tickets or without a column that says anything.
    """
    reading = iter(lines)
    first = next(reading, "")
    delimiter = max(",;\t|", key=first.count)
    csv.field_size_limit(_CELL)
    header = [cell.strip().lstrip("\ufeff") for cell in next(csv.reader([first], delimiter=delimiter), [])]
    if not any(header):
        raise ExportError("The file is empty; export the tickets as CSV with a header.")
    columns, problems = columns_of(header, mapping), Problems()
    firsts: dict[str, tuple[int, list[str]]] = {}
    ends: dict[str, _End] = {}
    seen: set[int] = set()
    rows = 0
    for number, cells in _rows(reading, delimiter, len(header), problems):
        rows += 1
        if (print_ := hash(tuple(cells))) in seen:
            problems.tell(number, "", "again", "the same row again; it counts once")
        seen.add(print_)
        id = _word(cells, columns, "id") or f"row {number}"
        firsts.setdefault(id, (number, cells))
        ends.setdefault(id, _End()).add(cells, columns, number, problems)
    tickets = [_ticket(id, *firsts[id], ends[id], columns, problems) for id in firsts]
    kept = tuple(ticket for ticket in tickets if ticket.text)
    if not kept:
        raise ExportError("The export has a header, but no ticket that says anything.")
    return Tickets(
        tickets=kept, rows=rows, columns=columns, problems=problems.kept, counts=dict(problems.counts)
    )


def _rows(
    lines: Iterator[str], delimiter: str, width: int, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 1
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            problems.tell(
                number, "", "not CSV", f"it can't be read as CSV ({problem}), so it was not counted"
            )
            continue
        if len(cells) == width:
            yield number, cells
        elif cells:
            sentence = f"it has {len(cells)} of {width} columns, so it was not counted"
            problems.tell(number, "", "not a whole row", sentence)


def _word(cells: list[str], columns: Columns, field: str) -> str:
    place = columns.fields.get(field)
    return "" if place is None or is_null(cells[place]) else cells[place].strip()


@dataclass(slots=True)
class _End:
    """What became of a ticket, gathered over its rows: the most it was reopened and moved, its last words."""

    reopens: float | None = None
    moves: float | None = None
    category: str = ""
    group: str = ""

    def add(self, cells: list[str], columns: Columns, number: int, problems: Problems) -> None:
        for field in ("reopens", "moves"):
            if (text := _word(cells, columns, field)) and (count := _count(text)) is None:
                sentence = f'"{text[:40]}" is not a number from 0 up; it counts as unknown'
                problems.tell(number, columns.called(field), "not a number", sentence)
            elif text:
                setattr(self, field, max(count or 0.0, getattr(self, field) or 0.0))
        self.category = _word(cells, columns, "category") or self.category
        self.group = _word(cells, columns, "group") or self.group


def _count(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value >= 0 else None


def _ticket(
    id: str, number: int, cells: list[str], end: _End, columns: Columns, problems: Problems
) -> OldTicket:
    text = _text(cells, columns)
    if not text:
        problems.tell(number, "", "says nothing", "nothing is written in it, so it was not counted")
    return OldTicket(
        id=id,
        row=number,
        text=text,
        severity=_severity(cells, columns, number, problems),
        service=_word(cells, columns, "service"),
        category=end.category or None,
        group=end.group or None,
        reopened=None if end.reopens is None else end.reopens > 0,
        moved=None if end.moves is None else end.moves > 0,
    )


def _text(cells: list[str], columns: Columns) -> str:
    title, body = _word(cells, columns, "title"), _word(cells, columns, "body")
    if title or body:
        return f"{title}\n{body}".strip()[:_LONGEST]
    # Codes as one word each, their digits as letters: a reader of prose takes all numbers for the same.
    said = (
        f"{columns.header[place]}_{cells[place]}".translate(_CODED)
        for place in columns.seen
        if not is_null(cells[place])
    )
    return "\n".join(said)[:_LONGEST]


def _severity(cells: list[str], columns: Columns, number: int, problems: Problems) -> Severity | None:
    text = _word(cells, columns, "priority")
    if not text:
        return None
    if text[0] in _PRIORITIES:
        return _PRIORITIES[text[0]]
    try:
        return Severity.parse(text)
    except ValueError:
        sentence = f'"{text[:40]}" is not a known priority; it counts as unknown'
        problems.tell(number, columns.called("priority"), "not a known priority", sentence)
        return None
