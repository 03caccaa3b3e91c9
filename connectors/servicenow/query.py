"""Encoded queries: no value can add a condition to them, and each row can be held against them.

ServiceNow ignores the parts of a query that it doesn't understand and then answers with every row. Who trusts
that answer closes other people's tickets; so every condition is tried again here on what came back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

Row = Mapping[str, object]

_CONDITION = re.compile(
    r"([a-z_][a-z0-9_.]*)(NOT IN|NOT LIKE|ISNOTEMPTY|ISEMPTY|STARTSWITH|LIKE|IN|!=|>=|<=|=|>|<)(.*)",
    re.DOTALL,
)
_SYS_ID = re.compile(r"[0-9a-f]{32}")
_AT_ONCE = 100
# Servers refuse request lines of 8 KB; the fields and the rest of the query take their part.
_LONGEST = 5000
_REFERENCES = frozenset({"assignment_group", "assigned_to", "cmdb_ci", "business_service", "caller_id"})
_BY_NAME = frozenset({"=", "!=", "IN", "NOT IN", "STARTSWITH", "LIKE", "NOT LIKE"})
# What is tried again on the rows: raw value, display value and the value asked for, all in small letters, as the
# instance compares texts without regard to case.
_TESTS: dict[str, Callable[[frozenset[str], str], bool]] = {
    "=": lambda have, want: want in have,
    "!=": lambda have, want: want not in have,
    "IN": lambda have, want: bool(have & set(want.split(","))),
    "NOT IN": lambda have, want: not have & set(want.split(",")),
    "LIKE": lambda have, want: any(want in one for one in have),
    "NOT LIKE": lambda have, want: not any(want in one for one in have),
    "STARTSWITH": lambda have, want: any(one.startswith(want) for one in have),
    "ISEMPTY": lambda have, _: not any(have),
    "ISNOTEMPTY": lambda have, _: any(have),
}


@dataclass(frozen=True, slots=True)
class Condition:
    path: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.path}{self.operator}{self.value}"

    def holds(self, row: Row) -> bool:
        """True too where the answer can't be known here: the order of times and numbers is the vendor's."""
        test = _TESTS.get(self.operator)
        if test is None or self.value.startswith("javascript:"):
            return True
        have = frozenset(one(row, self.path).casefold() for one in (raw, shown))
        return test(have, self.value.casefold())


@dataclass(frozen=True, slots=True)
class Filter:
    """A policy's `match`: of one alternative, each group must have a condition that holds."""

    any_of: tuple[tuple[tuple[Condition, ...], ...], ...]

    def narrowed(self, condition: str) -> str:
        """The query of these rows that also fulfil the condition."""
        return "^NQ".join(
            "^".join([*("^OR".join(str(c) for c in group) for group in groups), condition])
            for groups in self.any_of
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """The fields that a row must bring along to be held against this filter."""
        named = {c.path for groups in self.any_of for group in groups for c in group}
        return tuple(sorted(named))

    def missing(self, row: Row) -> tuple[str, ...]:
        """Fields of this filter that the row doesn't have: the instance doesn't know or doesn't show them."""
        return tuple(path for path in self.paths if path not in row)

    def holds(self, row: Row) -> bool:
        return any(
            all(any(c.holds(row) for c in group) for group in groups if group) for groups in self.any_of
        )


def read_filter(text: str) -> Filter:
    """The filter that a policy states. A reference is compared by name where no sys_id is given.

    Raises ValueError with a sentence for a part that is no condition.
    """
    alternatives = [_groups(alternative) for alternative in text.split("^NQ")] if text.strip() else [()]
    return Filter(tuple(alternatives))


def _groups(text: str) -> tuple[tuple[Condition, ...], ...]:
    groups: list[tuple[Condition, ...]] = []
    for part in text.split("^"):
        if part.startswith("OR") and not part.startswith("ORDERBY") and groups:
            groups[-1] = (*groups[-1], _condition(part.removeprefix("OR")))
        else:
            groups.append((_condition(part),))
    return tuple(groups)


def _condition(part: str) -> Condition:
    match = _CONDITION.fullmatch(part.strip())
    if match is None:
        raise ValueError(f'"{part[:80]}" is not a condition of an encoded query; write it as field=value.')
    path, operator, value = match[1], match[2], match[3]
    named = path in _REFERENCES and operator in _BY_NAME and not is_sys_id(value.split(",")[0])
    return Condition(f"{path}.name" if named and value else path, operator, value)


def quoted(value: str) -> str:
    """A value as it may stand in an encoded query. ValueError for one that could add a condition."""
    if not is_askable(value):
        raise ValueError(f'"{value[:80]}" can\'t be asked for in ServiceNow; take the sign ^ out of it.')
    return value


def is_sys_id(text: str) -> bool:
    return _SYS_ID.fullmatch(text) is not None


def is_askable(value: str) -> bool:
    """Whether a value can stand in an encoded query without changing what it asks for."""
    return not any(sign in value for sign in "^\n\r") and not value.startswith("javascript:")


def one_of(path: str, values: Sequence[str]) -> str:
    return f"{path}IN{','.join(quoted(value) for value in values)}"


def lots(
    values: Iterable[str], size: Callable[[str], int] = lambda one: len(quote(one)) + 3
) -> Iterator[list[str]]:
    """The values in lots that fit into one request line. `size` is what one takes there, with the comma after it."""
    lot: list[str] = []
    taken = 0
    for value in values:
        if lot and (len(lot) == _AT_ONCE or taken + size(value) > _LONGEST):
            yield lot
            lot, taken = [], 0
        lot.append(value)
        taken += size(value)
    if lot:
        yield lot


def raw(row: Row, path: str) -> str:
    """The stored value of a field as read with display_value=all; "" where it is missing."""
    return _part(row, path, "value")


def shown(row: Row, path: str) -> str:
    """What a person would see in the field; "" where it is missing."""
    return _part(row, path, "display_value")


def _part(row: Row, path: str, part: str) -> str:
    field = row.get(path, "")
    value = field.get(part) if isinstance(field, Mapping) else field
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)
