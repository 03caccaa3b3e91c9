"""The outcome of a tryout: what the policy would have done with each ticket, and how much of it wrongly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from countersign.backtest import History, PastDecision, Ruling, replay
from countersign.circumstances import Circumstances
from countersign.decision import Outcome
from countersign.fingerprint import template
from countersign.policy import Policy
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.thresholds.binomial import Estimate, weighted_share
from countersign.tryout.reading import OldTicket
from countersign.tryout.seeing import Assess, Seen, in_pieces

_START = datetime(2000, 1, 1, tzinfo=UTC)
# Tickets are put so far apart that the limits on closes per hour and day don't shape the answer.
_APART = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One category of the policy: how many tickets, what is done with them, and how much of it wrongly.

    `wrong` is the share of the closes that the export tells of which is wrong; n is how many it tells of, and
    `wrong_closes` how many of them are wrong. `once_certified` counts what a certificate would let be closed besides.
    """

    category: str
    tickets: int
    closed: int
    drafted: int
    routed: int
    held: int
    once_certified: int
    wrong_closes: int
    wrong: Estimate
    wrong_once_certified: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """How often the group that the model would name is the one that had the ticket last, on tickets held back."""

    known: int
    learnt_from: int
    right: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A tryout. `tells`: what the export tells of outcomes, as clauses; nothing: no wrong close can be seen.

    `silent`: what it does not tell, as clauses with the field of `--map` that would. `wrong` is that of all closes,
    `wrong_if_all` what it would be had every ticket been closed at once.
    """

    tickets: int
    given: tuple[Given, ...]
    groups: Groups | None
    tells: tuple[str, ...]
    silent: tuple[str, ...]
    wrong: Estimate
    wrong_if_all: Estimate


# (texts, their groups, texts to tell) -> a group for each.
Learn = Callable[[Sequence[str], Sequence[str], Sequence[str]], Sequence[str]]


def try_out(tickets: Sequence[OldTicket], policy: Policy, *, assess: Assess, learn: Learn) -> Tried:
    """Decides every ticket as if the policy acted, without a control lane and without a certificate.

    What would be closed or get a change request is read in pieces, as at work.
    """
    seen = assess([ticket.text for ticket in tickets])
    seen = in_pieces(tickets, seen, History.of(_past(tickets, seen)), policy, assess)
    history = History.of(_past(tickets, seen))
    now = replay(history, policy, certified={})
    later = replay(history, policy, certified=dict.fromkeys(policy.categories, _promised(policy)))
    told = [_wrong(ticket, one, policy) for ticket, one in zip(tickets, seen, strict=True)]
    rows: dict[str, list[_Row]] = {}
    for index, one in enumerate(seen):
        rows.setdefault(one.category, []).append(_Row(now[index], later[index], told[index]))
    return Tried(
        tickets=len(tickets),
        given=tuple(_given(category, rows[category]) for category in sorted(rows)),
        groups=_groups(tickets, learn),
        tells=tuple(clause for clause, _, known in _signs(tickets, policy) if known),
        silent=tuple(f"{clause} ({field})" for clause, field, known in _signs(tickets, policy) if not known),
        wrong=_share(row.wrong for rows_ in rows.values() for row in rows_ if row.now.closes),
        wrong_if_all=_share(told),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    now: Ruling
    certified: Ruling
    wrong: bool | None


def _promised(policy: Policy) -> float:
    """The risk that a certificate might cover: as much as the loosest promise allows to be wrong."""
    promised = [rule.threshold.wrong_closes_at_most or 0.0 for rule in policy.rules if rule.threshold]
    return max(promised, default=0.0)


def _past(tickets: Sequence[OldTicket], seen: Sequence[Seen]) -> Iterable[PastDecision]:
    known: set[str] = set()
    kinds: dict[Circumstances, Circumstances] = {}
    for number, (ticket, one) in enumerate(zip(tickets, seen, strict=True)):
        alike = template(ticket.text.partition("\n")[0])
        kind = Circumstances(
            source="export",
            severity=ticket.severity or Severity.INFO,
            service=ticket.service,
            born_in_desk=True,
            firing=Firing.UNKNOWN,
            first_seen=alike not in known,
            category=one.category,
            assessed_severity=one.severity,
        )
        known.add(alike)
        yield PastDecision(
            id=f"{number:09}",
            at=_START + number * _APART,
            risk=1.0 - one.confidence,
            alerts=1,
            circumstances=kinds.setdefault(kind, kind),
        )


def _wrong(ticket: OldTicket, seen: Seen, policy: Policy) -> bool | None:
    """Whether closing it at once would have been wrong; None where the export does not tell."""
    differs = ticket.category in policy.categories and ticket.category != seen.category
    signs = [ticket.reopened, ticket.moved, differs if ticket.category in policy.categories else None]
    known = [sign for sign in signs if sign is not None]
    return any(known) if known else None


def _signs(tickets: Sequence[OldTicket], policy: Policy) -> tuple[tuple[str, str, bool], ...]:
    """What makes a close wrong, the field that tells it, and whether this export does."""
    return (
        ("it was reopened", "reopens", any(ticket.reopened is not None for ticket in tickets)),
        ("it was given to another group", "moves", any(ticket.moved is not None for ticket in tickets)),
        (
            "people gave it another category",
            "category, in the policy's words",
            any(ticket.category in policy.categories for ticket in tickets),
        ),
    )


def _given(category: str, rows: Sequence[_Row]) -> Given:
    done = Counter(row.now.outcome for row in rows)
    more = [row for row in rows if row.certified.closes and not row.now.closes]
    told = [row.wrong for row in rows if row.now.closes]
    return Given(
        category=category,
        tickets=len(rows),
        closed=sum(row.now.closes for row in rows),
        drafted=done[Outcome.DRAFT_NOTE] + done[Outcome.DRAFT_CHANGE],
        routed=done[Outcome.ROUTE],
        held=done[Outcome.HOLD],
        once_certified=len(more),
        wrong_closes=sum(sign is True for sign in told),
        wrong=_share(told),
        wrong_once_certified=_share(row.wrong for row in more),
    )


def _share(signs: Iterable[bool | None]) -> Estimate:
    return weighted_share([(sign, 1.0) for sign in signs if sign is not None])


def _groups(tickets: Sequence[OldTicket], learn: Learn) -> Groups | None:
    """Learns from every other template and tells the rest: alike tickets are never on both sides."""
    told = [ticket for ticket in tickets if ticket.group]
    names = {ticket.group for ticket in told}
    sides: dict[str, int] = {}
    side = [sides.setdefault(template(ticket.text), len(sides)) % 2 for ticket in told]
    taught = [ticket for ticket, where in zip(told, side, strict=True) if where == 0]
    asked = [ticket for ticket, where in zip(told, side, strict=True) if where == 1]
    if len(names) < 2 or len({ticket.group for ticket in taught}) < 2 or not asked:
        return None
    said = learn(
        [ticket.text for ticket in taught],
        [str(ticket.group) for ticket in taught],
        [ticket.text for ticket in asked],
    )
    hits = [(ticket.group == group, 1.0) for ticket, group in zip(asked, said, strict=True)]
    return Groups(known=len(names), learnt_from=len(taught), right=weighted_share(hits))
