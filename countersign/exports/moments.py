"""Moments: times as exports write them, as seconds since 1970."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal
from zoneinfo import ZoneInfo

DateOrder = Literal["day-first", "month-first"]

NULLS = frozenset({"", "?", "-", "null", "none", "n/a", "(empty)", "\\n"})
_TIME = r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?: ?([AaPp][Mm]))?)?"
_ZONE = r"(?: ?(Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}{_ZONE}")
_YEAR_LAST = re.compile(
    rf"(\d{{1,2}})([-/. ])(\d{{1,2}}|[A-Za-z]{{3}})\2(\d{{4}}|\d{{2}})(?:,? ?){_TIME}{_ZONE}"
)
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_ROOM = 200_000
_PLAIN = len("2026-12-15 08:00:00")


def is_null(text: str) -> bool:
    return text.strip().lower() in NULLS


def order_of(text: str) -> DateOrder | None:
    """Which order a time can only be written in, or None if it does not tell."""
    match = _YEAR_LAST.fullmatch(text.strip())
    if match is None or not match[3].isdigit():
        return None
    first, second = int(match[1]), int(match[3])
    if first > 12 >= second:
        return "day-first"
    return "month-first" if second > 12 >= first else None


def needs_order(text: str) -> bool:
    """Whether a time means another day when its parts are swapped."""
    match = _YEAR_LAST.fullmatch(text.strip())
    return match is not None and match[3].isdigit() and match[1] != match[3]


class Moments(dict[str, float]):
    """Text -> seconds since 1970, worked out once for each text; NaN where it is empty or wrong (`wrong` says how).

    `unzoned` tells whether a time without a zone was met; those are taken to be in `zone`.
    """

    def __init__(self, order: DateOrder | None, zone: ZoneInfo | None) -> None:
        super().__init__()
        self._order = order
        self._zone = zone or UTC
        self.unzoned = False
        self.wrong: dict[str, str] = {}

    def __missing__(self, text: str) -> float:
        if is_null(text):
            value = math.nan
        else:
            try:
                value = self._read(text.strip())
            except ValueError as problem:
                self.wrong[text] = str(problem)
                value = math.nan
        self[text] = value
        return value

    def make_room(self) -> None:
        """Forgets what it worked out if that is a lot; call it between portions of rows."""
        if len(self) > _ROOM:
            self.clear()
            self.wrong.clear()

    def _read(self, text: str) -> float:
        if len(text) == _PLAIN and text[4] == text[7] == "-" and text[13] == text[16] == ":":
            # The form of nearly every export, five times faster than the general one below.
            return self._zoned(datetime.fromisoformat(text), None).timestamp()
        if match := _YEAR_FIRST.fullmatch(text):
            year, month, day = int(match[1]), int(match[3]), int(match[4])
        elif match := _YEAR_LAST.fullmatch(text):
            year, month, day = self._year_last(match)
        else:
            raise ValueError(f'"{text[:40]}" is not a time')
        hour, minute, second, half, zone = match.groups()[-5:]
        if hour is None:
            raise ValueError(f'"{text[:40]}" has no time of day')
        moment = datetime(  # noqa: DTZ001 - the zone is put on in the next line
            year, month, day, _hour(int(hour), half), int(minute), int(second or 0)
        )
        return self._zoned(moment, zone).timestamp()

    def _year_last(self, match: re.Match[str]) -> tuple[int, int, int]:
        year = int(match[4]) + (2000 if len(match[4]) == 2 else 0)
        if not match[3].isdigit():
            month = _MONTHS.get(match[3].lower())
            if month is None:
                raise ValueError(f'"{match[0][:40]}" has no month that is known in English')
            return year, month, int(match[1])
        first, second = int(match[1]), int(match[3])
        if self._order is None and first != second:
            raise ValueError(
                f'"{match[0][:40]}" may start with the day or with the month; say which with --dates'
            )
        day, month = (first, second) if self._order != "month-first" else (second, first)
        if month > 12 >= day:
            raise ValueError(f'"{match[0][:40]}" is not {self._order}, as the others are')
        return year, month, day

    def _zoned(self, moment: datetime, zone: str | None) -> datetime:
        if zone is None:
            self.unzoned = True
            return moment.replace(tzinfo=self._zone)
        if zone in ("Z", "UTC", "GMT"):
            return moment.replace(tzinfo=UTC)
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(f"{hour} {half} is not an hour of a half day")
    return hour % 12 + (12 if half.lower() == "pm" else 0)
