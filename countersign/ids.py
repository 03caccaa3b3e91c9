"""Ids: short, time-ordered names that a person can read out and type."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

# Crockford's base 32: no i, l, o, u, so nothing is misread and no id is a word.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_MISREAD = str.maketrans("ilo", "110")
_RANDOM_DIGITS = 4
_DIGITS = 9 + _RANDOM_DIGITS
ID_CHARACTERS = 1 + _DIGITS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_ids(prefix: str, at: datetime, count: int) -> tuple[str, ...]:
    """`count` different ids in rising order: the prefix, 9 digits of milliseconds and 4 of chance.

    Ids made in one call never meet; two calls within the same millisecond meet once in a million.
    """
    room = 32**_RANDOM_DIGITS
    first = (at - _EPOCH) // _MILLISECOND * room + secrets.randbelow(max(1, room - count))
    return tuple(prefix + _digits(first + number) for number in range(count))


def as_typed(text: str) -> str:
    """An id, or the beginning of one, as a person typed it: case and o/0, i/l/1 do not matter after the prefix."""
    text = text.strip().lower()
    return text[:1] + text[1:].translate(_MISREAD)


def _digits(number: int) -> str:
    digits = ""
    for _ in range(_DIGITS):
        number, digit = divmod(number, 32)
        digits = _ALPHABET[digit] + digits
    return digits
