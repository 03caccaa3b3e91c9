"""Problems of an export: what could not be read, by row and column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from countersign.errors import CountersignError

_KEPT = 100


class ExportError(CountersignError):
    """An export that can't be read at all: its message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportProblem:
    """One cell or row that was not counted. Rows count from 1, the header being row 1; `column` may be ""."""

    row: int
    column: str
    sentence: str

    def __str__(self) -> str:
        place = f"row {self.row}, {self.column}" if self.column else f"row {self.row}"
        return f"{place}: {self.sentence}"


class Problems:
    """Collects problems: all are counted by column and kind, the first hundred of each are kept."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._kept: list[ExportProblem] = []

    def tell(self, row: int, column: str, kind: str, sentence: str) -> None:
        self.counts[column, kind] += 1
        if self.counts[column, kind] <= _KEPT:
            self._kept.append(ExportProblem(row=row, column=column, sentence=sentence))

    def tell_all(self, rows: Iterable[int], column: str, kind: str, sentence: str) -> None:
        """The same sentence for many rows."""
        for row in rows:
            self.tell(int(row), column, kind, sentence)

    @property
    def kept(self) -> tuple[ExportProblem, ...]:
        return tuple(sorted(self._kept, key=lambda problem: (problem.row, problem.column)))
