"""Conversation: answers to `/countersign why …` and other questions in the ticket, from the case's own record alone.

Whoever answers remembers nothing: the question is a change in the ticket, the answer is a note with a key of its
own, and both are in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator

from countersign.actions import Action, Note, action_key
from countersign.assessment import Assessment, sureness
from countersign.cases import Case
from countersign.chances import chance
from countersign.decision import Decision, Outcome, mismatches
from countersign.drafts import Block, Draft
from countersign.lanes import Lane
from countersign.ledger import ActionRecord, DecisionRecord, Story
from countersign.plans import AFTER_ALL
from countersign.policy import Policy
from countersign.spans import quote
from countersign.tickets import TicketChange

_MOST_RULES = 6
_COMMANDS = "/countersign approve CODE, reject CODE, wrong category=..., good, or a question"
_WHAT_CAME_OF_IT = {
    Outcome.CLOSE: "the ticket was to be closed",
    Outcome.DRAFT_CHANGE: "a change request was drafted; the ticket stays with people",
    Outcome.DRAFT_NOTE: "a note was drafted; the ticket stays with people",
    Outcome.ROUTE: "the ticket was given to people",
    Outcome.HOLD: "nothing was done",
}


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
        effect=Note(draft=explained(story, record, policy)), seq=AFTER_ALL,
    )  # fmt: skip


def explained(story: Story, record: DecisionRecord, policy: Policy) -> Draft:
    """What came of the case and why: first what kept it from being closed, which is what people ask most."""
    case, decision = story.case, record.decision
    blocks = {
        "Why it was not closed": _not_closed(case, record, policy),
        "Since then": _since(story),
        "What was said": _said(case, record, policy),
        "What the policy made of it": _because(decision),
        "Rules that did not match": _others(case, record, policy, closing=False),
        "What holds whatever a model says": _bounds(policy),
        "What was done": _done(story.actions),
    }
    told = {title: tuple(lines) for title, lines in blocks.items()}
    return Draft(
        headline=f"Why - {_WHAT_CAME_OF_IT[decision.outcome]}",
        blocks=(
            *(Block(title=title, style="bullets", lines=lines) for title, lines in told.items() if lines),
            Block(title="What can be typed", lines=(_COMMANDS,)),
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
    yield f"{sureness(said).capitalize()}; risk of a wrong close {chance(said.risk)}"
    yield from (f"Less sure, because {doubt}" for doubt in said.doubts)
    visible = frozenset(policy.scope.data.visible)
    quoted = ((span, quote(case, span, visible)) for span in said.evidence)
    yield from (f"Evidence [{span}]: {text}" for span, text in quoted if text)
    if case.severity_floor > said.severity:
        yield f"The source said {case.severity_floor}, and the worse of the two counts"


def _not_closed(case: Case, record: DecisionRecord, policy: Policy) -> Iterator[str]:
    yield from _others(case, record, policy, closing=True)
    if record.decision.would is Outcome.CLOSE:
        yield from record.decision.because


def _because(decision: Decision) -> Iterator[str]:
    if decision.would is Outcome.CLOSE:
        return
    yield from decision.because
    if decision.would is not None:
        yield f"Without that it would have been {decision.would.value.replace('_', ' ')}"


def _others(case: Case, record: DecisionRecord, policy: Policy, *, closing: bool) -> Iterator[str]:
    """Rules before the one that decided, those that close or the others, with what kept each from matching.

    Nothing if the policy has changed since.
    """
    said, decision = record.assessment, record.decision
    if not isinstance(said, Assessment) or record.policy_hash != policy.fingerprint:
        return
    for rule in policy.rules[:_MOST_RULES]:
        if rule.name == decision.rule:
            return
        reasons = mismatches(rule, case, said, decision.severity) if (rule.then == "close") is closing else ()
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
        if record.action.seq != AFTER_ALL:
            by = f", approved by {record.approved_by}" if record.approved_by else ""
            yield f"{record.action.effect.kind.replace('_', ' ')}: {record.state.replace('_', ' ')}{by}"


def _since(story: Story) -> Iterator[str]:
    """Where alerts and ticket stand now, and what people have said."""
    case, ticket = story.case, story.case.ticket
    if not case.born_in_desk:
        firing = f"{case.firing} still firing" if case.firing else "all recovered"
        yield f"{case.alert_count} alert{'s' * (case.alert_count != 1)}, {firing}; the last at {case.last_at:%H:%M} UTC"
    if ticket is not None:
        holder = ticket.assignee or ticket.group
        yield f"{ticket.ref.key or 'the ticket'} is {ticket.state.value}{f', with {holder}' if holder else ''}"
    for one in story.corrections:
        if one.verdict != "why":
            change = f" {one.field}: {one.after}" if one.field else ""
            yield f"{one.by} said {one.verdict}{change}"
