"""Stories: everything the ledger holds about one case, in the order it happened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from connectors.sql.audit import to_record
from connectors.sql.codec import (
    ASSESSMENT,
    CIRCUMSTANCES,
    CONTEXT,
    DECISION,
    FACTS,
    MODEL_CALL,
    RECEIPT,
    plain,
)
from connectors.sql.corrections import correction_of
from connectors.sql.loading import newest_alerts, to_action, to_case, with_ticket
from connectors.sql.promises import circumstances, grounds
from connectors.sql.tables import (
    actions,
    assessments,
    audit,
    cases,
    corrections,
    decisions,
    model_calls,
    tickets,
)
from countersign.context import NOTHING_ASKED
from countersign.errors import NotFound
from countersign.ids import ID_CHARACTERS, as_typed
from countersign.ledger import ActionRecord, DecisionRecord, ModelCall, Story

_CASES = select(cases, tickets.c.body.label("ticket_body")).outerjoin(tickets, with_ticket)


def find_case(connection: Connection, typed: str) -> Row[Any]:
    """The case of an id, of a unique beginning of one, or of a ticket's key (its newest). Raises NotFound."""
    typed = plain(typed)
    wanted = as_typed(typed)
    # A range, as LIKE on a bound value would read every case.
    begins = cases.c.id.between(wanted, wanted.ljust(ID_CHARACTERS, "z"))
    rows = connection.execute(_CASES.where(begins).limit(2)).all() if wanted else ()
    if len(rows) > 1:
        raise NotFound(f'More than one case begins with "{typed}"; type more of its id.')
    if rows:
        return rows[0]
    of_ticket = or_(tickets.c.key.in_([typed, typed.upper()]), tickets.c.id == typed)
    row = connection.execute(_CASES.where(of_ticket).order_by(cases.c.id.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFound(f'There is no case or ticket "{typed}"; `countersign cases` lists the newest.')
    return row


def tell(connection: Connection, row: Row[Any]) -> Story:
    """The story of the case of this row."""
    made = connection.execute(
        select(
            decisions,
            assessments.c.body.label("assessment"),
            assessments.c.context,
            grounds.c.facts,
            grounds.c.alerts,
            circumstances.c.body.label("around"),
        )
        .join(
            assessments,
            (assessments.c.case_id == decisions.c.case_id) & (assessments.c.revision == decisions.c.revision),
        )
        .outerjoin(
            grounds, (grounds.c.case_id == decisions.c.case_id) & (grounds.c.revision == decisions.c.revision)
        )
        .outerjoin(circumstances, circumstances.c.kind == grounds.c.kind)
        .where(decisions.c.case_id == row.id)
        .order_by(decisions.c.revision)
    ).all()
    context = CONTEXT.load(made[-1].context) if made else NOTHING_ASKED
    return Story(
        case=to_case(row, newest_alerts(connection, [row.id])[row.id], context),
        stage=row.stage,
        decisions=tuple(_decisions(connection, row.id, made)),
        actions=_actions(connection, row.id),
        corrections=tuple(
            correction_of(given)
            for given in connection.execute(
                select(corrections)
                .where(corrections.c.case_id == row.id)
                .order_by(corrections.c.at, corrections.c.recorded_at)
            )
        ),
        audit=tuple(
            to_record(record)
            for record in connection.execute(
                select(audit).where(audit.c.case_id == row.id).order_by(audit.c.seq)
            )
        ),
    )


def _decisions(connection: Connection, case_id: str, made: Iterable[Row[Any]]) -> Iterable[DecisionRecord]:
    calls: dict[int, list[ModelCall]] = {}
    asked = select(model_calls).where(model_calls.c.case_id == case_id).order_by(model_calls.c.seq)
    for call in connection.execute(asked):
        calls.setdefault(call.revision, []).append(MODEL_CALL.load(call.body))
    for row in made:
        yield DecisionRecord(
            revision=row.revision,
            at=row.at,
            policy_version=row.policy_version,
            policy_hash=row.policy_hash,
            autonomy=row.autonomy,
            assessment=ASSESSMENT.load(row.assessment),
            decision=DECISION.load(row.body),
            calls=tuple(calls.get(row.revision, ())),
            facts=FACTS.load(row.facts) if row.facts is not None else None,
            circumstances=CIRCUMSTANCES.load(row.around) if row.around is not None else None,
            alerts=row.alerts or 0,
        )


def _actions(connection: Connection, case_id: str) -> tuple[ActionRecord, ...]:
    """With the ticket they were planned for, so that their codes are those that people are asked to approve."""
    rows = connection.execute(
        select(actions).where(actions.c.case_id == case_id).order_by(actions.c.revision, actions.c.seq)
    )
    return tuple(
        ActionRecord(
            action=to_action(row),
            state=row.state,
            attempts=row.attempts,
            approved_by=row.approved_by,
            detail=row.detail,
            receipt=RECEIPT.load(row.receipt) if row.receipt is not None else None,
            planned_at=row.planned_at,
            done_at=row.done_at,
        )
        for row in rows
    )
