"""Datadog's search over stored rows: terms of a query, bounds on times, and the place that a cursor names."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

Json = dict[str, Any]
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TERM = re.compile(r'(?P<no>-)?(?:(?P<key>@?[\w.]+):)?(?P<value>\([^)]*\)|"[^"]*"|\S+)')


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One stored event or log: what it is ordered by, and what the API shows."""

    at_ms: int
    id: str
    shown: str  # JSON text, so that rows compare and a reader can't change what is stored


def terms_of(query: str) -> list[tuple[bool, str, list[str]]]:
    """Split a search into (wanted, key, values): all terms must hold, one value of each is enough."""
    terms = []
    for found in _TERM.finditer(query):
        value = found["value"]
        if value in ("*", "AND"):
            continue
        inside = value[1:-1] if value[0] in '("' else value
        values = re.split(r"\s+OR\s+", inside) if value[0] == "(" else [inside]
        terms.append(
            (not found["no"], (found["key"] or "").lstrip("@"), [one.strip('"').lower() for one in values])
        )
    return terms


def fits(shown: Json, terms: list[tuple[bool, str, list[str]]]) -> bool:
    return all(_holds(shown, key, values) is wanted for wanted, key, values in terms)


def _holds(shown: Json, key: str, values: list[str]) -> bool:
    found = shown.get("attributes")
    outer: Json = found if isinstance(found, dict) else {}
    if not key:
        text = json.dumps(outer).lower()
        return any(value.strip("*") in text for value in values)
    listed = outer.get("tags")
    tags = [tag_value([str(tag)], key) for tag in listed] if isinstance(listed, list) else []
    candidates = [*tags, outer.get(key), _walk(outer.get("attributes"), key)]
    return any(
        fnmatchcase(str(one).lower(), value) for one in candidates if one is not None for value in values
    )


def _walk(inside: Any, path: str) -> Any:
    for key in path.split("."):
        inside = inside.get(key) if isinstance(inside, dict) else None
    return inside


def millis_of(text: str, now: datetime) -> int:
    """Epoch milliseconds of "now-15m", an ISO time or epoch milliseconds; relative times move by request."""
    relative = re.fullmatch(r"now(?:-(\d+)([smhd]))?", str(text))
    if relative:
        back = timedelta(**{_UNITS[relative[2]]: int(relative[1])}) if relative[1] else timedelta(0)
        return int((now - back).timestamp() * 1000)
    if re.fullmatch(r"\d{12,}", str(text)):
        return int(text)
    when = datetime.fromisoformat(text)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def position(cursor: str | None) -> tuple[int, str] | None:
    if not cursor:
        return None
    at_ms, event_id = json.loads(base64.urlsafe_b64decode(cursor))
    return int(at_ms), str(event_id)


def beyond(row: Row, after: tuple[int, str] | None, descending: bool) -> bool:
    if after is None:
        return True
    here = (row.at_ms, row.id)
    return here < after if descending else here > after


def tag_value(tags: Iterable[str], key: str) -> str | None:
    return next((tag.partition(":")[2] for tag in tags if tag.startswith(f"{key}:")), None)
