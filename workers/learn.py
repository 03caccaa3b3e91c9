"""Learn: from what people said about cases to labels and audits; on alarm the rule drafts, and its owner is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import structlog

from countersign.labelling import finding
from countersign.local_readings import judged
from countersign.monitors import reopen_bound, tripped
from countersign.policy import Policy
from countersign.promises import PromiseBook, Relabelled, Reopens, Withdrawn
from workers.owners import owner_of, tell_owner
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
    for lost in parts.ledger.promises.record_findings(found):
        policy = parts.policies[lost.use_case]
        _log.error(
            "rule.demoted",
            use_case=lost.use_case,
            rule=lost.issued.rule,
            category=lost.issued.certificate.category,
            owner=owner_of(policy),
            why=lost.issued.why,
        )
        yield from _told(parts, lost, policy)


def _heard_of_readings(parts: Parts, wanted: Sequence[str]) -> Iterator[str]:
    """Whether the embedded model read these cases right; on alarm the policy's other models are asked again."""
    found = [one for case in parts.ledger.local_readings.of(wanted) if (one := judged(case)) is not None]
    for lost in parts.ledger.local_readings.record(found) if found else ():
        policy = parts.policies[lost.use_case]
        category, why = lost.issued.certificate.category, lost.issued.why
        _log.error(
            "local.withdrawn", use_case=lost.use_case, category=category, owner=owner_of(policy), why=why
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
    """The trip-wire: it tells the owner sooner than audits can, and is no label."""
    bound = reopen_bound(reopens.closes, usual=USUALLY_REOPENED)
    trip = tripped(reopens.at, now=parts.clock(), window=WINDOW, bound=bound)
    if trip is None:
        return
    policy = parts.policies[reopens.use_case]
    why = (
        f"{trip.reopens} of {reopens.closes} tickets closed by policy since {trip.since:%Y-%m-%d} were reopened, "
        f"where fewer than {trip.bound} are usual"
    )
    _log.error("rule.reopens", use_case=reopens.use_case, owner=owner_of(policy), why=why)
    # One note a day, however many are reopened.
    event = f"reopens:{reopens.use_case}:{parts.clock():%Y-%m-%d}"
    stop = f"It goes on closing; countersign stop --use-case {reopens.use_case} ends that"
    yield from tell_owner(
        parts, reopens.case_id, policy, event, "Many tickets closed by policy are reopened", why, stop
    )


def _told(parts: Parts, lost: Withdrawn, policy: Policy) -> Iterator[str]:
    """In the ticket whose audit raised the alarm: the system that the owner works in."""
    again = f"A new certificate brings it back: countersign policy certify --use-case {lost.use_case}"
    headline = f'Rule "{lost.issued.rule}" only drafts from now on'
    yield from tell_owner(
        parts, lost.case_id, policy, f"demoted:{lost.issued.id}", headline, lost.issued.why, again
    )
