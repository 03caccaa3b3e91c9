"""Context: what enrichment found around a case. A missing part is a value with its reason, never an error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a part of the context is not there, as a clause: «the CMDB did not answer within 3 s»."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigItem:
    """A configuration item: what it is, who owns it, what it serves and what it depends on."""

    id: str
    name: str
    owner_group: str = ""
    service: str = ""
    criticality: str = ""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentChange:
    """A change that touched the item shortly before the alert."""

    key: str
    title: str
    at: datetime
    by: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SimilarCase:
    """An earlier case of the same fingerprint or words. `verdict` is what people said of it last, if they did.

    `settled`: it is of the pool, so that its category is what people have settled on.
    """

    case_id: str
    ticket_key: str
    title: str
    category: str
    resolution: str
    at: datetime
    verdict: str = ""
    settled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    ci: Found[ConfigItem] | Missing
    changes: Found[tuple[RecentChange, ...]] | Missing
    logs: Found[tuple[str, ...]] | Missing
    similar: Found[tuple[SimilarCase, ...]] | Missing


NOTHING_ASKED = Context(
    ci=Missing("not asked"),
    changes=Missing("not asked"),
    logs=Missing("not asked"),
    similar=Missing("not asked"),
)
