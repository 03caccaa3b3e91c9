"""Verdicts: the rows that a decision comes to, in as few statements as a whole batch allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from connectors.sql import audit, tickets
from connectors.sql.burial import bury_needing
from connectors.sql.codec import ASSESSMENT, CONTEXT, DECISION, EFFECT, MODEL_CALL, TICKET_REF, plain
from connectors.sql.drifts import count_signals
from connectors.sql.engine import Database
from connectors.sql.grounds import write_grounds
from connectors.sql.order import claimable
from connectors.sql.tables import actions, assessments, cases, decisions, model_calls, policy_texts
from countersign.actions import Action, ActionState
from countersign.assessment import Assessment
from countersign.audit import Event
from countersign.cases import Stage
from countersign.ledger import ModelCall, Verdict

_ASSESSED = ("category", "severity", "model", "prompt", "prompt_hash")

Judgement = tuple[Verdict, Row[Any]]

_KNOWN_KEYS = select(actions.c.key).where(actions.c.key.in_(bindparam("keys", expanding=True)))
_DECIDED = (
    update(cases)
    .where(cases.c.id == bindparam("case"))
    .values(
        {
            "worker": None,
            "attempts": 0,
            "error": "",
            **{
                name: bindparam(f"new_{name}")
                for name in (
                    "stage", "due_at", "revision", "ended_at", "decided_at", "desk", "ticket_id",
                    "outcome", "rule", "category",
                )
            },
        }
    )
)  # fmt: skip


def write_verdicts(
    db: Database, connection: Connection, judged: Sequence[Judgement], *, at: datetime
) -> tuple[str, ...]:
    """Writes everything of these verdicts; gives the keys of their actions that may be done now."""
    tickets.upsert(db, connection, [verdict.ticket for verdict, _ in judged if verdict.ticket is not None])
    connection.execute(insert(assessments), [_assessment(verdict, row, at) for verdict, row in judged])
    connection.execute(insert(decisions), [_decision(verdict, row, at) for verdict, row in judged])
    _keep_policies(db, connection, judged, at)
    write_grounds(db, connection, judged, at=at)
    count_signals(db, connection, [(row.use_case, verdict.signals) for verdict, row in judged], at=at)
    calls = [_call(verdict, row, call, at) for verdict, row in judged for call in verdict.calls]
    if calls:
        connection.execute(insert(model_calls), calls)
    superseded = _supersede(connection, judged, at)
    planned, known = _plan(connection, judged, at)
    connection.execute(_DECIDED, [_decided(verdict, row, at) for verdict, row in judged])
    events = [_decided_event(verdict, row) for verdict, row in judged]
    events += [*superseded, *(_planned_event(row) for row in planned)]
    if known:
        events += bury_needing(db, connection, known, at=at)
    audit.append(connection, events, at=at)
    approved = [str(row["key"]) for row in planned if row["state"] == ActionState.APPROVED]
    return claimable(connection, approved, at=at)


def _keep_policies(db: Database, connection: Connection, judged: Sequence[Judgement], at: datetime) -> None:
    """What the policies say that decided these, where it is not known yet."""
    texts = {
        verdict.policy_hash: {
            "fingerprint": verdict.policy_hash, "use_case": row.use_case, "at": at, "body": verdict.policy_text
        }
        for verdict, row in judged
        if verdict.policy_text
    }  # fmt: skip
    if texts:
        connection.execute(
            db.insert(policy_texts).on_conflict_do_nothing(index_elements=["fingerprint"]),
            list(texts.values()),
        )


def _plan(
    connection: Connection, judged: Sequence[Judgement], at: datetime
) -> tuple[list[dict[str, object]], list[str]]:
    """Inserts the actions that are not in the ledger yet; gives their rows, and the keys that are in it."""
    planned = {
        action.key: _action(verdict, row, action, at) for verdict, row in judged for action in verdict.actions
    }
    if not planned:
        return [], []
    known = list(connection.execute(_KNOWN_KEYS, {"keys": list(planned)}).scalars())
    new = [row for key, row in planned.items() if key not in known]
    if new:
        connection.execute(insert(actions), new)
    return new, known


def _supersede(connection: Connection, judged: Sequence[Judgement], at: datetime) -> list[Event]:
    """Drops what an earlier revision asked approval for: a newer look at the case asks for something else."""
    again = [verdict for verdict, row in judged if row.revision > 1]
    if not again:
        return []
    dropped = connection.execute(
        update(actions)
        .where(
            actions.c.case_id.in_([verdict.case_id for verdict in again]),
            actions.c.state == ActionState.PLANNED.value,
            actions.c.key.not_in([action.key for verdict in again for action in verdict.actions]),
        )
        .values(
            state=ActionState.DROPPED.value, due_at=None, done_at=at, detail="a newer decision replaced it"
        )
        .returning(actions.c.key, actions.c.case_id)
    )
    return [
        Event(
            actor="ledger",
            event="action.dropped",
            case_id=row.case_id,
            subject=row.key,
            detail={"why": "a newer decision replaced it"},
        )
        for row in dropped
    ]


def _assessment(verdict: Verdict, row: Row[Any], at: datetime) -> dict[str, object]:
    found = verdict.assessment
    common: dict[str, object] = {
        "case_id": verdict.case_id,
        "revision": row.revision,
        "at": at,
        "body": ASSESSMENT.dump(found),
        "context": CONTEXT.dump(verdict.context),
    }
    if not isinstance(found, Assessment):
        return {**dict.fromkeys(_ASSESSED, ""), "confidence": None, "risk": None, **common}
    known = {name: str(getattr(found, name)) for name in _ASSESSED}
    return {**known, "confidence": found.confidence, "risk": found.risk, **common}


def _decision(verdict: Verdict, row: Row[Any], at: datetime) -> dict[str, object]:
    return {
        "case_id": verdict.case_id,
        "revision": row.revision,
        "at": at,
        "use_case": row.use_case,
        "policy_version": verdict.policy_version,
        "policy_hash": verdict.policy_hash,
        "autonomy": verdict.autonomy,
        "outcome": verdict.decision.outcome.value,
        "rule": verdict.decision.rule,
        "lane": verdict.decision.lane.value,
        "service": plain(verdict.service),
        "closes": verdict.decision.closes,
        "body": DECISION.dump(verdict.decision),
    }


def _call(verdict: Verdict, row: Row[Any], call: ModelCall, at: datetime) -> dict[str, object]:
    return {
        "case_id": verdict.case_id,
        "use_case": row.use_case,
        "revision": row.revision,
        "at": at,
        "model": call.model,
        "outcome": call.outcome,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "micro_usd": call.micro_usd,
        "latency_ms": call.latency_ms,
        "body": MODEL_CALL.dump(call),
    }


def _action(verdict: Verdict, row: Row[Any], action: Action, at: datetime) -> dict[str, object]:
    asks = action.needs_approval
    return {
        "key": action.key,
        "case_id": action.case_id,
        "use_case": action.use_case,
        "revision": row.revision,
        "seq": action.seq,
        "kind": action.effect.kind,
        "desk": action.desk,
        "ticket": TICKET_REF.dump(action.ticket) if action.ticket is not None else None,
        "state": ActionState.PLANNED.value if asks else ActionState.APPROVED.value,
        "due_at": None if asks else at,
        "doubtful": False,
        "needs_approval": asks,
        "approved_by": "" if asks else f"policy:{verdict.decision.rule}",
        "payload_hash": action.payload_hash,
        "code": action.code,
        "effect": EFFECT.dump(action.effect),
        "planned_at": at,
    }


def _decided(verdict: Verdict, row: Row[Any], at: datetime) -> dict[str, object]:
    """It is due again at once if its last alert recovered while it was being assessed."""
    again = row.firing_at_claim > 0 and row.firing == 0
    ticket = verdict.ticket.ref if verdict.ticket is not None else None
    return {
        "case": verdict.case_id,
        "new_stage": Stage.DUE.value if again else Stage.DECIDED.value,
        "new_due_at": at if again else None,
        "new_revision": row.revision + 1 if again else row.revision,
        "new_ended_at": at,
        "new_decided_at": at,
        "new_desk": ticket.desk if ticket else row.desk,
        "new_ticket_id": ticket.id if ticket else row.ticket_id,
        "new_outcome": verdict.decision.outcome.value,
        "new_rule": verdict.decision.rule,
        "new_category": verdict.assessment.category if isinstance(verdict.assessment, Assessment) else "",
    }


def _decided_event(verdict: Verdict, row: Row[Any]) -> Event:
    decision, found = verdict.decision, verdict.assessment
    detail: dict[str, object] = {
        "revision": row.revision,
        "outcome": decision.outcome.value,
        "rule": decision.rule,
        "because": list(decision.because),
        "lane": decision.lane.value,
        "severity": str(decision.severity),
        "autonomy": verdict.autonomy,
        "policy_version": verdict.policy_version,
        "policy_hash": verdict.policy_hash,
    }
    if isinstance(found, Assessment):
        detail |= {"model": found.model, "prompt": found.prompt, "prompt_hash": found.prompt_hash}
    return Event(
        actor=row.worker,
        event="case.decided",
        case_id=verdict.case_id,
        subject=f"policy:{row.use_case}/{verdict.policy_version}",
        detail=detail,
    )


def _planned_event(row: dict[str, Any]) -> Event:
    return Event(
        actor=row["approved_by"] or "policy",
        event="action.planned",
        case_id=row["case_id"],
        subject=row["key"],
        detail={
            "kind": row["kind"],
            "desk": row["desk"],
            "state": row["state"],
            "payload_hash": row["payload_hash"],
        },
    )
