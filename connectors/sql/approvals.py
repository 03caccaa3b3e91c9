"""Approvals in the ledger: what was offered when, and what has voided approvals since. Over one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from connectors.sql.tables import alerts, cases, ticket_changes
from countersign.alerts import AlertState
from countersign.voids import Approval

# What ends somebody's work or takes it away: a decision of the policy to do so is looked at again when it is late.
_DECIDED = ("close", "route")


def approval_of(connection: Connection, row: Row[Any], now: datetime) -> Approval | None:
    """What an action rests on that may have ended since: a person's approval, or a decision of the policy.

    None for what needs neither: notes and drafts, and what takes back.
    """
    if not row.approved_change:
        return _decided(connection, row, now) if row.kind in _DECIDED and not row.undoes else None
    return Approval(
        by=row.approved_by,
        change=row.approved_change,
        offered_at=offered_at(connection, row.case_id, row.code, row.planned_at),
        age=now - row.planned_at,
        known=known_of(row.known_changes),
    )


def _decided(connection: Connection, row: Row[Any], now: datetime) -> Approval:
    its = cases.alias("its")
    # By now the next episode may be the one that fires. What comes late, and is older than the recovery that is known,
    # is no news.
    newest = (cases.c.use_case == its.c.use_case, cases.c.fingerprint == its.c.fingerprint, cases.c.current)
    again = (
        alerts.c.state == AlertState.FIRING.value,
        alerts.c.recorded_at > row.planned_at,
        cases.c.firing > 0,
    )
    fired = (
        select(alerts.c.seq)
        .join(cases, cases.c.id == alerts.c.case_id)
        .join(its, and_(*newest))
        .where(its.c.id == row.case_id, *again)
    )
    return Approval(
        by="",
        change="",
        offered_at=row.planned_at.replace(microsecond=0),
        age=now - row.planned_at,
        known=known_of(row.known_changes),
        fired=row.kind == "close" and connection.execute(fired.limit(1)).first() is not None,
    )


def offered_at(connection: Connection, case_id: str, code: str, planned_at: datetime) -> datetime:
    """In whole seconds. The desk's clock may be behind ours: its own time of our note counts if it is earlier."""
    noted = select(func.min(ticket_changes.c.at)).where(
        ticket_changes.c.case_id == case_id,
        ticket_changes.c.by_us.is_(True),
        ticket_changes.c.body.contains(f"/countersign approve {code}", autoescape=True),
    )
    return min(planned_at, connection.execute(noted).scalar_one() or planned_at).replace(microsecond=0)


def known_of(column: str) -> frozenset[str]:
    """What the column `known_changes` holds."""
    return frozenset(json.loads(column))


def now_known(row: Row[Any], more: Sequence[str]) -> str:
    """The column with these added."""
    return json.dumps(sorted({*known_of(row.known_changes), *more}))
