"""Times named in a policy, such as a change freeze, in which nothing is closed."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from countersign.policy.fields import Part

_HELP = 'write a date, as "2026-12-15", or a time with its offset, as "2026-12-15T08:00+01:00"'


def parse_moment(value: object) -> date | datetime:
    """Read an ISO date or an aware ISO date-time; ValueError says what to write."""
    if isinstance(value, str):
        value = _from_text(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no offset; {_HELP}.")
    if not isinstance(value, date):
        raise ValueError(f"{value!r} is not a date; {_HELP}.")
    return value


def _from_text(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text) if len(text) == len("2026-12-15") else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text[:40]}" is not a date; {_HELP}.') from None


def known_zone(name: str) -> str:
    """Check that a time zone exists; ValueError otherwise."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # it raises any of these
        raise ValueError(f'"{name[:40]}" is not a time zone; write one as "Europe/Rome" or "UTC".') from None
    return name


Moment = Annotated[date | datetime, BeforeValidator(parse_moment), WithJsonSchema({"type": "string"})]
Zone = Annotated[str, AfterValidator(known_zone)]


class Window(Part):
    """From one moment to another. A bare date covers its whole day in `zone`; `to` is included."""

    start: Moment = Field(alias="from", description="First date (whole day) or aware time of the window.")
    end: Moment = Field(
        alias="to", description="Last date (whole day, included) or aware time of the window."
    )
    zone: Zone = Field(default="UTC", description="Time zone in which bare dates are read.")

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        start, end = self.bounds
        if start >= end:
            wrong = (
                "is the same as `from`; write a later one"
                if start == end
                else "lies before `from`; swap them"
            )
            raise ValueError(f"`to` {wrong}.")
        return self

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Aware start (included) and end (excluded)."""
        return self._aware(self.start, days=0), self._aware(self.end, days=1)

    def covers(self, moment: datetime) -> bool:
        """Whether an aware moment lies in the window."""
        start, end = self.bounds
        return start <= moment < end

    def _aware(self, moment: date | datetime, *, days: int) -> datetime:
        if isinstance(moment, datetime):
            return moment
        if moment.year >= 9999:
            raise ValueError("the year 9999 is too far; write an earlier one.")
        return datetime.combine(moment + timedelta(days=days), time(), ZoneInfo(self.zone))
