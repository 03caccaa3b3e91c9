"""Problems of an export: what could not be read, by row and column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from countersign.kpis.history import Ints

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

    def __init__(
        self, told: Mapping[tuple[str, str], int] | None = None, kept: Iterable[ExportProblem] = ()
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter(told or {})
        self._kept = list(kept)

    def tell(self, row: int, column: str, kind: str, sentence: str) -> None:
        self.tell_each((row,), column, kind, lambda _: sentence)

    def tell_all(self, rows: Sequence[int] | Ints, column: str, kind: str, sentence: str) -> None:
        """The same sentence for many rows."""
        self.tell_each(rows, column, kind, lambda _: sentence)

    def tell_each(
        self, rows: Sequence[int] | Ints, column: str, kind: str, sentence: Callable[[int], str]
    ) -> None:
        """A sentence for each of many rows, made from its place among them only if it is kept."""
        if not len(rows):
            return
        room = max(_KEPT - self.counts[column, kind], 0)
        self.counts[column, kind] += len(rows)
        self._kept.extend(
            ExportProblem(row=int(row), column=column, sentence=sentence(place))
            for place, row in enumerate(rows[:room])
        )

    @property
    def kept(self) -> tuple[ExportProblem, ...]:
        return tuple(sorted(self._kept, key=lambda problem: (problem.row, problem.column)))
