"""Owners: tells whoever answers for a policy, in a ticket of the desk that they work in."""

from __future__ import annotations

from countersign.actions import Action, Note, action_key
from countersign.drafts import Block, Draft
from countersign.policy import Policy
from workers.parts import Parts


def tell_owner(
    parts: Parts, case_id: str, policy: Policy, event: str, headline: str, why: str, remedy: str
) -> tuple[str, ...]:
    """Plans a note for the owner in a case's ticket, once for its event; gives its key if it may be done now."""
    ticket = parts.ledger.reading.story(case_id).case.ticket
    if ticket is None:
        return ()
    draft = Draft(
        headline=headline,
        blocks=(
            Block(title="Why", lines=(f"{why}.",)),
            Block(title="Who should know", lines=(owner_of(policy),)),
            Block(title="What can be done", lines=(f"{remedy}.",)),
        ),
        provenance=f"countersign policy {policy.use_case} v{policy.version}",
    )
    desk = policy.scope.desk
    action = Action(
        key=action_key(use_case=policy.use_case, event=event, kind="note", target=desk),
        case_id=case_id,
        use_case=policy.use_case,
        desk=desk,
        ticket=ticket.ref,
        effect=Note(draft=draft),
        seq=90,
    )
    return parts.ledger.replies.plan(action, asked_by="monitor")


def owner_of(policy: Policy) -> str:
    """Who answers for a policy, as it names them."""
    return policy.escalation.demoted or policy.owners.governance or "whoever owns the policy"
