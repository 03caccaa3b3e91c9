"""Our field names in Jira: where each lives, what it held before, and the edit that sets it."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.jira import mapping
from connectors.jira.client import Json
from countersign.errors import Permanent

_BUILT_IN = {"priority": "priority"}
_NAMED = frozenset({"priority"})
_LISTS = frozenset({"components"})


def before_of(fields: Mapping[str, str], issue: Json, places: Mapping[str, str]) -> dict[str, str]:
    """What these fields hold now, by our names."""
    return {
        name: mapping.value_at(issue.get("fields") or {}, _place(name, value, places))
        for name, value in fields.items()
    }


def edit_of(fields: Mapping[str, str], issue: Json, places: Mapping[str, str]) -> Json:
    """The body of an edit: `update` for labels, which others change too, and `fields` for the rest."""
    update: list[Json] = []
    wanted: Json = {}
    for name, value in fields.items():
        place = _place(name, value, places)
        if place.startswith("label:"):
            update += _relabel((issue.get("fields") or {}).get("labels") or (), place, value)
        else:
            wanted[place.removeprefix("option:")] = _shaped(place, value)
    edit: Json = {"update": {"labels": update}} if update else {}
    return edit | ({"fields": wanted} if wanted else {})


def _place(name: str, value: str, places: Mapping[str, str]) -> str:
    place = places.get(name) or _BUILT_IN.get(name, "")
    if not place:
        raise Permanent(
            f'"{name}" can\'t be set to "{value[:40]}" in Jira; say in the configuration where it lives.',
            where=mapping.DESK,
        )
    return place


def _relabel(labels: object, place: str, value: str) -> list[Json]:
    prefix = f"{place.removeprefix('label:')}:"
    old = (
        [str(label) for label in labels if str(label).startswith(prefix)] if isinstance(labels, list) else []
    )
    new = mapping.label_at(place, value) if value else ""
    gone: list[Json] = [{"remove": label} for label in old if label != new]
    return [*gone, *([{"add": new}] if new and new not in old else [])]


def _shaped(place: str, value: str) -> object:
    """A value in the form that its kind of field takes; None empties it."""
    if place in _LISTS:
        return [{"name": value}] if value else []
    if not value:
        return None
    if place in _NAMED:
        return {"name": value}
    return {"value": value} if place.startswith("option:") else value
