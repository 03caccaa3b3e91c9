"""Pull: reads a source page by page into the ledger; a page and its cursor are recorded together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from countersign.alerts import Alert
from countersign.errors import OutsideError
from countersign.fingerprint import fingerprint
from countersign.ledger import Entry
from countersign.policy import Policy
from countersign.ports import Page, Unreadable
from countersign.redaction import redact
from workers.parts import Parts, Wake

_log = structlog.get_logger()


def pull(parts: Parts, feed: str) -> Iterator[Wake]:
    """Reads the source `feed` until it has nothing more; yields the cases to assess after each page's commit."""
    claimed = parts.ledger.intake.claim_feed(feed, worker=parts.worker, lease=parts.settings.timing.lease)
    if claimed is None:
        _log.debug("pull.busy", feed=feed)
        return
    fence, cursor = claimed
    error = ""
    try:
        for page in parts.sources[feed].read(cursor):
            yield from _record(parts, feed, fence, page)
    except OutsideError as problem:
        error = str(problem)
        raise
    finally:
        parts.ledger.intake.release_feed(feed, fence, error=error)


def _record(parts: Parts, feed: str, fence: int, page: Page) -> Iterator[Wake]:
    entries = entries_of(parts, page.alerts)
    recorded = parts.ledger.intake.record_page(
        feed,
        fence,
        entries=entries,
        unreadable=[_readable_by_people(one) for one in page.unreadable],
        cursor=page.cursor,
    )
    _log.info(
        "pull.recorded",
        feed=feed,
        alerts=recorded.alerts,
        repeated=recorded.repeated,
        cases=recorded.cases_opened,
        unreadable=recorded.unreadable,
        out_of_scope=len(page.alerts) - len(entries),
    )
    if recorded.due and not any(entry.settle for entry in entries):
        yield Wake("assess", recorded.due)


def entries_of(parts: Parts, alerts: Sequence[Alert]) -> list[Entry]:
    """The alerts that are in a policy's scope, with what groups them."""
    return [
        Entry(
            alert=alert,
            use_case=policy.use_case,
            fingerprint=fingerprint(alert),
            settle=settling(parts, alert),
        )
        for alert in alerts
        if (policy := owner(alert, tuple(parts.policies.values()))) is not None
    ]


def settling(parts: Parts, alert: Alert) -> timedelta:
    """How long a new case waits for more of its kind: a ticket that people opened comes alone."""
    return parts.settings.timing.settle if alert.ticket is None else timedelta(0)


def _readable_by_people(one: Unreadable) -> Unreadable:
    """A dead letter is shown on screens and in tickets: nothing secret or personal is kept in one."""
    return replace(one, reason=redact(one.reason).text, payload=redact(one.payload).text)


def owner(alert: Alert, policies: tuple[Policy, ...]) -> Policy | None:
    """The policy whose scope the alert lies in: the first in the order of their files; None if it is in none."""
    return next((policy for policy in policies if covers(policy, alert)), None)


def covers(policy: Policy, alert: Alert) -> bool:
    scope = policy.scope
    return alert.source in scope.sources and (scope.services is None or alert.service in scope.services)
