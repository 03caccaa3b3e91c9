"""The kinds of values a policy is made of: names, texts, shares, durations, and the strict base of every part."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from countersign.policy.durations import format_duration, parse_duration


class Part(BaseModel):
    """A section of a policy: immutable, and an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta():
        raise ValueError('0s is not allowed here; write a longer time, as "10m".')
    return duration


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

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=500)]
