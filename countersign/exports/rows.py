"""Rows of an export: its text cut into portions of whole rows; what is no whole row is told and left out.

A portion that is plain CSV is cut up by polars. What isn't (a torn quote, a lone carriage return) goes through the
csv module row by row, which tells what is wrong with it; after that the fast way is tried again. Both give the same.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import polars as pl

from countersign.exports.problems import Problems
from countersign.kpis.history import Bools, Ints

_BLOCK = 1 << 22  # characters
_ONE_BY_ONE = 1 << 20
_LINE, _RETURN, _QUOTE = b'\n\r"'


class Text(Protocol):
    """A file opened with newline="", or what reads like one."""

    def read(self, size: int, /) -> str: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where reading is: so many rows (the header among them, and blank ones) in so many characters."""

    rows: int = 0
    characters: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Portion:
    """Whole rows: `numbers` in the file, `cells` as columns of text called "0", "1" …, and where reading is then."""

    numbers: Ints
    cells: pl.DataFrame
    end: Place


@dataclass(kw_only=True, slots=True)
class _Source:
    """A text and what was read of it, but not yet taken."""

    text: Text
    taken: int
    held: str = ""
    ended: bool = False
    _lines: deque[str] = field(default_factory=deque)

    def skip(self) -> None:
        """Goes to where an earlier run stopped: positions in an encoded file can't be jumped to."""
        left = self.taken
        while left and (block := self.text.read(min(left, _BLOCK))):
            left -= len(block)

    def fill(self) -> None:
        block = self.text.read(_BLOCK)
        self.held, self.ended = self.held + block, not block

    def keep(self, rest: str) -> None:
        """Everything but `rest` is taken."""
        self.taken += len(self.held) - len(rest)
        self.held = rest

    def lines(self) -> Iterator[str]:
        """Line by line, as a file gives them; what was not asked for is held again by `put_back`."""
        self._lines, self.held = deque(io.StringIO(self.held, newline="")), ""
        while True:
            while len(self._lines) < 2 and not self.ended:  # the last one may go on
                self.fill()
                self._lines = deque(io.StringIO("".join(self._lines) + self.held, newline=""))
                self.held = ""
            if not self._lines:
                return
            self.taken += len(self._lines[0])
            yield self._lines.popleft()

    def put_back(self) -> None:
        self.held = "".join(self._lines)
        self._lines.clear()


class Rows:
    """The portions of a text, from its header or from `start` on. Iterate once."""

    def __init__(self, text: Text, *, width: int, delimiter: str, problems: Problems, start: Place) -> None:
        self._source = _Source(text=text, taken=start.characters)
        self._width, self._delimiter, self._problems = width, delimiter, problems
        self._schema = {str(place): pl.String for place in range(width)}
        self._rows = start.rows

    def __iter__(self) -> Iterator[Portion]:
        self._source.skip()
        if not self._rows:
            list(self._one_by_one(most=1))  # the header, which may hold anything
        while True:
            self._source.fill()
            if self._source.ended and not self._source.held:
                return
            portion = self._plain()
            yield self._portion(*self._one_by_one_portion()) if portion is None else self._portion(*portion)

    def _portion(self, numbers: Ints, cells: pl.DataFrame) -> Portion:
        end = Place(rows=self._rows, characters=self._source.taken)
        return Portion(numbers=numbers, cells=cells, end=end)

    def _plain(self) -> tuple[Ints, pl.DataFrame] | None:
        """What is held, up to its last whole row, if it is plain CSV; else nothing is taken."""
        held = self._source.held
        data = held.encode()
        if self._source.ended and not data.endswith(b"\n"):
            data += b"\n"
        found = _cut(data, ord(self._delimiter))
        if found is None:
            return None
        ends, delimiters, blank = found
        whole = (delimiters == self._width - 1) & ~blank
        kept = data[: int(ends[-1]) + 1]
        if not whole.all():
            lengths = np.diff(ends, prepend=-1)
            kept = np.frombuffer(kept, dtype=np.uint8)[np.repeat(whole, lengths)].tobytes()
        cells = self._parsed(kept)
        if len(cells) != np.count_nonzero(whole):
            return None
        numbers = np.arange(self._rows + 1, self._rows + 1 + len(ends), dtype=np.int32)
        for place in np.flatnonzero(~whole & ~blank).tolist():
            self._tell_width(int(numbers[place]), int(delimiters[place]) + 1)
        self._rows += len(ends)
        self._source.keep(data[int(ends[-1]) + 1 :].decode())
        return numbers[whole], cells

    def _parsed(self, data: bytes) -> pl.DataFrame:
        if not data:
            return pl.DataFrame(schema=self._schema)
        return pl.read_csv(
            data, has_header=False, schema=self._schema, separator=self._delimiter, empty_string_is_null=False
        )

    def _one_by_one_portion(self) -> tuple[Ints, pl.DataFrame]:
        kept = list(self._one_by_one())
        numbers = np.array([number for number, _ in kept], dtype=np.int32)
        columns = zip(*(cells for _, cells in kept), strict=True)
        if not kept:
            return numbers, pl.DataFrame(schema=self._schema)
        return numbers, pl.DataFrame(dict(zip(self._schema, columns, strict=True)), schema=self._schema)

    def _one_by_one(self, most: int | None = None) -> Iterator[tuple[int, list[str]]]:
        """Whole rows as the csv module reads them: `most` of them, or about a block."""
        reader = csv.reader(self._source.lines(), delimiter=self._delimiter, strict=True)
        until, last = self._source.taken + _ONE_BY_ONE, self._rows + (most or _ONE_BY_ONE)
        while self._source.taken < until and self._rows < last:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as problem:
                self._rows += 1
                sentence = f"it can't be read as CSV ({problem}), so it was not counted"
                self._problems.tell(self._rows, "", "not CSV", sentence)
                continue
            self._rows += 1
            if len(cells) == self._width:
                yield self._rows, cells
            elif cells:
                self._tell_width(self._rows, len(cells))
        self._source.put_back()

    def _tell_width(self, number: int, width: int) -> None:
        sentence = f"it has {width} of {self._width} columns, so it was not counted"
        self._problems.tell(number, "", "not a whole row", sentence)


def _cut(data: bytes, delimiter: int) -> tuple[Ints, Ints, Bools] | None:
    """Where the rows of plain CSV end, how many delimiters each has, and which are blank; None if it isn't plain."""
    codes = np.frombuffer(data, dtype=np.uint8)
    outside: Any = None
    if _QUOTE in data:
        outside = np.bitwise_xor.accumulate(codes == _QUOTE) == 0
    ends = np.flatnonzero(_free(codes == _LINE, outside))
    if not len(ends):
        return None
    last = int(ends[-1])
    if outside is not None and not _well_quoted(codes[: last + 1], delimiter):
        return None
    if _RETURN in data:
        returns = np.flatnonzero(_free(codes[:last] == _RETURN, None if outside is None else outside[:last]))
        if not (codes[returns + 1] == _LINE).all():
            return None
    places = np.flatnonzero(_free(codes == delimiter, outside))
    counts = np.diff(np.searchsorted(places, ends), prepend=0)
    lengths = np.diff(ends, prepend=-1)
    blank = (lengths == 1) | ((lengths == 2) & (codes[ends - 1] == _RETURN))
    return ends, counts, blank


def _free(hit: Bools, outside: Bools | None) -> Bools:
    """Those outside of quotes."""
    return hit if outside is None else hit & outside


def _well_quoted(codes: Ints, delimiter: int) -> bool:
    """Whether every quote opens a cell, ends one, or is one of a pair inside: what all readers of CSV agree on."""
    places = np.flatnonzero(codes == _QUOTE)
    opening, closing = places[::2], places[1::2]
    before = np.where(opening > 0, codes[opening - 1], _LINE)
    after = codes[closing + 1]  # the last one of all is a line's end
    starts = (before == delimiter) | (before == _LINE) | (before == _QUOTE)
    stops = (after == delimiter) | (after == _LINE) | (after == _RETURN) | (after == _QUOTE)
    return len(opening) == len(closing) and bool(starts.all() and stops.all())
