"""Learn: from what people said about cases to labels and audits; on alarm the rule drafts, and its owner is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from countersign.actions import Action, Note, action_key
from countersign.drafts import Block, Draft
from countersign.labelling import finding
from countersign.policy import Policy
from countersign.promises import Withdrawn
from workers.parts import Parts

_log = structlog.get_logger()


def learn(parts: Parts, case_ids: Iterable[str]) -> Iterator[str]:
    """Hears what was told of these cases; yields the notes that tell of a rule's demotion."""
    wanted = sorted(set(case_ids))
    if not wanted:
        return
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
            owner=policy.escalation.demoted or policy.owners.governance,
            why=lost.issued.why,
        )
        yield from _told(parts, lost, policy)


def _told(parts: Parts, lost: Withdrawn, policy: Policy) -> tuple[str, ...]:
    """A note in the ticket whose audit raised the alarm: the system that the owner works in."""
    ticket = parts.ledger.reading.story(lost.case_id).case.ticket
    if ticket is None:
        return ()
    key = action_key(
        use_case=lost.use_case, event=f"demoted:{lost.issued.id}", kind="note", target=policy.scope.desk
    )
    draft = Draft(
        headline=f'Rule "{lost.issued.rule}" only drafts from now on',
        blocks=(
            Block(title="Why", lines=(f"{lost.issued.why}.",)),
            Block(
                title="Who should know",
                lines=(policy.escalation.demoted or policy.owners.governance or "whoever owns the policy",),
            ),
            Block(
                title="What brings it back",
                lines=(f"A new certificate: countersign policy certify --use-case {lost.use_case}",),
            ),
        ),
        provenance=f"countersign policy {policy.use_case} v{policy.version}",
    )
    action = Action(
        key=key,
        case_id=lost.case_id,
        use_case=lost.use_case,
        desk=policy.scope.desk,
        ticket=ticket.ref,
        effect=Note(draft=draft),
        seq=90,
    )
    return parts.ledger.replies.plan(action, asked_by="monitor")
