"""Others: a provider whose answer comes from another model than the one that was asked is told of at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog

from countersign.cases import Case
from countersign.ledger import ModelCall
from countersign.pinned import same_model
from countersign.policy import Policy
from workers.owners import owner_of, tell_owner
from workers.parts import Parts

_log = structlog.get_logger()


def others(calls: Sequence[ModelCall]) -> Iterator[tuple[str, str]]:
    """The calls that another model has answered, as (asked, answered); what was answered before was told before."""
    for call in calls:
        if call.outcome != "cached" and not same_model(call.model, call.answered_by):
            yield call.model, call.answered_by


def told_of_others(parts: Parts, case: Case, calls: Sequence[ModelCall], policy: Policy) -> tuple[str, ...]:
    """Logs it, and plans a note for the owner in the case's ticket, once a day for a use case."""
    for asked, gave in others(calls):
        _log.error(
            "model.other", use_case=policy.use_case, case=case.id, asked=asked, answered_by=gave,
            owner=owner_of(policy),
        )  # fmt: skip
        why = (
            f"{asked} was asked, and its provider says that {gave} answered: no certificate of the one covers "
            "what the other says"
        )
        remedy = "Ask the provider, or name the model that is wanted in the policy, under model: candidates"
        event = f"other-model:{policy.use_case}:{parts.clock():%Y-%m-%d}"
        return tell_owner(
            parts, case.id, policy, event, "Another model answers than the policy names", why, remedy
        )
    return ()
