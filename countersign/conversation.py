"""Conversation: answers to `/countersign why …` in the ticket, from the case's own record and nothing else.

Whoever answers remembers nothing: the question is a change in the ticket, the answer is a note with a key of its
own, and both are in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator

from countersign.actions import Action, Note, action_key
from countersign.assessment import Assessment, sureness
from countersign.cases import Case
from countersign.decision import Decision, mismatches
from countersign.drafts import Block, Draft
from countersign.lanes import Lane
from countersign.ledger import ActionRecord, DecisionRecord, Story
from countersign.policy import Policy
from countersign.spans import quote
from countersign.tickets import TicketChange

# After everything that a decision plans, so that an answer holds nothing up.
_AFTER = 90
_MOST_RULES = 6


def reply(story: Story, change: TicketChange, policy: Policy) -> Action | None:
    """The note that answers a question asked in a ticket; None where Countersign keeps silent.

    Silent while it only observes, before anything was decided, and in the control lane, where people must not see
    the verdict. The same question is answered once, by whoever asks the ledger first.
    """
    case = story.case
    if not story.decisions or policy.autonomy == "observe":
        return None
    record = story.decisions[-1]
    if record.decision.lane is Lane.CONTROL:
        return None
    key = action_key(
        use_case=case.use_case, event=f"asked:{change.id}", kind="note", target=policy.scope.desk
    )
    return Action(
        key=key, case_id=case.id, use_case=case.use_case, desk=policy.scope.desk, ticket=change.ref,
        effect=Note(draft=explained(story, record, policy)), seq=_AFTER,
    )  # fmt: skip


def explained(story: Story, record: DecisionRecord, policy: Policy) -> Draft:
    """Why the case was decided as it was: what was said, which rule, what spoke against more, what was done."""
    case, decision = story.case, record.decision
    return Draft(
        headline=f'Why - rule "{decision.rule}" led to {decision.outcome.value.replace("_", " ")}',
        blocks=tuple(
            block
            for block in (
                Block(title="What was said", style="bullets", lines=tuple(_said(case, record, policy))),
                Block(title="What the policy made of it", style="bullets", lines=tuple(_because(decision))),
                Block(title="Rules that did not match", style="bullets", lines=tuple(_others(case, record, policy))),
                Block(title="What holds whatever a model says", style="bullets", lines=tuple(_bounds(policy))),
                Block(title="What was done", style="bullets", lines=tuple(_done(story.actions))),
                Block(title="What people said", style="bullets", lines=tuple(_people(story))),
            )
            if block.lines
        ),
        provenance=f"Countersign case {case.id} · decided {record.at:%Y-%m-%d %H:%M %Z} · "
        f"policy {policy.use_case} v{record.policy_version} ({record.policy_hash}) · from the record, no model asked",
    )  # fmt: skip


def _said(case: Case, record: DecisionRecord, policy: Policy) -> Iterator[str]:
    said = record.assessment
    if not isinstance(said, Assessment):
        yield f"Nobody assessed it: {said.because}"
        return
    kind = "a language model" if said.is_llm else "a local classifier, not a language model"
    yield f"{said.model} ({kind}): {said.category}, severity {said.severity}"
    yield f"{sureness(said).capitalize()}; risk of a wrong close {said.risk:.0%}"
    yield from (f"Less sure, because {doubt}" for doubt in said.doubts)
    visible = frozenset(policy.scope.data.visible)
    quoted = ((span, quote(case, span, visible)) for span in said.evidence)
    yield from (f"Evidence [{span}]: {text}" for span, text in quoted if text)
    if case.severity_floor > said.severity:
        yield f"The source said {case.severity_floor}, and the worse of the two counts"


def _because(decision: Decision) -> Iterator[str]:
    yield from decision.because
    if decision.would is not None:
        yield f"Without that it would have been {decision.would.value.replace('_', ' ')}"


def _others(case: Case, record: DecisionRecord, policy: Policy) -> Iterator[str]:
    """Rules before the one that decided, with what kept each from matching; nothing if the policy has changed."""
    said, decision = record.assessment, record.decision
    if not isinstance(said, Assessment) or record.policy_hash != policy.fingerprint:
        return
    for rule in policy.rules[:_MOST_RULES]:
        if rule.name == decision.rule:
            return
        reasons = mismatches(rule, case, said, decision.severity)
        if reasons:
            yield f'"{rule.name}": {"; ".join(reasons)}'


def _bounds(policy: Policy) -> Iterator[str]:
    never, limits = policy.never_close, policy.limits
    if never.severity is not None:
        yield f"Severity {never.severity.at_least} and above is never closed without a person"
    if never.services:
        yield f"Nor are tickets of {', '.join(never.services)}"
    yield (
        f"At most {limits.closes_per_hour} closes an hour, "
        f"{limits.closes_per_service_per_day} a day for one service"
    )


def _done(actions: tuple[ActionRecord, ...]) -> Iterator[str]:
    for record in actions:
        if record.action.seq != _AFTER:
            by = f", approved by {record.approved_by}" if record.approved_by else ""
            yield f"{record.action.effect.kind.replace('_', ' ')}: {record.state.replace('_', ' ')}{by}"


def _people(story: Story) -> Iterator[str]:
    for one in story.corrections:
        if one.verdict != "why":
            change = f" {one.field}: {one.after}" if one.field else ""
            yield f"{one.by} said {one.verdict}{change}"
