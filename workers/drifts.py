"""Drifts: looks once a day whether what comes in has changed; what drifts raises the control lane for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

import structlog

from countersign.drift import Drift
from countersign.lanes import audit_share
from countersign.policy import Policy
from countersign.policy.phrases import percent
from countersign.signals import NOW, OTHER_MODEL, REFERENCE, DriftBook, Raised, compared, told
from workers.owners import RETOLD, owner_of, tell_owner
from workers.parts import Parts

_log = structlog.get_logger()
_DAY = timedelta(days=1)
_HEADLINE = "Drift: for a while more cases go to people unseen"
# So many of the newest cases are looked at for one that has a ticket.
_LATEST = 50


def look(parts: Parts) -> Iterator[str]:
    """Holds the last week against the four weeks before it, for each policy, once a day whoever looks first.

    Yields the notes that tell the owners what has begun to drift.
    """
    for policy in parts.policies.values():
        today = parts.ledger.drifts.due(policy.use_case)
        if today is not None:
            _judge(parts, policy, today)
    # Also what a worker may have died before telling; what was told is not told again.
    for use_case, raised in parts.ledger.drifts.begun(within=RETOLD).items():
        if use_case in parts.policies:
            yield from _tell(parts, parts.policies[use_case], raised)


def _judge(parts: Parts, policy: Policy, today: date) -> None:
    book = parts.ledger.drifts
    middle = today - NOW
    before = book.counts(policy.use_case, since=middle - REFERENCE, until=middle)
    why = told(compared(before, book.counts(policy.use_case, since=middle, until=today)))
    share = audit_share(policy.control_lane)
    raised = book.judge(policy.use_case, today, why, share=share)
    if why and raised is not None:
        _log.warning(
            "drift.found", use_case=policy.use_case, why=why, owner=owner_of(policy), control_lane=share,
            lane_raised_until=raised.until.isoformat(),
        )  # fmt: skip


def _tell(parts: Parts, policy: Policy, raised: Raised) -> Iterator[str]:
    """Once for each time that the lane is raised, in the newest ticket: the system that the owner works in."""
    decided = parts.ledger.reading.cases(limit=_LATEST, stage="decided", use_case=policy.use_case)
    case_id = next((line.id for line in decided if line.ticket), "")
    then = (
        f"Look at the drift table of the report. Until {raised.until:%Y-%m-%d} at least, "
        f"{percent(audit_share(policy.control_lane))} of cases go into the control lane, where people judge them "
        f"without seeing the verdict, instead of {percent(policy.control_lane)}; nothing else changes"
    )
    event = f"drift:{policy.use_case}:{raised.since.isoformat()}"
    yield from tell_owner(parts, case_id, policy, event, _HEADLINE, raised.why.rstrip("."), then)


def drift_of(
    book: DriftBook, policy: Policy, *, since: datetime, until: datetime
) -> tuple[tuple[Drift, ...], Iterator[str]]:
    """A period held against as long a time before it, in whole days; and what of it somebody has to look at."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    length = max(_DAY, last - first)
    before = book.counts(policy.use_case, since=first - length, until=first)
    now = book.counts(policy.use_case, since=first, until=last + _DAY)
    found = compared(before, now)
    others = now.get(OTHER_MODEL, {})
    return found, _attention(book, policy, others, told(found), since=since, until=until)


def _attention(
    book: DriftBook, policy: Policy, others: Mapping[str, int], why: str, *, since: datetime, until: datetime
) -> Iterator[str]:
    yield from others_told(others)
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
