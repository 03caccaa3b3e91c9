"""Drifts: looks once a day whether what comes in has changed; what drifts raises the control lane for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from countersign.drift import Drift
from countersign.policy import Policy
from countersign.signals import NOW, OTHER_MODEL, REFERENCE, DriftBook, compared, told
from workers.owners import owner_of
from workers.parts import Parts

_log = structlog.get_logger()
_DAY = timedelta(days=1)


def look(parts: Parts) -> None:
    """Holds the last week against the four weeks before it, for each policy, once a day whoever looks first."""
    book = parts.ledger.drifts
    for policy in parts.policies.values():
        today = book.due(policy.use_case)
        if today is None:
            continue
        middle = today - NOW
        before = book.counts(policy.use_case, since=middle - REFERENCE, until=middle)
        why = told(compared(before, book.counts(policy.use_case, since=middle, until=today)))
        raised = book.judge(policy.use_case, today, why)
        if why and raised is not None:
            _log.warning(
                "drift.found", use_case=policy.use_case, why=why, owner=owner_of(policy),
                lane_raised_until=raised.until.isoformat(),
            )  # fmt: skip


def drift_of(book: DriftBook, use_case: str, *, since: datetime, until: datetime) -> tuple[Drift, ...]:
    """A period held against as long a time before it, in whole days."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    length = max(_DAY, last - first)
    before = book.counts(use_case, since=first - length, until=first)
    return compared(before, book.counts(use_case, since=first, until=last + _DAY))


def attention(
    book: DriftBook, policy: Policy, found: tuple[Drift, ...], *, since: datetime, until: datetime
) -> Iterator[str]:
    """What of a period somebody has to look at, as sentences."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    yield from others_told(book.counts(policy.use_case, since=first, until=last + _DAY).get(OTHER_MODEL, {}))
    why = told(found)
    if why:
        yield why
    for raised in book.lanes(policy.use_case, since=since, until=until):
        ends = "it ended" if raised.ended else "it ends by itself"
        yield (
            f"From {raised.since:%Y-%m-%d} more cases than usual went into the control lane, to see whether the "
            f"thresholds still hold; {ends} on {raised.until:%Y-%m-%d}. {'' if why else raised.why}".rstrip()
        )


def others_told(counts: Mapping[str, int]) -> Iterator[str]:
    """Another model's answers, counted as "asked > answered", as sentences."""
    for pair, count in sorted(counts.items()):
        asked, _, gave = pair.partition(" > ")
        often = "once" if count == 1 else f"{count:,} times"
        yield f"{asked} was asked, but {gave} answered {often}; no certificate covers such answers."
