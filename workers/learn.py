"""Learn: from what people said about cases to labels and audits; on alarm the rule drafts, and its owner is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import structlog

from countersign.guards import Guarded, guarded
from countersign.labelling import Judgeable, finding
from countersign.local_readings import judged
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


def relabel(book: PromiseBook, use_case: str) -> Iterator[Relabelled]:
    """Makes all labels of a use case anew from its corrections; yields what each lot came to."""
    after = ""
    while cases := book.told_of(use_case, after=after, limit=AT_ONCE):
        yield relabel_cases(book, cases)
        after = cases[-1]


def relabel_cases(book: PromiseBook, cases: Sequence[str]) -> Relabelled:
    """The same for some cases."""
    found = [one for case in book.judgeable(cases) if (one := finding(case)) is not None]
    return book.relabel(cases, found)


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
