"""As much of Splunk's search language as the sandbox understands: words, fields, bounds on times, and head."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Json = dict[str, Any]
_TIME_BOUNDS = {
    "earliest": ("_time", 1),
    "latest": ("_time", -1),
    "_index_earliest": ("_indextime", 1),
    "_index_latest": ("_indextime", -1),
}
_PASSING = ("table", "fields", "sort", "rename", "eval")


@dataclass(frozen=True, slots=True)
class Query:
    """A search as far as it is understood: terms that must all hold, bounds on times, and how many rows."""

    terms: tuple[str, ...]
    bounds: tuple[tuple[str, int, float], ...]
    head: int | None = None


def parsed(search: str, asked: Json) -> Query | str:
    head, *pipes = [part.strip() for part in search.split("|")]
    words = head.partition(" ")
    if words[0] != "search":
        return f"Unknown search command '{words[0]}'."
    terms, bounds = [], _asked_bounds(asked)
    for term in shlex.split(words[2], posix=False):
        key, _, value = term.partition("=")
        if key in _TIME_BOUNDS:
            bounds.append((*_TIME_BOUNDS[key], float(value)))
        elif term not in ("*", "AND"):
            terms.append(term)
    limits = [pipe.split() for pipe in pipes]
    unknown = next((pipe[0] for pipe in limits if pipe[0] not in (*_PASSING, "head")), None)
    if unknown:
        return f"Unknown search command '{unknown}'."
    most = next((int(pipe[1]) for pipe in limits if pipe[0] == "head"), None)
    return Query(tuple(terms), tuple(bounds), most)


def _asked_bounds(asked: Json) -> list[tuple[str, int, float]]:
    given = {"earliest_time": "earliest", "latest_time": "latest", "index_earliest": "_index_earliest"}
    given["index_latest"] = "_index_latest"
    found = [(*_TIME_BOUNDS[key], asked.get(name)) for name, key in given.items()]
    return [(name, sign, float(value)) for name, sign, value in found if value not in (None, "", "now")]


def fits(row: Json, query: Query) -> bool:
    """Earliest is inclusive, latest exclusive."""
    for name, sign, bound in query.bounds:
        if not (float(row[name]) >= bound if sign > 0 else float(row[name]) < bound):
            return False
    return all(_holds(row, term) for term in query.terms)


def _holds(row: Json, term: str) -> bool:
    key, equals, value = term.partition("=")
    if equals and not term.startswith('"'):
        return fnmatchcase(str(row.get(key, "")).lower(), value.strip('"').lower())
    text = " ".join(str(value) for value in row.values()).lower()
    return term.strip('"').strip("*").lower() in text
