"""Seeing: what the model says of the tickets of an export, read in pieces where something would be done, as at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from countersign.assessment import Assessment
from countersign.backtest import History
from countersign.confidence import SecondOpinion
from countersign.decision import EVEN_ODDS
from countersign.passages import Agrees, least_left, read_of, would_do_the_same
from countersign.policy import Policy
from countersign.redaction import Redactor
from countersign.severity import Severity
from countersign.spans import said, ticket_text
from countersign.tryout.reading import OldTicket

_AT_ONCE = 1_000  # tickets, of some ten pieces each


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the model says of one text, `confidence` from 0 to 1."""

    category: str
    severity: Severity
    confidence: float


Assess = Callable[[Sequence[str]], Sequence[Seen]]


def in_pieces(
    tickets: Sequence[OldTicket], seen: Sequence[Seen], history: History, policy: Policy, assess: Assess
) -> list[Seen]:
    """What is left of each answer once its pieces were read. `history`: the same tickets as decisions."""
    left, found = list(seen), list(_doing(history, policy))
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        asked = [_asked(tickets[index], policy) for index, _ in some]
        told = iter(assess([text for texts in asked for text in texts]))
        for (index, agrees), texts in zip(some, asked, strict=True):
            least = least_left((_opinion(next(told)) for _ in texts), agrees)
            left[index] = replace(left[index], confidence=min(left[index].confidence, least))
    return left


def _doing(history: History, policy: Policy) -> Iterator[tuple[int, Agrees]]:
    """The tickets with which something may be done, and what must be said of their pieces."""
    for index in range(len(history.risk)):
        answer = history.assessment(index)
        if isinstance(answer, Assessment) and answer.risk < EVEN_ODDS:
            agrees = would_do_the_same(answer, history.case(index), policy)
            if agrees is not None:
                yield index, agrees


def _asked(ticket: OldTicket, policy: Policy) -> list[str]:
    title, _, body = ticket.text.partition("\n")
    text = ticket_text(title, body, Redactor(frozenset(policy.scope.data.redact)))
    return [said(piece) for piece in read_of(text)]


def _opinion(one: Seen) -> SecondOpinion:
    return SecondOpinion(category=one.category, confidence=one.confidence, severity=one.severity)
