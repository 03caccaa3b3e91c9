"""Columns of an export for a tryout: what the model may read, what tells the outcome, and what is hidden."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from countersign.exports.forms import FIELD_KINDS
from countersign.exports.problems import ExportError

# field -> the headers it may have, in any case, the likeliest first.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("number", "issue key", "key", "id", "ticket id", "row"),
    "title": ("short description", "short_description", "summary", "title", "subject"),
    "body": ("description", "body", "details"),
    "priority": ("priority",),
    "category": ("category", "component/s", "components", "issue type", "issuetype"),
    "group": ("assignment group", "assignment_group", "group", "team"),
    "service": ("business_service", "business service", "affected services", "service"),
    "reopens": ("reopen_count", "reopen count"),
    "moves": ("reassignment_count", "reassignment count"),
}
# What is written when a ticket is worked on or over: a model that reads it has read the answer.
_LEAKS = re.compile(
    r"resol|clos|reopen|reassign|assign|\bstate\b|_state\b|status|\bactive\b|sla\b|work[_ ]?note|comment|updat"
    r"|mod_count|duration|time[_ ]spent|caused_by|\brfc\b|problem_id|vendor|knowledge|\bsplit\b|confirmation"
    r"|log work|work ratio|remaining|fix version|root[_ ]?cause|issue link|duplicate|watch|votes?\b|last viewed"
    r"|satisfaction|time to |outcome|sprint",
    re.IGNORECASE,
)
# Names and numbers that say nothing of what is wrong.
_IDLE = re.compile(
    r"caller|opened|created|reporter|creator|_id\b|\bid\b|\brow\b|number|\bkey\b", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Places in a row. `seen`: what the model reads, besides title and body; `hidden`: headers it never sees."""

    header: tuple[str, ...]
    fields: Mapping[str, int]
    seen: tuple[int, ...]
    hidden: tuple[str, ...]

    def called(self, field: str) -> str:
        return self.header[self.fields[field]]


def columns_of(header: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """Finds the fields by their headers; `mapping` (field -> header) goes first. Raises ExportError.

    Fields of the baseline's figures may be mapped too; they are none of the tryout's.
    """
    places: dict[str, int] = {}
    for place, cell in enumerate(header):
        places.setdefault(cell.strip().lower(), place)
    fields = {
        field: next(places[name] for name in names if name in places)
        for field, names in FIELDS.items()
        if any(name in places for name in names)
    }
    for field, name in mapping.items():
        if field not in FIELDS and field not in FIELD_KINDS:
            known = ", ".join(dict.fromkeys((*FIELDS, *FIELD_KINDS)))
            raise ExportError(f'--map knows no field "{field}"; it knows {known}.')
        if name.strip().lower() not in places:
            raise ExportError(
                f'The export has no column "{name}" for {field}; it has {", ".join(header[:40])}.'
            )
        if field in FIELDS:
            fields[field] = places[name.strip().lower()]
    hidden = _hidden(header, fields)
    words = {fields[name] for name in ("title", "body") if name in fields}
    rest = [place for place in range(len(header)) if place not in hidden and place not in words]
    seen = () if words else tuple(place for place in rest if not _IDLE.search(header[place]))
    if not words and not seen:
        raise ExportError(
            'No column is known to hold what a ticket says; add --map title="…" or --map body="…": '
            f"it has {', '.join(header[:40])}."
        )
    return Columns(
        header=tuple(header),
        fields=fields,
        seen=seen,
        hidden=tuple(dict.fromkeys(header[place] for place in sorted(hidden))),  # Jira repeats headers
    )


def _hidden(header: Sequence[str], fields: Mapping[str, int]) -> set[int]:
    """What tells the outcome, by its name or by what it is here for; a title is never hidden."""
    answers = {fields[name] for name in ("category", "group", "reopens", "moves") if name in fields}
    words = {fields[name] for name in ("title", "body") if name in fields}
    return {place for place, cell in enumerate(header) if _LEAKS.search(cell) or place in answers} - words
