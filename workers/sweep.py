"""Sweep: re-sends whatever is due and held by nobody, so that a lost message costs a delay and never a case."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from workers.parts import Parts, Wake

_log = structlog.get_logger()
AT_ONCE = 500


def sweep(parts: Parts) -> Iterator[Wake]:
    """Yields due cases and due actions, and drops approvals that nobody gave in time."""
    for policy in parts.policies.values():
        expired = parts.ledger.watch.expire_approvals(
            policy.use_case, older_than=policy.approvals.expires_after
        )
        if expired:
            _log.info("approvals.expired", use_case=policy.use_case, cases=len(expired))
    if cases := parts.ledger.cases.due_cases(limit=AT_ONCE):
        yield Wake("assess", cases)
    if actions := parts.ledger.actions.due_actions(limit=AT_ONCE):
        yield Wake("act", actions)
