"""Material: the cases that people corrected, with what their model was shown, as exports need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from connectors.sql.codec import MODEL_CALL
from connectors.sql.corrections import correction_of
from connectors.sql.engine import Database
from connectors.sql.tables import cases, corrections, model_calls
from countersign.feedback.rows import Material, cluster_of, words_of
from countersign.ledger import ModelCall

_AT_ONCE = 500
_ANSWERED = ("answered", "cached")


def read_material(
    db: Database, use_case: str, since: datetime, *, answers: bool = True
) -> Iterator[Material]:
    """Cases of which something was said since then, in the order of their ids; a lot at a time is in memory."""
    after = ""
    while True:
        with db.read() as connection:
            lot = _lot(connection, use_case, since, after, answers=answers)
        yield from lot
        if len(lot) < _AT_ONCE:
            return
        after = lot[-1].case_id


def _lot(
    connection: Connection, use_case: str, since: datetime, after: str, *, answers: bool
) -> list[Material]:
    told = select(corrections.c.case_id).where(corrections.c.at >= since, corrections.c.case_id > after)
    rows = connection.execute(
        select(cases)
        .where(cases.c.use_case == use_case, cases.c.id.in_(told))
        .order_by(cases.c.id)
        .limit(_AT_ONCE)
    ).all()
    ids = [row.id for row in rows]
    said: dict[str, list[Row[Any]]] = defaultdict(list)
    for given in connection.execute(
        select(corrections)
        .where(corrections.c.case_id.in_(ids), corrections.c.at >= since)
        .order_by(corrections.c.at, corrections.c.change_id, corrections.c.verdict, corrections.c.field)
    ):
        said[given.case_id].append(given)
    calls = _answers(connection, ids) if answers else {}
    return [_material(row, said[row.id], calls.get(row.id)) for row in rows]


def _answers(connection: Connection, ids: Sequence[str]) -> dict[str, ModelCall]:
    """The last answer of each case."""
    asked = (
        select(model_calls.c.case_id, model_calls.c.body)
        .where(model_calls.c.case_id.in_(ids), model_calls.c.outcome.in_(_ANSWERED))
        .order_by(model_calls.c.seq)
    )
    newest = {row.case_id: row.body for row in connection.execute(asked)}
    return {case_id: MODEL_CALL.load(body) for case_id, body in newest.items()}


def _material(row: Row[Any], said: Sequence[Row[Any]], call: ModelCall | None) -> Material:
    return Material(
        case_id=row.id,
        cluster=cluster_of(row.fingerprint, row.template, row.desk or "", row.ticket_id or ""),
        template=words_of(row.template),
        rendered=call.rendered if call else "",
        answer=call.answer if call else "",
        prompt=call.prompt if call else "",
        prompt_hash=call.prompt_hash if call else "",
        corrections=tuple(correction_of(one) for one in said),
    )
