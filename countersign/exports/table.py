"""The table of an export: its rows as columns, before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from countersign.kpis.history import Bools, Codes, Floats, Ints


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """The changes that tickets name, a row for each ticket: `row` is the number in the file, `named` holds the columns
    of `LINKS` that there are."""

    row: Ints
    named: Mapping[str, Codes]

    def tickets_of(self, field: str) -> Mapping[str, tuple[str, ...]] | None:
        """The tickets that name each change, by their rows; None if there is no such column."""
        if field not in self.named:
            return None
        words = self.named[field]
        found: dict[str, list[str]] = {}
        for place in words.known.nonzero()[0].tolist():
            found.setdefault(words.names[int(words.codes[place])], []).append(f"row {self.row[place]}")
        return {change: tuple(rows) for change, rows in found.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows as columns: `row` is the number in the file, `print` is equal for equal rows
    (empty where it was dropped), `states` what words of a short list mean, or UNKNOWN.

    Times are seconds since 1970, NaN where unknown, as numbers are.
    """

    row: Ints
    print: Ints
    ids: Codes
    times: Mapping[str, Floats]
    numbers: Mapping[str, Floats]
    words: Mapping[str, Codes]
    states: Mapping[str, Ints]

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
            states={name: values[rows] for name, values in self.states.items()},
        )
