"""Labelling: from what people said and did about a case to a label, with its probability; or to an audit alone.

What counts: an approval, a `good`, or a ticket that people resolved without changing what was said of it, says
that closing it was right. A rejection, a `wrong`, or a changed category, priority, group or item says that it was
not. A reopening says neither: people reopen for other reasons, and leave what is wrong closed.

With which probability: while nothing is closed without a person, every case is looked at by one, in either lane,
so each has probability 1. Once a case of its kind is closed alone, only those of the control lane are still looked
at: their probability is the lane's share, as recorded. What people say of a ticket that was closed alone comes
from whoever happened to look: it is no label, but the monitor hears it, weighed as if it had been drawn.

These rules have a version: a label says by which it was made, and all of them can be made anew from the corrections.
1: as above, whoever did it. 2: only what a person did by hand; and setting a category to what the model had said is
no word against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from countersign.feedback.sources import Source
from countersign.labels import Label, Versions
from countersign.lanes import Lane

RULE_VERSION = 2
RIGHT = frozenset({"approved", "good", "resolved"})
WRONG = frozenset({"wrong", "rejected"})
WRONG_FIELDS = frozenset({"category", "priority", "group", "ci"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One word or change: verdict, field, what it was set to and the source as in `ledger.Correction`."""

    verdict: str
    field: str
    at: datetime
    after: str = ""
    source: Source = "person"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgeable:
    """A case that a close was wanted for, with what people told of it, oldest first; see `ledger.Grounds`."""

    case_id: str
    use_case: str
    fingerprint: str
    at: datetime
    category: str
    rule: str
    risk: float
    lane: Lane
    control_share: float
    alone: bool
    versions: Versions
    told: tuple[Told, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a case comes to: whether a close was or would have been wrong. `label` is None for an audit alone."""

    case: Judgeable
    wrong: bool
    label: Label | None


def finding(case: Judgeable) -> Finding | None:
    """None while nobody has told anything that counts."""
    closed_alone = case.alone and case.lane is Lane.TREATED
    told = [one for one in case.told if one.source == "person" and not _agrees(one, case.category)]
    judged = _judged(told, unasked=closed_alone)
    if judged is None:
        return None
    return finding_of(case, *judged)


def finding_of(case: Judgeable, wrong: bool, known_at: datetime) -> Finding:
    """The finding with its label, where the case was one of those that are looked at anyway."""
    if case.alone and case.lane is Lane.TREATED:
        return Finding(case=case, wrong=wrong, label=None)
    drawn = f" sampled at {case.control_share}" if case.alone else ""
    label = Label(
        decision=case.case_id,
        # What comes back within a day is one trouble; cases of one probability alone share a cluster.
        cluster=f"{case.fingerprint}@{case.at:%Y-%m-%d}{drawn}",
        category=case.category,
        risk=case.risk,
        wrong=wrong,
        probability=case.control_share if case.alone else 1.0,
        lane=case.lane,
        versions=case.versions,
        known_at=known_at,
    )
    return Finding(case=case, wrong=wrong, label=label)


def _judged(told: Sequence[Told], *, unasked: bool) -> tuple[bool, datetime] | None:
    """(wrong, known since); a word against it outweighs all others. `unasked`: our own close says nothing."""
    against = [one for one in told if _speaks_against(one)]
    if against:
        return True, against[0].at
    counted = RIGHT - {"resolved"} if unasked else RIGHT
    return next(((False, one.at) for one in told if one.verdict in counted), None)


def _agrees(one: Told, category: str) -> bool:
    """A desk's own category, set to what the model had said."""
    return (
        one.verdict == "corrected" and one.field == "category" and one.after.casefold() == category.casefold()
    )


def _speaks_against(one: Told) -> bool:
    return one.verdict in WRONG or (one.verdict == "corrected" and one.field in WRONG_FIELDS)
