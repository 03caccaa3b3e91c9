"""Histories: the ledger's cases as the rows that the figures are computed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from connectors.sql.codec import TICKET
from connectors.sql.loading import with_ticket
from connectors.sql.promises import grounds
from connectors.sql.tables import EPOCH, actions, cases, corrections, decisions, model_calls, tickets
from countersign.actions import ActionState
from countersign.kpis.history import DraftUse, TicketHistory
from countersign.lanes import Lane
from countersign.tickets import Ticket, TicketState

BY_POLICY = "policy:"
# What people's verdicts say about the draft they saw, the first that was given.
_USES = {
    "approved": DraftUse.AS_IS,
    "good": DraftUse.AS_IS,
    "wrong": DraftUse.EDITED,
    "corrected": DraftUse.EDITED,
    "edited": DraftUse.EDITED,
    "rejected": DraftUse.REJECTED,
}
# Nobody has anything to do about these, unless people say that they are something else.
_NOISE = frozenset({"informational", "flapping", "recovered"})
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)

# A use case and the number of a day since 1970 (UTC): where a case is counted for ever, since it opens only once.
Place = tuple[str, int]


def day_of(at: datetime) -> int:
    """The number of a day since 1970, UTC."""
    return (at - EPOCH) // _DAY


def tell(connection: Connection, *chosen: ColumnElement[bool]) -> Iterator[tuple[Place, TicketHistory]]:
    """The decided cases among those chosen, by id, each with its place."""
    ids = select(cases.c.id).where(*chosen)
    told = select(corrections).where(corrections.c.case_id.in_(ids)).order_by(corrections.c.at)
    done = select(actions).where(
        actions.c.case_id.in_(ids), actions.c.state == ActionState.DONE.value, actions.c.undoes == ""
    )
    spent = (
        select(model_calls.c.case_id, func.sum(model_calls.c.micro_usd))
        .where(model_calls.c.case_id.in_(ids))
        .group_by(model_calls.c.case_id)
    )
    rows = connection.execute(_cases().where(*chosen).order_by(cases.c.id)).all()
    told_of, done_of = _by_case(connection.execute(told)), _by_case(connection.execute(done))
    spent_on = {row[0]: int(row[1]) for row in connection.execute(spent)}
    for row in rows:
        place = row.use_case, day_of(row.opened_at)
        yield place, _history(row, told_of[row.id], done_of[row.id], spent_on)


def _cases() -> Select[Any]:
    """What a case was at its first decision stays: its lane, and how probable it was."""
    first_grounds = (grounds.c.case_id == cases.c.id) & (grounds.c.revision == 1)
    return (
        select(cases, tickets.c.body.label("ticket_body"), decisions.c.lane, grounds.c.control_share)
        .outerjoin(tickets, with_ticket)
        .join(decisions, (decisions.c.case_id == cases.c.id) & (decisions.c.revision == 1))
        .outerjoin(grounds, first_grounds)
    )


def _by_case(rows: Iterable[Row[Any]]) -> Mapping[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.case_id].append(row)
    return found


def _history(
    row: Row[Any], told: Sequence[Row[Any]], done: Sequence[Row[Any]], spent: Mapping[str, int]
) -> TicketHistory:
    ticket = TICKET.load(row.ticket_body) if row.ticket_body is not None else None
    closes = [action for action in done if action.kind == "close"]
    by_policy = any(action.approved_by.startswith(BY_POLICY) for action in closes)
    reopened = tuple(one.at for one in told if one.verdict == "reopened")
    resolved = sorted({one.at for one in told if one.verdict == "resolved"} | {one.done_at for one in closes})
    acknowledged = [one.at for one in told if one.verdict == "acknowledged" and one.source != "bot"]
    objected = bool(reopened) or any(one.verdict == "wrong" and one.source == "person" for one in told)
    finished = ticket is not None and ticket.state is not TicketState.OPEN
    return TicketHistory(
        id=row.id,
        opened=ticket.opened_at if ticket else row.first_at,
        began=_began(row, ticket),
        detected=row.opened_at,
        acknowledged=min(acknowledged, default=ticket.acknowledged_at if ticket else None),
        resolved=tuple(resolved),
        reopened=reopened,
        finished=finished,
        category=row.category,
        priority=ticket.priority if ticket else "",
        service=ticket.service if ticket else "",
        cluster=row.fingerprint,
        lane=Lane(row.lane),
        moves=_moves(told) if ticket else None,
        reopens=len(reopened),
        alerts=row.alert_count,
        needed_work=_needed_work(row, told, objected=objected, closed=bool(closes)) if finished else None,
        closed_by_policy=by_policy,
        wrong=objected if by_policy else None,
        draft=_use(told) if any(action.kind == "note" for action in done) else None,
        control_share=row.control_share,
        minutes=ticket.worked / _MINUTE if ticket and ticket.worked else None,
        model_usd=float(spent.get(row.id, 0)) / 1_000_000,
    )


def _began(row: Row[Any], ticket: Ticket | None) -> datetime | None:
    """When the source says that it began firing. A ticket that people opened says nothing about it."""
    return None if ticket is not None and ticket.opened_at == row.first_at else row.first_at


def _moves(told: Sequence[Row[Any]]) -> int:
    """How often people gave it to another group; what a bot or a bulk update moves is no hand-over."""
    return len({one.change_id for one in told if one.field == "group" and _by_hand(one)})


def _by_hand(one: Row[Any]) -> bool:
    return bool(one.verdict == "corrected" and one.source == "person")


def _needed_work(row: Row[Any], told: Sequence[Row[Any]], *, objected: bool, closed: bool) -> bool:
    recategorised = any(one.field == "category" and one.source == "person" for one in told)
    return objected or not (closed or (row.category in _NOISE and not recategorised))


def _use(told: Sequence[Row[Any]]) -> DraftUse:
    by_people = (one.verdict for one in told if one.source == "person")
    return next((_USES[verdict] for verdict in by_people if verdict in _USES), DraftUse.UNSEEN)
