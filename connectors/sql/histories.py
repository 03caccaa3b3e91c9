"""Histories: the ledger's cases as the rows that the figures are computed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select

from connectors.sql.codec import TICKET
from connectors.sql.engine import Database
from connectors.sql.loading import with_ticket
from connectors.sql.tables import actions, cases, corrections, decisions, model_calls, tickets
from countersign.actions import ActionState
from countersign.kpis.history import DraftUse, TicketHistory
from countersign.lanes import Lane
from countersign.tickets import TicketState

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


def read_histories(db: Database, use_case: str, since: datetime) -> tuple[TicketHistory, ...]:
    """One row a case of the use case that was opened since then and decided, oldest first."""
    chosen = cases.c.use_case == use_case, cases.c.opened_at >= since
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
    with db.read() as connection:
        rows = connection.execute(_cases().where(*chosen).order_by(cases.c.id)).all()
        told_of, done_of = _by_case(connection.execute(told)), _by_case(connection.execute(done))
        spent_on = {row[0]: int(row[1]) for row in connection.execute(spent)}
    return tuple(_history(row, told_of[row.id], done_of[row.id], spent_on) for row in rows)


def _cases() -> Select[Any]:
    return (
        select(cases, tickets.c.body.label("ticket_body"), decisions.c.lane)
        .outerjoin(tickets, with_ticket)
        .join(decisions, (decisions.c.case_id == cases.c.id) & (decisions.c.revision == 1))
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
    acknowledged = [one.at for one in told if one.verdict == "acknowledged"]
    objected = reopened or any(one.verdict == "wrong" for one in told)
    return TicketHistory(
        id=row.id,
        opened=ticket.opened_at if ticket else row.first_at,
        acknowledged=min(acknowledged, default=ticket.acknowledged_at if ticket else None),
        resolved=tuple(resolved),
        reopened=reopened,
        finished=ticket is not None and ticket.state is not TicketState.OPEN,
        category=row.category,
        priority=ticket.priority if ticket else "",
        service=ticket.service if ticket else "",
        cluster=row.fingerprint,
        lane=Lane(row.lane),
        reopens=len(reopened),
        alerts=row.alert_count,
        closed_by_policy=by_policy,
        wrong=bool(objected) if by_policy else None,
        draft=_use(told) if any(action.kind == "note" for action in done) else None,
        model_usd=float(spent.get(row.id, 0)) / 1_000_000,
    )


def _use(told: Sequence[Row[Any]]) -> DraftUse:
    return next((_USES[one.verdict] for one in told if one.verdict in _USES), DraftUse.UNSEEN)
