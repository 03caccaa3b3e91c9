"""Loading: cases and actions as frozen values, from their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from connectors.sql.codec import ALERT, EFFECT, TICKET, TICKET_REF
from connectors.sql.tables import alerts, cases, tickets
from countersign.actions import Action
from countersign.alerts import Alert
from countersign.cases import Case
from countersign.context import NOTHING_ASKED, Context
from countersign.tickets import TicketRef

NEWEST_ALERTS = 20

with_ticket = (tickets.c.desk == cases.c.desk) & (tickets.c.id == cases.c.ticket_id)

_ranked = (
    select(
        alerts.c.seq,
        func.row_number()
        .over(partition_by=alerts.c.case_id, order_by=(alerts.c.occurred_at.desc(), alerts.c.seq.desc()))
        .label("nth"),
    )
    .where(alerts.c.case_id.in_(bindparam("cases", expanding=True)))
    .subquery()
)
_NEWEST = (
    select(alerts.c.case_id, alerts.c.body)
    .join(_ranked, _ranked.c.seq == alerts.c.seq)
    .where(_ranked.c.nth <= NEWEST_ALERTS)
    .order_by(alerts.c.occurred_at, alerts.c.seq)
)


def newest_alerts(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, tuple[Alert, ...]]:
    """The newest alerts of each case, oldest first."""
    found: dict[str, list[Alert]] = {case_id: [] for case_id in case_ids}
    for case_id, body in connection.execute(_NEWEST, {"cases": list(case_ids)}):
        found[case_id].append(ALERT.load(body))
    return {case_id: tuple(alerts_of) for case_id, alerts_of in found.items()}


def to_case(row: Row[Any], newest: tuple[Alert, ...], context: Context = NOTHING_ASKED) -> Case:
    """A case from its row, which also holds its ticket's `ticket_body` (or None)."""
    return Case(
        id=row.id,
        use_case=row.use_case,
        fingerprint=row.fingerprint,
        alerts=newest,
        alert_count=row.alert_count,
        firing=row.firing,
        first_at=row.first_at,
        last_at=row.last_at,
        episode=row.episode,
        revision=row.revision,
        previous=row.previous,
        ticket=TICKET.load(row.ticket_body) if row.ticket_body is not None else None,
        context=context,
    )


def to_action(row: Row[Any], *, fallback: TicketRef | None = None) -> Action:
    """An action from its row, on `fallback` if it was planned without a ticket. Raises pydantic.ValidationError."""
    return Action(
        key=row.key,
        case_id=row.case_id,
        use_case=row.use_case,
        desk=row.desk,
        ticket=TICKET_REF.load(row.ticket) if row.ticket is not None else fallback,
        effect=EFFECT.load(row.effect),
        seq=row.seq,
        needs_approval=row.needs_approval,
    )
