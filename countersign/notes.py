"""Notes: the words of a draft, for the engineer who reads the ticket at 3 a.m."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from countersign.assessment import Assessment, Unassessed, sureness
from countersign.cases import Case
from countersign.chances import chance
from countersign.context import Found
from countersign.decision import Decision, Outcome
from countersign.drafts import CHANGE, Block, Draft
from countersign.policy import Policy
from countersign.redaction import redact
from countersign.spans import quote

# So many categories are read in a line; a longer list is looked up in the policy.
_READABLE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Something that waits for a person: what approving its code would do, as words after «to»."""

    code: str
    to: str


def note(
    case: Case,
    assessment: Assessment | Unassessed,
    decision: Decision,
    policy: Policy,
    offers: Sequence[Offer],
) -> Draft:
    """The draft note of a case."""
    if isinstance(assessment, Unassessed):
        return Draft(
            headline=f"Not assessed - {redact(case.lead.summary, frozenset({'secrets'})).text[:160]}",
            blocks=(
                Block(
                    title="Why", lines=(_sentence(assessment.because), "A person has to look at this one.")
                ),
                *_around(case),
                turn(offers, policy, said=None),
            ),
            provenance=provenance(case, assessment, policy),
        )
    return Draft(
        headline=f"Draft - {assessment.category}, {decision.severity} - {assessment.summary}",
        blocks=(
            Block(title="Likely cause", lines=(assessment.likely_cause,)),
            *_evidence(case, assessment, policy),
            *_around(case),
            *_similar(case),
            Block(title="What the policy says", lines=tuple(_next(assessment, decision, policy))),
            turn(offers, policy, said=assessment.category),
        ),
        provenance=provenance(case, assessment, policy),
    )


def closing_note(
    case: Case, assessment: Assessment, decision: Decision, policy: Policy, *, asks: bool = False
) -> Draft:
    """The note that goes with closing a ticket: why, on what evidence, and how to take it back.

    `asks`: it is written only once a person has approved, whatever spoke against closing it without one.
    """
    closed = "Closed after an approval" if asks else "Closed by policy"
    return Draft(
        headline=f"{closed} - {assessment.category}, {decision.severity} - {assessment.summary}",
        blocks=(
            Block(title="Why", lines=tuple(_why_closed(case, assessment, decision))),
            *_evidence(case, assessment, policy),
            *_around(case),
            *_similar(case),
            Block(
                title="If this was wrong",
                style="commands",
                lines=(
                    "Reopen the ticket: that takes it back",
                    "/countersign wrong category=...  - says that it was wrong, and what it really was"
                    + others(policy, assessment.category),
                ),
            ),
        ),
        provenance=provenance(case, assessment, policy),
    )


def change_text(case: Case, assessment: Assessment, policy: Policy) -> tuple[str, str]:
    """Title and description of a drafted change request."""
    lines = [
        f"Drafted by Countersign from {case.ticket.ref.key if case.ticket else 'an alert without a ticket'}.",
        "It is a draft: nothing has been approved, and nothing changes until people take it on.",
        "",
        f"What was seen: {_seen(case)}",
        f"Likely cause: {assessment.likely_cause}",
        *(f"Evidence: {line}" for block in _evidence(case, assessment, policy) for line in block.lines),
        "",
        "To fill in: what is changed, how it is tested, how it is taken back.",
    ]
    return f"{assessment.category.capitalize()}: {assessment.summary}"[:160], "\n".join(lines)


def provenance(case: Case, assessment: Assessment | Unassessed, policy: Policy) -> str:
    """One line that names everything the note rests on."""
    parts = [
        f"Countersign case {case.id}",
        f"policy {policy.use_case} v{policy.version} ({policy.fingerprint})",
    ]
    if isinstance(assessment, Assessment):
        kind = "" if assessment.is_llm else " (a local classifier, not a language model)"
        parts += [f"prompt {assessment.prompt}", f"model {assessment.model}{kind}", sureness(assessment)]
    return " · ".join(parts)


def _evidence(case: Case, assessment: Assessment, policy: Policy) -> Iterator[Block]:
    visible = frozenset(policy.scope.data.visible)
    quotes = ((span, quote(case, span, visible)) for span in assessment.evidence)
    lines = tuple(f"[{span}] {text}" for span, text in quotes if text)
    if lines:
        yield Block(title="Evidence", style="bullets", lines=lines)


def _around(case: Case) -> Iterator[Block]:
    lines = [_seen(case)]
    if isinstance(case.context.ci, Found):
        item = case.context.ci.value
        owner = f", owned by {item.owner_group}" if item.owner_group else ""
        serves = f", serves {item.service}" if item.service and item.service != item.name else ""
        lines.append(f"{item.name}{owner}{serves}")
    if isinstance(case.context.changes, Found):
        lines += [
            f"Changed before: {c.key} {c.title} ({_clock(c.at)})" for c in case.context.changes.value[:3]
        ]
    if case.previous:
        lines.append(f"Seen before: episode {case.episode}, the one before was case {case.previous}")
    yield Block(title="Around it", style="bullets", lines=tuple(lines))


def _similar(case: Case) -> Iterator[Block]:
    if isinstance(case.context.similar, Found) and case.context.similar.value:
        yield Block(
            title="Similar before",
            style="bullets",
            lines=tuple(
                f"{s.ticket_key or s.case_id} {s.title} - {s.resolution or s.category}"
                for s in case.context.similar.value[:3]
            ),
        )


def _seen(case: Case) -> str:
    if case.born_in_desk:
        return f"Opened as a ticket at {_clock(case.first_at)}; no alert is linked to it"
    one = case.alert_count == 1
    count = "1 alert" if one else f"{case.alert_count} alerts (this note stands for all)"
    since = f"at {_clock(case.first_at)}" if one else f"since {_clock(case.first_at)}"
    state = "no recovery was told" if case.firing else "all recovered"
    return f"{count} from {case.lead.source} {since}; {state}"


def _next(assessment: Assessment, decision: Decision, policy: Policy) -> Iterator[str]:
    says = {
        Outcome.DRAFT_CHANGE: f'Rule "{decision.rule}": a change request was drafted ({CHANGE}); people decide on it',
        Outcome.CLOSE: f'Rule "{decision.rule}": it may be closed once a person approves',
        Outcome.DRAFT_NOTE: f'Rule "{decision.rule}": this note, nothing else',
        Outcome.ROUTE: f'Rule "{decision.rule}": it goes to people',
    }
    offered = any(intent.kind == "close" for intent in decision.intents)
    yield says.get(Outcome.CLOSE if offered else decision.outcome, f'Rule "{decision.rule}"') + "."
    if why := _against(decision):
        closes = any(rule.name == decision.rule and rule.then == "close" for rule in policy.rules)
        yield _sentence(f"Not closed by itself because {why}" if closes else why)
    yield from (f"Less sure, because {doubt}." for doubt in assessment.doubts)


def turn(offers: Sequence[Offer], policy: Policy, *, said: str | None) -> Block:
    """What can be typed. `said` is the category that the draft gives, None where nobody assessed the case."""
    lines = [f"/countersign approve {offer.code}  - {offer.to}" for offer in offers]
    lines += [f"/countersign reject {offer.code}  - leaves the ticket as it is" for offer in offers[:1]]
    if said is not None:
        lines += [
            f"/countersign wrong category=...  - says what it really is{others(policy, said)}",
            "/countersign good  - the draft helped",
        ]
    return Block(
        title="Your turn",
        style="commands",
        lines=tuple(lines) or ("Nothing waits for you here but the ticket.",),
    )


def others(policy: Policy, said: str) -> str:
    """The categories that may be typed instead, where they are few enough to be read."""
    named = [category for category in policy.categories if category != said]
    return f": {', '.join(named)}" if len(named) <= _READABLE else ""


def _why_closed(case: Case, assessment: Assessment, decision: Decision) -> Iterator[str]:
    against = _against(decision)
    asked = (
        ""
        if case.born_in_desk or against
        else f"; {case.lead.source} was asked again and says that nothing fires"
    )
    yield (
        f'Rule "{decision.rule}": {assessment.category} at severity {decision.severity}, '
        f"risk of a wrong close {chance(assessment.risk)}{asked}."
    )
    if against:
        yield _sentence(f"Not closed without a person because {against}")


def _against(decision: Decision) -> str:
    """What spoke against what the rule says, as a clause."""
    return "; ".join(reason for reason in decision.because if reason != f'rule "{decision.rule}" matches')


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M %Z")
