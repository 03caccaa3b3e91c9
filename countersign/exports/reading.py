"""Reading an export: its rows, a portion at a time, as columns; then as ticket histories."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from countersign.exports.forms import FIELD_KINDS, PHASES, Kind
from countersign.exports.histories import from_list, from_log
from countersign.exports.moments import Moments, is_null
from countersign.exports.problems import ExportError, ExportProblem, Problems
from countersign.exports.survey import Survey
from countersign.exports.table import Table
from countersign.kpis.history import UNKNOWN, Codes, Histories

_PORTION = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What an export came to. `since` is the first opening, `until` the last moment it knows of; `counts` holds
    (column, kind of problem) -> rows.

    `problems` holds at most the first hundred of each kind.
    """

    tickets: Histories
    rows: int
    since: datetime
    until: datetime
    problems: tuple[ExportProblem, ...]
    counts: Mapping[tuple[str, str], int]
    assumptions: tuple[str, ...]


def read(
    lines: Iterable[str],
    plan: Survey,
    *,
    zone: ZoneInfo | None = None,
    progress: Callable[[int], None] | None = None,
) -> Export:
    """All rows of an export. Times without a zone are taken to be in `zone` (UTC if None, which is told).

    `progress` is called with the number of rows read so far. Raises ExportError if no time in it can be read.
    """
    reader = _Reader(plan=plan, zone=zone)
    for portion in _portions(lines, plan, reader.problems):
        reader.add(portion)
        if progress:
            progress(reader.rows)
    table = reader.table()
    until = _last_moment(table)
    make = from_log if plan.form.log else from_list
    tickets = make(table, plan, reader.problems)
    return Export(
        tickets=tickets,
        rows=reader.rows,
        since=_first_opening(tickets),
        until=until,
        problems=reader.problems.kept,
        counts=dict(reader.problems.counts),
        assumptions=(*plan.assumptions, *reader.assumptions()),
    )


Row = tuple[int, list[str]]


def _portions(lines: Iterable[str], plan: Survey, problems: Problems) -> Iterator[list[Row]]:
    """Whole rows with their numbers; a row that is not whole is told and left out."""
    width = len(plan.header)
    portion: list[Row] = []
    for number, cells in enumerate(_cells(lines, plan.delimiter, problems), 1):
        if number == 1 or not cells:
            continue
        if len(cells) != width:
            sentence = f"it has {len(cells)} of {width} columns, so it was not counted"
            problems.tell(number, "", "not a whole row", sentence)
            continue
        portion.append((number, cells))
        if len(portion) == _PORTION:
            yield portion
            portion = []
    if portion:
        yield portion


def _cells(lines: Iterable[str], delimiter: str, problems: Problems) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
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
            cells = []
        yield cells


class _Numbers(dict[str, float]):
    """Text -> number, NaN where it is empty or wrong."""

    def __missing__(self, text: str) -> float:
        try:
            value = math.nan if is_null(text) else float(text)
        except ValueError:
            value = math.nan
        self[text] = value = value if value >= 0 and value != math.inf else math.nan
        return value


class _Words(dict[str, int]):
    """Text -> code, UNKNOWN for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, text: str) -> int:
        bare = text.strip()
        if is_null(text):
            code = UNKNOWN
        elif bare != text:
            code = self[bare]
        else:
            code = len(self.names)
            self.names.append(text)
        self[text] = code
        return code


class _Phases(dict[str, int]):
    """Text -> phase, UNKNOWN for a word that is not known."""

    def __missing__(self, text: str) -> int:
        self[text] = int(PHASES.get(text.strip().lower(), UNKNOWN))
        return self[text]


# Narrow ones: a log of a million tickets has six million rows, and they shall fit into a gigabyte.
_TYPES: dict[Kind, Any] = {
    "id": np.int32,
    "word": np.int32,
    "state": np.int8,
    "number": np.float32,
    "time": np.float64,
}
_WRONG: dict[Kind, tuple[str, str]] = {
    "time": ("not a time", "{wrong}; it counts as unknown"),
    "number": ("not a number", '"{text}" is not a number from 0 up; it counts as unknown'),
    "state": ("not a known state", '"{text}" is not a known state; it counts as unknown'),
}


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Turns portions of rows into columns, one array for each field and portion."""

    plan: Survey
    zone: ZoneInfo | None
    problems: Problems = field(default_factory=Problems)
    rows: int = 0
    _moments: Moments = field(init=False)
    _known: dict[str, dict[str, Any]] = field(init=False)
    _parts: dict[str, tuple[Any, bytearray]] = field(init=False)

    def __post_init__(self) -> None:
        self._moments = Moments(self.plan.order, self.zone)
        makers: dict[Kind, Callable[[], dict[str, Any]]] = {
            "id": _Words, "word": _Words, "number": _Numbers, "state": _Phases, "time": lambda: self._moments,
        }  # fmt: skip
        self._known = {name: makers[FIELD_KINDS[name]]() for name in self.plan.columns}
        self._parts = {}

    def add(self, portion: list[Row]) -> None:
        numbers, rows = zip(*portion, strict=True)
        self.rows += len(rows)
        self._keep("row", np.array(numbers, dtype=np.int32))
        self._keep("print", np.array([hash(tuple(cells)) for cells in rows], dtype=np.int64))
        for name, place in self.plan.columns.items():
            texts = list(map(itemgetter(place), rows))
            values = list(map(self._known[name].__getitem__, texts))
            kind = FIELD_KINDS[name]
            column = np.array(values, dtype=_TYPES[kind])
            self._keep(name, column)
            if kind in _WRONG:
                self._tell_wrong(name, kind, texts, column, numbers)
        self._moments.make_room()

    def _keep(self, name: str, column: Any) -> None:
        """Appends to a column in place: many small arrays, joined at the end, would take twice the memory."""
        self._parts.setdefault(name, (column.dtype, bytearray()))[1].extend(column.data)

    def _tell_wrong(
        self, name: str, kind: Kind, texts: list[str], column: Any, numbers: tuple[int, ...]
    ) -> None:
        short, sentence = _WRONG[kind]
        odd = np.flatnonzero(column == UNKNOWN if kind == "state" else np.isnan(column))
        for place in odd.tolist():
            text = texts[place]
            if not is_null(text):
                told = sentence.format(text=text[:40], wrong=self._moments.wrong.get(text, ""))
                self.problems.tell(numbers[place], self.plan.called(name), short, told)

    def table(self) -> Table:
        parts = {name: np.frombuffer(kept, dtype=kind) for name, (kind, kept) in self._parts.items()}
        names = {name: tuple(known.names) for name, known in self._known.items() if isinstance(known, _Words)}
        self._known.clear()  # as large as the table itself, and not needed any more
        self._moments.clear()
        if not parts:
            raise ExportError("The export has a header, but no row that can be read.")
        return Table(
            row=parts.pop("row"),
            print=parts.pop("print"),
            ids=Codes(codes=parts.pop("id"), names=names.pop("id")),
            times={name: parts[name] for name in parts if FIELD_KINDS[name] == "time"},
            numbers={name: parts[name] for name in parts if FIELD_KINDS[name] == "number"},
            words={name: Codes(codes=parts[name], names=words) for name, words in names.items()},
            phase=parts.get("state"),
        )

    def assumptions(self) -> Iterator[str]:
        if self._moments.unzoned and self.zone is None:
            yield (
                "Times have no zone and are taken to be in UTC: across a change of clocks they are off by an hour; "
                "tell the zone with --zone."
            )
        elif self._moments.unzoned:
            yield f"Times without a zone are taken to be in {self.zone}."
        if self.plan.form.log:
            yield "A ticket counts as acknowledged at its first row in another state than new."


def _first_opening(tickets: Histories) -> datetime:
    known = tickets.opened[np.isfinite(tickets.opened)]
    if not len(known):
        raise ExportError("No opening time in the export can be read; see --map and --dates.")
    return datetime.fromtimestamp(float(known.min()), UTC)


def _last_moment(table: Table) -> datetime:
    """The newest time a row was written; for a list without such a column, the newest time in it."""
    told = [table.times["updated"]] if "updated" in table.times else list(table.times.values())
    known = np.concatenate(told)
    known = known[np.isfinite(known)]
    if not len(known):
        raise ExportError("No time in the export can be read; see --map and --dates.")
    return datetime.fromtimestamp(float(known.max()), UTC)
