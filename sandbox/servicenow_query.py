"""ServiceNow's encoded query, forgiving as it is: `state=1^priority<=2^ORpriority=5^ORDERBYnumber`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Row = dict[str, str]
# Reads a field, or a path like assignment_group.name, of a row; None if the table has no such field.
Lookup = Callable[[Row, str], str | None]

_CONDITION = re.compile(
    r"^([a-z_][a-z0-9_.]*)"
    r"(NOT IN|NOT LIKE|ISNOTEMPTY|ISEMPTY|STARTSWITH|ENDSWITH|LIKE|IN|!=|>=|<=|=|>|<)(.*)$",
    re.DOTALL,
)
_DATE_CALL = re.compile(r"^javascript:gs\.dateGenerate\('([^']*)'\s*,\s*'([^']*)'\)$")


def _order(have: str, want: str) -> int:
    try:
        left, right = float(have), float(want)
    except ValueError:
        return (have > want) - (have < want)
    return (left > right) - (left < right)


_TESTS: dict[str, Callable[[str, str], bool]] = {
    # The database underneath compares texts without regard to case.
    "=": lambda have, want: have.casefold() == want.casefold(),
    "!=": lambda have, want: have.casefold() != want.casefold(),
    ">": lambda have, want: have != "" and _order(have, want) > 0,
    ">=": lambda have, want: have != "" and _order(have, want) >= 0,
    "<": lambda have, want: have != "" and _order(have, want) < 0,
    "<=": lambda have, want: have != "" and _order(have, want) <= 0,
    "IN": lambda have, want: have.casefold() in want.casefold().split(","),
    "NOT IN": lambda have, want: have.casefold() not in want.casefold().split(","),
    "LIKE": lambda have, want: want.lower() in have.lower(),
    "NOT LIKE": lambda have, want: want.lower() not in have.lower(),
    "STARTSWITH": lambda have, want: have.lower().startswith(want.lower()),
    "ENDSWITH": lambda have, want: have.lower().endswith(want.lower()),
    "ISEMPTY": lambda have, _: have == "",
    "ISNOTEMPTY": lambda have, _: have != "",
}


@dataclass(frozen=True, slots=True)
class _Condition:
    path: str
    operator: str
    value: str

    def holds(self, row: Row, lookup: Lookup) -> bool:
        return _TESTS[self.operator](lookup(row, self.path) or "", self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`all_of` holds groups that must all be true; a group is true if one of its conditions is."""

    all_of: tuple[tuple[_Condition, ...], ...]
    order: tuple[tuple[str, bool], ...]

    def named(self) -> list[list[tuple[str, str]]]:
        """Of each group that names values: the fields and values, one of which every row found must have."""
        return [
            [
                (c.path, value)
                for c in group
                for value in (c.value.split(",") if c.operator == "IN" else (c.value,))
            ]
            for group in self.all_of
            if all(c.operator in ("=", "IN") for c in group)
        ]

    def apply(self, rows: Iterable[Row], lookup: Lookup) -> list[Row]:
        found = [
            row for row in rows if all(any(c.holds(row, lookup) for c in group) for group in self.all_of)
        ]
        for path, descending in reversed(self.order):
            found.sort(key=lambda row: lookup(row, path) or "", reverse=descending)
        return found


def parse(text: str, knows: Callable[[str], bool]) -> Query:
    """Read an encoded query. As on a real instance, a part with no known field or operator is ignored."""
    groups: list[list[_Condition]] = []
    order: list[tuple[str, bool]] = []
    for part in text.split("^"):
        if part.startswith("ORDERBY"):
            path = part.removeprefix("ORDERBYDESC").removeprefix("ORDERBY")
            if knows(path):
                order.append((path, part.startswith("ORDERBYDESC")))
            continue
        alternative = part.startswith("OR")
        condition = _condition(part.removeprefix("OR") if alternative else part, knows)
        if condition and alternative and groups:
            groups[-1].append(condition)
        elif condition:
            groups.append([condition])
    return Query(all_of=tuple(tuple(group) for group in groups), order=tuple(order))


def _condition(part: str, knows: Callable[[str], bool]) -> _Condition | None:
    match = _CONDITION.match(part)
    if not match or not knows(match[1]):
        return None
    called = _DATE_CALL.match(match[3])
    return _Condition(match[1], match[2], f"{called[1]} {called[2]}" if called else match[3])
