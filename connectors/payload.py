"""Payloads: reading a vendor's JSON without trusting its shape, and keeping what can't be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from countersign.alerts import Alert
from countersign.errors import UnreadableAlert
from countersign.ports import Unreadable

LARGEST_TEXT = 20_000
_LONGEST_DETAIL = 2_000
_MOST_DETAILS = 50
_NO_FIELDS: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a payload. `path` names it in the sentence of the error; a missing place reads as None."""

    value: object
    path: str

    def __getitem__(self, key: str) -> Node:
        """The field `key`; of a missing place, a missing place. UnreadableAlert where there is no object."""
        inside = _NO_FIELDS if self.value is None else self.value
        if not isinstance(inside, Mapping):
            raise self.wrong("an object")
        return Node(inside.get(key), f"{self.path}.{key}")

    def text(self) -> str:
        """Its text, trimmed and cut to 20,000 characters; a number as text; "" where there is none."""
        if self.value is None:
            return ""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self.wrong("a text")
        return clean(str(self.value))

    def needed(self) -> str:
        """Its text; UnreadableAlert where there is none."""
        if not (text := self.text()):
            raise self.wrong("a text")
        return text

    def items(self) -> tuple[Node, ...]:
        """The members of a list; none where there is no list."""
        if self.value is None:
            return ()
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return tuple(Node(item, f"{self.path}[{at}]") for at, item in enumerate(self.value))

    def texts(self) -> tuple[str, ...]:
        return tuple(text for item in self.items() if (text := item.text()))

    def epoch(self, *, per_second: int = 1) -> datetime:
        """A UNIX time, `per_second` of whose units make a second."""
        try:
            return datetime.fromtimestamp(float(self.needed()) / per_second, UTC)
        except (ValueError, OverflowError, OSError):
            raise self.wrong("a UNIX time") from None

    def moment(self) -> datetime:
        """An ISO 8601 time with its offset."""
        try:
            at = datetime.fromisoformat(self.needed())
        except ValueError:
            raise self.wrong("an ISO 8601 time") from None
        if at.tzinfo is None:
            raise self.wrong("a time with an offset")
        return at.astimezone(UTC)

    def details(self) -> dict[str, str]:
        """An object as flat texts: at most 50 of 2,000 characters; what nests stays JSON."""
        if not isinstance(self.value, Mapping):
            return {"text": self.text()[:_LONGEST_DETAIL]} if self.value else {}
        first = list(self.value.items())[:_MOST_DETAILS]
        return {str(key): as_text(value)[:_LONGEST_DETAIL] for key, value in first if value is not None}

    def wrong(self, wanted: str) -> UnreadableAlert:
        return UnreadableAlert(
            f"{self.path} is {as_text(self.value)[:60] or 'missing'} where {wanted} was expected; "
            "look at the payload, and teach the mapping this shape if the vendor means it."
        )


def as_text(value: object) -> str:
    """A JSON value as one text: texts as they are, all else as JSON."""
    if value is None or isinstance(value, str):
        return clean(value or "")
    try:
        return clean(json.dumps(value, ensure_ascii=False, sort_keys=True))
    except RecursionError:
        return "(nested without end)"


def clean(text: str) -> str:
    """The text trimmed and cut, without what a database refuses: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "").encode(errors="replace").decode().strip()[:LARGEST_TEXT]


def decoded(body: bytes) -> dict[str, Any]:
    """A response's JSON object. Raises json.JSONDecodeError for all else: nonsense, to `calling`."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise json.JSONDecodeError("not JSON in UTF-8, or nested without end", "", 0) from None
    if not isinstance(value, dict):
        raise json.JSONDecodeError("not an object", "", 0)
    return value


def reloaded(payload: str) -> dict[str, Any]:
    """A payload as the dead letters keep it, as JSON again. Raises UnreadableAlert where it is not whole any more."""
    try:
        return decoded(payload.encode(errors="replace"))
    except json.JSONDecodeError:
        raise UnreadableAlert(
            "The payload kept is not a whole JSON object (it was one of another kind, was cut at 20,000 characters, "
            "or lost its shape when it was redacted), so that it can't be replayed; look it up at its source, and "
            "dismiss the letter."
        ) from None


def rows(answer: Mapping[str, Any], key: str) -> list[Any]:
    """The list under `key` of an answer. Raises json.JSONDecodeError where there is none."""
    value = answer.get(key)
    if not isinstance(value, list):
        raise json.JSONDecodeError(f"no list {key}", "", 0)
    return value


def sorted_out(
    items: Iterable[object], to_alert: Callable[[Any], Alert], id_of: Callable[[object], str]
) -> tuple[tuple[Alert, ...], tuple[Unreadable, ...]]:
    """The items that are alerts, and those that can't be read, each with its reason: none is dropped."""
    alerts, unreadable = [], []
    for item in items:
        try:
            alerts.append(to_alert(item))
        except UnreadableAlert as error:
            unreadable.append(kept(item, id_of(item), str(error)))
    return tuple(alerts), tuple(unreadable)


def kept(item: object, source_id: str, reason: str) -> Unreadable:
    """A payload for the dead letters, cut to 20 KB; without an id of its own it is known by its hash."""
    text = as_text(item)
    return Unreadable(
        source_id=source_id or hashlib.sha256(text.encode()).hexdigest()[:32], reason=reason, payload=text
    )


def text_in(item: object, key: str = "id") -> str:
    """The text under `key` of an item whose shape is not known; "" where there is none."""
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, str) else ""
