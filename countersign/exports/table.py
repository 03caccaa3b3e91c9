"""The table of an export: its rows as columns, before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from countersign.kpis.history import Bools, Codes, Floats, Ints


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows as columns: `row` is the number in the file, `print` is equal for equal rows
    (empty where it was dropped), `phase` a Phase or UNKNOWN.

    Times are seconds since 1970, NaN where unknown, as numbers are.
    """

    row: Ints
    print: Ints
    ids: Codes
    times: Mapping[str, Floats]
    numbers: Mapping[str, Floats]
    words: Mapping[str, Codes]
    phase: Ints | None

    def take(self, rows: Ints | Bools) -> Table:
        """Some rows, chosen by their place or by a mask, in the order given."""
        return Table(
            row=self.row[rows],
            print=self.print[rows] if len(self.print) else self.print,
            ids=Codes(codes=self.ids.codes[rows], names=self.ids.names),
            times={name: values[rows] for name, values in self.times.items()},
            numbers={name: values[rows] for name, values in self.numbers.items()},
            words={
                name: Codes(codes=words.codes[rows], names=words.names) for name, words in self.words.items()
            },
            phase=None if self.phase is None else self.phase[rows],
        )
