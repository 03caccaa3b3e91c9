"""Guarding: the guards of rules in the ledger. Functions over one transaction, for the book of promises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from connectors.sql import audit
from connectors.sql.promises import guards
from connectors.sql.tables import actions
from countersign.actions import ActionState
from countersign.audit import Event
from countersign.guards import Fallen, Guarded
from countersign.ids import new_ids
from countersign.labelling import Finding
from countersign.monitors import Monitor


def fallen(connection: Connection, use_case: str) -> tuple[Fallen, ...]:
    """The guards of a use case that have spoken and whose rule nobody has let close again."""
    asked = select(guards).where(
        guards.c.use_case == use_case, guards.c.fallen_at.is_not(None), guards.c.lifted_at.is_(None)
    )
    return tuple(_fallen(row) for row in connection.execute(asked))


def heard(connection: Connection, one: Finding, watch: Guarded, now: datetime) -> list[Fallen]:
    """Moves the monitor of a rule that closes by risk."""
    known = connection.execute(select(guards).where(guards.c.id == watch.id)).one_or_none()
    if known is not None and known.fallen_at is not None:
        return []
    monitor = (
        Monitor.from_json(known.monitor)
        if known is not None
        else Monitor.start(allowed=watch.allowed, floor=watch.floor)
    )
    # What was not drawn weighs as much as anything can: it may only make the alarm sooner.
    drawn = one.label.probability if one.label is not None else monitor.floor
    monitor = monitor.audited(wrong=one.wrong, probability=max(drawn, monitor.floor))
    row: dict[str, object] = {"monitor": monitor.to_json()}
    if monitor.alarm is not None:
        row |= {"fallen_at": now, "case_id": one.case.case_id, "why": _why(watch, monitor)}
    if known is None:
        connection.execute(insert(guards), [{**_new(watch, now), **row}])
    else:
        connection.execute(update(guards).where(guards.c.id == watch.id).values(row))
    if monitor.alarm is None:
        return []
    return [_spoken(connection, watch.id)]


def trip(
    connection: Connection, use_case: str, rule: str, case_id: str, why: str, now: datetime
) -> Fallen | None:
    """Records that the trip-wire of a rule was touched; None while it lies touched."""
    if any(one.kind == "reopens" and one.rule == rule for one in fallen(connection, use_case)):
        return None
    row = {
        "id": new_ids("g", now, 1)[0], "use_case": use_case, "kind": "reopens", "rule": rule, "category": "",
        "boundary": "", "allowed": 0.0, "at": now, "monitor": "", "fallen_at": now, "case_id": case_id, "why": why,
    }  # fmt: skip
    connection.execute(insert(guards), [row])
    return _spoken(connection, str(row["id"]))


def lift(connection: Connection, use_case: str, rule: str, by: str, now: datetime) -> bool:
    """Lets a rule close again after its trip-wire was touched; False if it lies untouched."""
    lifted = connection.execute(
        update(guards)
        .where(
            guards.c.use_case == use_case,
            guards.c.rule == rule,
            guards.c.kind == "reopens",
            guards.c.lifted_at.is_(None),
        )
        .values(lifted_at=now)
    ).rowcount
    if lifted:
        event = Event(actor=by, event="rule.resumed", case_id="", subject=use_case, detail={"rule": rule})
        audit.append(connection, [event], at=now)
    return lifted > 0


def lifted_at(connection: Connection, use_case: str, rule: str) -> datetime | None:
    """When somebody last let a rule close again: what was reopened before is known."""
    asked = select(func.max(guards.c.lifted_at)).where(
        guards.c.use_case == use_case, guards.c.rule == rule, guards.c.kind == "reopens"
    )
    found: datetime | None = connection.execute(asked).scalar_one()
    return found


def since(connection: Connection, moment: datetime) -> tuple[Fallen, ...]:
    """The guards that have spoken since then."""
    asked = select(guards).where(guards.c.fallen_at >= moment, guards.c.lifted_at.is_(None))
    return tuple(_fallen(row) for row in connection.execute(asked))


def hold_back(connection: Connection, use_case: str, rule: str, why: str, now: datetime) -> None:
    """Closes that the rule has decided and nobody has begun to write: the tickets stay with people."""
    dropped = connection.execute(
        update(actions)
        .where(
            actions.c.use_case == use_case,
            actions.c.kind == "close",
            actions.c.state == ActionState.APPROVED.value,
            actions.c.doubtful.is_(False),
            actions.c.approved_by == f"policy:{rule}",
        )
        .values(state=ActionState.DROPPED.value, due_at=None, done_at=now, detail=why)
        .returning(actions.c.key, actions.c.case_id)
    ).all()
    events = [
        Event(
            actor="monitor", event="action.dropped", case_id=row.case_id, subject=row.key, detail={"why": why}
        )
        for row in dropped
    ]
    audit.append(connection, events, at=now)


def _spoken(connection: Connection, guard_id: str) -> Fallen:
    return _fallen(connection.execute(select(guards).where(guards.c.id == guard_id)).one())


def _new(watch: Guarded, now: datetime) -> Mapping[str, object]:
    return {
        "id": watch.id, "use_case": watch.use_case, "kind": "risk", "rule": watch.rule, "category": watch.category,
        "boundary": watch.boundary, "allowed": watch.allowed, "at": now, "fallen_at": None, "case_id": "", "why": "",
    }  # fmt: skip


def _why(watch: Guarded, monitor: Monitor) -> str:
    return (
        f'rule "{watch.rule}" has lost its autonomy for {watch.category}: {monitor.wrong} of {monitor.audits} '
        f"audited closes were wrong, which is more than the risk it accepts (risk_below {watch.allowed:g})"
    )


def _fallen(row: Row[Any]) -> Fallen:
    return Fallen(
        id=row.id, kind=row.kind, case_id=row.case_id, use_case=row.use_case, rule=row.rule, category=row.category,
        boundary=row.boundary, allowed=row.allowed, at=row.fallen_at, why=row.why,
    )  # fmt: skip
