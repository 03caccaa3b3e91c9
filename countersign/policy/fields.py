"""The kinds of values a policy is made of, and the strict base of its sections."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from countersign.policy.durations import format_duration, parse_duration


class Part(BaseModel):
    """A section of a policy: immutable, and an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta():
        raise ValueError('0s is not allowed here; write a longer time, as "10m".')
    return duration


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing but spaces; write a word.")
    return text


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"})
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]
PositiveDuration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_positive),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]

_SLUG = "^[a-z][a-z0-9_-]{0,62}$"
PROMPT_VERSION = "^v[0-9]{1,6}$"
_DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
REPORT_TIME = f"^({_DAY}|daily) {_TIME}$"
REPORT_RECORD = "^(jira:[A-Z][A-Z0-9_]{0,99}-[0-9]{1,18}|servicenow:([0-9a-f]{32}|(INC|CHG)[0-9]{4,20}))$"
BUSINESS_HOURS = f"^{_DAY}(-{_DAY})? {_TIME}-({_TIME}|24:00)$"

# What to write where a pattern does not match.
FORMS = {
    _SLUG: "a small letter, then small letters, digits, - and _ (63 at most), as alert-triage",
    PROMPT_VERSION: "a version, as v1",
    REPORT_RECORD: "a ticket or a change, as jira:OPS-7, servicenow:CHG0030001, or servicenow: and a sys_id",
    REPORT_TIME: 'a day and a time, as "Mon 07:00" or "daily 07:00"',
    BUSINESS_HOURS: 'days and hours, as "Mon-Fri 08:00-18:00"',
}

Slug = Annotated[str, Field(pattern=_SLUG)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_not_blank)]
Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_not_blank)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=500)]
