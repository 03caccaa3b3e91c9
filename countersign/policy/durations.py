"""Lengths of time as people write them in a policy: "30s", "10m", "24h", "7d"."""

from __future__ import annotations

from datetime import timedelta

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LONGEST = timedelta(days=3650)
HELP = 'write a whole number and a unit, as "30s", "10m", "24h" or "7d"'


def parse_duration(value: object) -> timedelta:
    """Turn "24h" into a timedelta of 0 s to ten years; a timedelta passes. ValueError says what to write."""
    if isinstance(value, timedelta):
        duration = value
    elif not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration; {HELP}.")
    else:
        number, unit = value[:-1], value[-1:]
        if not (number.isascii() and number.isdigit() and len(number) <= 9 and unit in _UNITS):
            raise ValueError(f'"{value[:40]}" is not a duration; {HELP}.')
        duration = int(number) * _UNITS[unit]
    if not timedelta() <= duration <= _LONGEST:
        raise ValueError(f"a duration lies between 0s and {_LONGEST.days}d; {HELP}.")
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest form that `parse_duration` reads back: timedelta(hours=24) is "1d"."""
    for unit in ("d", "h", "m"):
        if duration and duration % _UNITS[unit] == timedelta():
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration // _UNITS['s']}s"
