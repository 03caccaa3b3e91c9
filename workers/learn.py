"""Learn: from what people said about cases to labels and audits; on alarm the rule drafts, and its owner is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog

from countersign.guards import Guarded, guarded
from countersign.labelling import Judgeable, finding
from countersign.local_readings import LocalReadingBook, judged
from countersign.monitors import reopen_bound, tripped
from countersign.promises import Demotion, PromiseBook, Relabelled, Reopens
from workers.owners import RETOLD, owner_of, tell_owner
from workers.parts import Parts

_log = structlog.get_logger()


# The share of closes that people reopen for reasons of their own; more than chance adds to it is told.
USUALLY_REOPENED = 0.1
WINDOW = timedelta(days=7)
AT_ONCE = 1_000


def learn(parts: Parts, case_ids: Iterable[str]) -> Iterator[str]:
    """Hears what was told of these cases; yields the notes that tell of a demotion, or of many reopens."""
    wanted = sorted(set(case_ids))
    if not wanted:
        return
    for reopens in parts.ledger.promises.reopens(wanted, within=WINDOW):
        yield from _wire(parts, reopens)
    yield from _heard_of_readings(parts, wanted)
    found = [one for case in parts.ledger.promises.judgeable(wanted) if (one := finding(case)) is not None]
    if not found:
        return
    watches = {one.case.case_id: watch for one in found if (watch := _guarded(parts, one.case)) is not None}
    for lost in parts.ledger.promises.record_findings(found, watches):
        _log.error(
            "rule.demoted", use_case=lost.use_case, rule=lost.rule, category=lost.category, why=lost.why
        )
        yield from _told(parts, lost)


def retell(parts: Parts) -> Iterator[str]:
    """Tells once more what a worker may have died before telling; what was told is not told again."""
    for lost in parts.ledger.promises.demotions(within=RETOLD):
        yield from _told(parts, lost)


def _guarded(parts: Parts, case: Judgeable) -> Guarded | None:
    policy = parts.policies.get(case.use_case)
    return guarded(policy, case) if policy else None


def _heard_of_readings(parts: Parts, wanted: Sequence[str]) -> Iterator[str]:
    """Whether the embedded model read these cases right; on alarm the policy's other models are asked again."""
    found = [one for case in parts.ledger.local_readings.of(wanted) if (one := judged(case)) is not None]
    for lost in parts.ledger.local_readings.record(found) if found else ():
        policy = parts.policies[lost.use_case]
        category, why = lost.issued.certificate.category, lost.issued.why
        _log.error(
            "local.withdrawn",
            use_case=lost.use_case,
            category=category,
            owner=owner_of(policy),
            why=why,
        )
        again = f"A new certificate brings it back: countersign policy certify --use-case {lost.use_case}"
        headline = f"The embedded model no longer answers alone for {category}"
        yield from tell_owner(parts, lost.case_id, policy, f"local:{lost.issued.id}", headline, why, again)


class Labelled(Protocol):
    """The books that labels lie in: those of answers, and those of what the embedded model reads."""

    @property
    def promises(self) -> PromiseBook: ...
    @property
    def local_readings(self) -> LocalReadingBook: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Anew:
    """What making labels anew came to."""

    answers: Relabelled = field(default_factory=Relabelled)
    readings: Relabelled = field(default_factory=Relabelled)

    def __add__(self, other: Anew) -> Anew:
        return Anew(answers=self.answers + other.answers, readings=self.readings + other.readings)


def relabel(books: Labelled, use_case: str) -> Anew:
    """Makes all labels of a use case anew from its corrections."""
    after, told = "", Anew()
    while cases := books.promises.told_of(use_case, after=after, limit=AT_ONCE):
        told += relabel_cases(books, cases)
        after = cases[-1]
    return told


def relabel_cases(books: Labelled, cases: Sequence[str]) -> Anew:
    """The same for some cases."""
    found = [one for case in books.promises.judgeable(cases) if (one := finding(case)) is not None]
    read = [one for case in books.local_readings.of(cases) if (one := judged(case)) is not None]
    return Anew(
        answers=books.promises.relabel(cases, found), readings=books.local_readings.relabel(cases, read)
    )


def _wire(parts: Parts, reopens: Reopens) -> Iterator[str]:
    """The trip-wire: sooner than audits it sends a rule back to drafts, which a person may lift. It is no label."""
    bound = reopen_bound(reopens.closes, usual=USUALLY_REOPENED)
    trip = tripped(reopens.at, now=parts.clock(), window=WINDOW, bound=bound)
    if trip is None:
        return
    why = (
        f'{trip.reopens} of {reopens.closes} tickets that rule "{reopens.rule}" closed since '
        f"{reopens.since:%Y-%m-%d} were reopened, where fewer than {trip.bound} are usual"
    )
    lost = parts.ledger.promises.trip(reopens.use_case, reopens.rule, case_id=reopens.case_id, why=why)
    if lost is not None:
        _log.error("rule.reopens", use_case=reopens.use_case, rule=reopens.rule, why=why)
        yield from _told(parts, lost)


def _told(parts: Parts, lost: Demotion) -> Iterator[str]:
    """In the ticket whose audit raised the alarm: the system that the owner works in."""
    policy = parts.policies.get(lost.use_case)
    if policy is None:
        return
    headline = f'Rule "{lost.rule}" only drafts from now on'
    yield from tell_owner(parts, lost.case_id, policy, f"demoted:{lost.id}", headline, lost.why, lost.back)
