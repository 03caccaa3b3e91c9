"""The part of JQL that the sandbox understands: clauses joined by AND, and ORDER BY."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

# Reads a JQL field of an issue: texts (several for labels), or a time.
Values = Callable[[str], "list[str] | datetime"]

_ORDER_BY = re.compile(r"\border\s+by\b", re.IGNORECASE)
_AND = re.compile(r"""\s+and\s+(?=(?:[^"']*["'][^"']*["'])*[^"']*$)""", re.IGNORECASE)
_CLAUSE = re.compile(
    r"""^\s*(?P<field>"[^"]+"|[\w.]+)\s*
        (?:(?P<empty>is(?:\s+not)?)\s+(?:empty|null)
          |(?P<list>(?:not\s+)?in)\s*\((?P<values>.*)\)
          |(?P<op>!=|>=|<=|!~|=|>|<|~)\s*(?P<value>"[^"]*"|'[^']*'|[^\s()]+))\s*$""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(r""""([^"]*)"|'([^']*)'|([^,\s]+)""")
_RELATIVE = re.compile(r"^([+-]?)(\d+)([mhdw])$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TIMES = frozenset({"updated", "created"})
_NAMES = frozenset({"key", "issuekey", "id", "issue"})
_TEXTS = frozenset({"summary", "description", "text", "comment"})
_PEOPLE = frozenset({"assignee", "reporter", "creator"})
_CHOICES = frozenset(
    {"project", "labels", "status", "statuscategory", "issuetype", "type", "priority", "resolution"}
)
FIELDS = _TIMES | _NAMES | _TEXTS | _PEOPLE | _CHOICES


class JqlError(Exception):
    """The query can't be run; the text is what Jira says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clause:
    field: str
    operator: str
    values: tuple[str, ...]

    def test(self, at: Callable[[str], datetime]) -> Callable[[Values], bool]:
        """The clause as a test of one issue, with its literals read once."""
        if self.field in _TIMES:
            compare, moment = _TIME_TESTS[self.operator], at(self.values[0])
            return lambda read: compare(_moment(read(self.field)), moment)
        holds, wanted = _TESTS[self.operator], [value.lower() for value in self.values]
        return lambda read: holds([text.lower() for text in _texts(read(self.field))], wanted)


def _moment(value: list[str] | datetime) -> datetime:
    assert isinstance(value, datetime)
    return value


def _texts(value: list[str] | datetime) -> list[str]:
    assert isinstance(value, list)
    return value


_TESTS: dict[str, Callable[[list[str], list[str]], bool]] = {
    "=": lambda have, want: want[0] in have,
    "!=": lambda have, want: bool(have) and want[0] not in have,
    "in": lambda have, want: any(value in have for value in want),
    "not in": lambda have, want: bool(have) and not any(value in have for value in want),
    "~": lambda have, want: any(want[0].strip('"*') in text for text in have),
    "!~": lambda have, want: not any(want[0].strip('"*') in text for text in have),
    "is": lambda have, _: not have,
    "is not": lambda have, _: bool(have),
}
_TIME_TESTS: dict[str, Callable[[datetime, datetime], bool]] = {
    "=": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Jql:
    clauses: tuple[_Clause, ...]
    order: tuple[tuple[str, bool], ...]

    def keys(self) -> set[str] | None:
        """The keys and ids that the query is confined to, or None if it names none."""
        for clause in self.clauses:
            if clause.field in _NAMES and clause.operator in ("=", "in"):
                return {value.upper() for value in clause.values}
        return None

    def apply(self, issues: Mapping[str, Values], at: Callable[[str], datetime]) -> list[str]:
        """The keys found among `issues` (oldest first), newest first but for the order. `at` reads a time."""
        tests = [clause.test(at) for clause in self.clauses]
        found = [key for key, read in issues.items() if all(test(read) for test in tests)]
        found.reverse()
        for field, descending in reversed(self.order):
            found.sort(key=lambda key: _sortable(issues[key](field), key, field), reverse=descending)
        return found


def parse(text: str) -> Jql:
    """Raises JqlError for what this sandbox, or Jira, does not run."""
    where, *order = _ORDER_BY.split(text, maxsplit=1)
    if not where.strip():
        raise JqlError(
            "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
        )
    clauses = tuple(_clause(part) for part in _AND.split(where.strip()))
    return Jql(clauses=clauses, order=tuple(_order(part) for part in (order[0].split(",") if order else ())))


def time_of(literal: str, now: datetime, zone: timedelta) -> datetime:
    """A JQL time: relative, epoch milliseconds, or whole minutes in the user's own time zone."""
    relative = _RELATIVE.match(literal)
    if relative:
        span = timedelta(**{_UNITS[relative[3]]: int(relative[2])})
        return now + span if relative[1] == "+" else now - span
    if literal.isdigit():
        return datetime.fromtimestamp(int(literal) / 1000, tz=UTC)
    try:
        return datetime.fromisoformat(literal.replace("/", "-")).replace(tzinfo=timezone(zone))
    except ValueError:
        raise JqlError(
            f"Date value '{literal}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', '-5d'."
        ) from None


def _clause(text: str) -> _Clause:
    match = _CLAUSE.match(text)
    if not match:
        raise JqlError(f"Error in the JQL Query: the sandbox does not understand '{text.strip()}'.")
    field = match["field"].strip('"').lower()
    if field not in FIELDS:
        raise JqlError(f"Field '{field}' does not exist or you do not have permission to view it.")
    operator = " ".join((match["empty"] or match["list"] or match["op"]).lower().split())
    values = tuple("".join(groups) for groups in _VALUE.findall(match["values"] or match["value"] or ""))
    if (field in _TIMES) != (operator in _TIME_TESTS) and operator not in ("=", "!="):
        raise JqlError(f"The operator '{operator}' is not supported by the '{field}' field.")
    return _Clause(field=field, operator=operator, values=values)


def _order(text: str) -> tuple[str, bool]:
    field, *direction = text.lower().split()
    if field not in FIELDS:
        raise JqlError(f"Not able to sort using field '{field}'.")
    return field, direction[:1] == ["desc"]


def _by_number(key: str) -> tuple[str, int]:
    project, _, number = key.rpartition("-")
    return project, int(number)


def _sortable(value: Iterable[str] | datetime, key: str, field: str) -> tuple[object, ...]:
    if field in _NAMES:
        return _by_number(key)
    return (value,) if isinstance(value, datetime) else (" ".join(value),)
