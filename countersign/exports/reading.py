"""Reading an export: its rows, a portion at a time, as columns; then as ticket histories."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from countersign.exports.cells import Cells
from countersign.exports.forms import Kind
from countersign.exports.histories import from_list, from_log
from countersign.exports.problems import ExportError, ExportProblem, Problems
from countersign.exports.rows import Place, Portion, Rows, Text
from countersign.exports.survey import Survey
from countersign.exports.table import Links, Table
from countersign.kpis.history import UNKNOWN, Codes, Histories

_PART = 1 << 26
_STATES: tuple[Kind, ...] = ("state", "course", "outcome", "urgency")


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What an export came to. `since` is the first opening, `until` the last moment it knows of; `counts` holds
    (column, kind of problem) -> rows.

    `links` are the changes that the tickets name; `problems` holds at most the first hundred of each kind.
    """

    tickets: Histories
    links: Links
    rows: int
    since: datetime
    until: datetime
    problems: tuple[ExportProblem, ...]
    counts: Mapping[tuple[str, str], int]
    assumptions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Rows that were read, with all that is needed to go on after them. `problems` and `counts` are those so far."""

    rows: pl.DataFrame
    place: Place
    problems: tuple[ExportProblem, ...]
    counts: Mapping[tuple[str, str], int]
    unzoned: bool


class Parts(Protocol):
    """Where a long reading leaves its parts, so that it goes on there after an interruption."""

    def kept(self) -> Iterator[Part]:
        """The parts of an earlier reading of the same export by the same plan, from the first on."""

    def keep(self, part: Part) -> None: ...


def read(
    text: Text,
    plan: Survey,
    *,
    zone: ZoneInfo | None = None,
    progress: Callable[[int], None] | None = None,
    parts: Parts | None = None,
    part_size: int = _PART,
) -> Export:
    """All rows of an export. Times without a zone are taken to be in `zone` (UTC if None, which is told).

    `progress` is called with the number of rows read so far; `parts` gets one for about each `part_size` characters.
    Raises ExportError if no time in it can be read.
    """
    reader = Reader(plan=plan, zone=zone, parts=parts, part_size=part_size)
    reader.go_on()
    for portion in reader.portions(text):
        reader.add(portion)
        if progress:
            progress(reader.rows)
    until = reader.last_moment()
    make = from_log if plan.form.log else from_list
    tickets, links = make(reader.table(), plan, reader.problems)  # held by nobody else, so that it can go
    return Export(
        tickets=tickets,
        links=links,
        rows=reader.rows,
        since=_first_opening(tickets),
        until=until,
        problems=reader.problems.kept,
        counts=dict(reader.problems.counts),
        assumptions=(*plan.assumptions, *reader.assumptions()),
    )


@dataclass(kw_only=True, slots=True)
class Reader:
    """Gathers rows as columns, one growing array for each."""

    plan: Survey
    zone: ZoneInfo | None
    parts: Parts | None = None
    part_size: int = _PART
    problems: Problems = field(default_factory=Problems)
    rows: int = 0
    _place: Place = field(default_factory=Place)
    _unzoned: bool = False
    _words: dict[str, pl.Categories] = field(init=False)
    _alive: list[pl.Series] = field(init=False)
    _columns: dict[str, tuple[Any, bytearray]] = field(default_factory=dict)
    _unsaved: list[pl.DataFrame] = field(default_factory=list)
    _saved: int = 0

    def __post_init__(self) -> None:
        named = (name for name in self.plan.columns if self.plan.form.kinds[name] in ("id", "word"))
        self._words = {name: pl.Categories.random() for name in named}
        # Words keep their codes only as long as a series of theirs lives.
        self._alive = [pl.Series([], dtype=pl.Categorical(words)) for words in self._words.values()]

    def go_on(self) -> None:
        """Takes over what an earlier reading left."""
        for part in self.parts.kept() if self.parts else ():
            self._gather(part.rows)
            self._place, self._saved, self._unzoned = part.place, part.place.characters, part.unzoned
            self.problems = Problems(part.counts, part.problems)

    def portions(self, text: Text) -> Iterator[Portion]:
        plan = self.plan
        return iter(
            Rows(
                text,
                width=len(plan.header),
                delimiter=plan.delimiter,
                problems=self.problems,
                start=self._place,
            )
        )

    def add(self, portion: Portion) -> None:
        cells = Cells(self.plan, self.zone, self.problems)
        rows = cells.read(portion)
        self._unzoned, self._place = self._unzoned or cells.unzoned, portion.end
        self._gather(rows)
        if self.parts is None:
            return
        self._unsaved.append(rows)
        if self._place.characters - self._saved >= self.part_size:
            self._save(self.parts)

    def _save(self, parts: Parts) -> None:
        parts.keep(
            Part(
                rows=pl.concat(self._unsaved),
                place=self._place,
                problems=self.problems.kept,
                counts=dict(self.problems.counts),
                unzoned=self._unzoned,
            )
        )
        self._unsaved.clear()
        self._saved = self._place.characters

    def _gather(self, rows: pl.DataFrame) -> None:
        """Appends in place: many small arrays, joined at the end, would take twice the memory."""
        self.rows += len(rows)
        for name in rows.columns:
            column = rows[name]
            if name in self._words:
                codes = column.cast(pl.Categorical(self._words[name])).to_physical()
                column = codes.cast(pl.Int32).fill_null(UNKNOWN)
            elif column.dtype.is_float():
                column = column.fill_null(math.nan)
            values = column.to_numpy()
            self._columns.setdefault(name, (values.dtype, bytearray()))[1].extend(values.data)

    def last_moment(self) -> datetime:
        """The newest time a row was written; for a list without such a column, the newest time in it."""
        if not self.rows:
            raise ExportError("The export has a header, but no row that can be read.")
        times = [name for name in self.plan.columns if self.plan.form.kinds[name] == "time"]
        told = [self._column(name) for name in (["updated"] if "updated" in times else times)]
        newest = max(float(column.max(initial=-math.inf, where=np.isfinite(column))) for column in told)
        if newest == -math.inf:
            raise ExportError("No time in the export can be read; see --map and --dates.")
        return datetime.fromtimestamp(newest, UTC)

    def table(self) -> Table:
        """All rows; the reader forgets them."""
        columns = {name: self._column(name) for name in self._columns}
        self._columns.clear()
        by_kind: dict[Kind, dict[str, Any]] = {
            kind: {} for kind in ("time", "number", "work", "word", *_STATES)
        }
        for name in self.plan.columns:
            by_kind.get(self.plan.form.kinds[name], {})[name] = columns[name]
        # What a column of minutes says goes before the log of work.
        logged = {"minutes": columns["worked"]} if by_kind["work"] else {}
        return Table(
            row=columns["row"],
            print=columns["print"],
            ids=self._coded("id", columns),
            times=by_kind["time"],
            numbers=logged | by_kind["number"],
            words={name: self._coded(name, columns) for name in by_kind["word"]},
            states={name: values for kind in _STATES for name, values in by_kind[kind].items()},
        )

    def _column(self, name: str) -> Any:
        kind, kept = self._columns[name]
        return np.frombuffer(kept, dtype=kind)

    def _coded(self, name: str, columns: Mapping[str, Any]) -> Codes:
        # Only of a list are the names of tickets ever told, and those of a log are many.
        spare = name == "id" and self.plan.form.log
        return Codes(codes=columns[name], names=() if spare else tuple(self._words[name].to_series()))

    def assumptions(self) -> Iterator[str]:
        if self._unzoned and self.zone is None:
            yield (
                "Times have no zone and are taken to be in UTC: across a change of clocks they are off by an hour; "
                "tell the zone with --zone."
            )
        elif self._unzoned:
            yield f"Times without a zone are taken to be in {self.zone}."
        if "worked" in self.plan.columns:
            yield "Bare numbers of logged work are seconds; 0 counts as unknown, as nothing was logged."
        if self.plan.form.log:
            yield "A ticket counts as acknowledged at its first row in another state than new."


def _first_opening(tickets: Histories) -> datetime:
    known = tickets.opened[np.isfinite(tickets.opened)]
    if not len(known):
        raise ExportError("No opening time in the export can be read; see --map and --dates.")
    return datetime.fromtimestamp(float(known.min()), UTC)
