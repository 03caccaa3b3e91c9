"""Plans: from what a decision allows to the exact actions, with their words, keys and approval codes."""

from __future__ import annotations

from collections.abc import Sequence

from countersign.actions import Action, Close, CreateTicket, DraftChange, Effect, Note, Route, action_key
from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.context import Found
from countersign.decision import Decision, Intent
from countersign.notes import Offer, change_text, closing_note, note
from countersign.policy import Policy
from countersign.redaction import redact

# The order in which the actions of a case are done: what others refer to comes first.
ORDER = ("create_ticket", "draft_change", "note", "route", "close")
# The `seq` of notes that no decision plans: after everything that one does, so that they hold nothing up.
AFTER_ALL = 90


def plan(
    case: Case, assessment: Assessment | Unassessed, decision: Decision, policy: Policy
) -> tuple[Action, ...]:
    """The actions of a decision, in the order they are done. Same input, same keys and hashes."""
    intents = sorted(decision.intents, key=lambda intent: ORDER.index(intent.kind))
    others = [
        _action(case, policy, seq, intent, _effect(case, assessment, decision, policy, intent))
        for seq, intent in enumerate(intents, start=1)
        if intent.kind != "note"
    ]
    notes = [
        _action(
            case, policy, seq, intent, Note(draft=note(case, assessment, decision, policy, _offers(others)))
        )
        for seq, intent in enumerate(intents, start=1)
        if intent.kind == "note"
    ]
    return tuple(sorted((*others, *notes), key=lambda action: action.seq))


def _effect(
    case: Case, assessment: Assessment | Unassessed, decision: Decision, policy: Policy, intent: Intent
) -> Effect:
    because = "; ".join(decision.because)
    if intent.kind == "route":
        return Route(group=intent.group, reason=because)
    if intent.kind == "create_ticket":
        lead = case.lead
        return CreateTicket(
            title=_without_secrets(lead.summary)[:160], description=_without_secrets(lead.body)[:4000],
            correlation=lead.dedup_key,
            service=case.service, ci=case.ci,
        )  # fmt: skip
    assert isinstance(assessment, Assessment), "decide asks for a close or a change only on an assessment"
    if intent.kind == "close":
        note = closing_note(case, assessment, decision, policy, asks=intent.needs_approval)
        return Close(draft=note, reason=because)
    return _change(case, assessment, decision, policy)


def _without_secrets(text: str) -> str:
    """A secret that an alert brought along is not carried on into a ticket."""
    return redact(text, frozenset({"secrets"})).text


def _change(case: Case, assessment: Assessment, decision: Decision, policy: Policy) -> DraftChange:
    change = next(rule.change for rule in policy.rules if rule.name == decision.rule)
    assert change is not None, "a loaded policy has `change` wherever it says draft_change"
    title, description = change_text(case, assessment, policy)
    return DraftChange(
        type=change.type, title=title, description=description, group=change.group or "",
        template=change.template or "", ci=_known_item(case),
    )  # fmt: skip


def _known_item(case: Case) -> str:
    """The configuration item as the CMDB has it: a desk refuses a change for a name that only an alert knows."""
    return case.context.ci.value.name if isinstance(case.context.ci, Found) else ""


def _action(case: Case, policy: Policy, seq: int, intent: Intent, effect: Effect) -> Action:
    """One case has one ticket at its desk, so the desk is the target (and the group, when it goes to one)."""
    desk, ref = policy.scope.desk, case.ticket.ref if case.ticket else None
    key = action_key(
        use_case=case.use_case, event=f"{case.fingerprint}#{case.episode}", kind=intent.kind,
        target=f"{desk}:{intent.group}",
    )  # fmt: skip
    return Action(
        key=key, case_id=case.id, use_case=case.use_case, desk=desk, ticket=ref, effect=effect, seq=seq,
        needs_approval=intent.needs_approval,
    )  # fmt: skip


def _offers(actions: Sequence[Action]) -> tuple[Offer, ...]:
    return tuple(
        Offer(code=action.code, to=words(action.effect)) for action in actions if action.needs_approval
    )


def words(effect: Effect) -> str:
    """What doing it comes to, as words after «to»."""
    match effect:
        case Close():
            return "closes this ticket"
        case Route(group=group):
            return f"gives this ticket to {group}"
        case _:
            return effect.kind.replace("_", " ")
