"""Lessons: what engineers said a case really was, beside the words that the model was shown of it."""

from __future__ import annotations

from sqlalchemy import select

from connectors.sql.codec import CORRECTION, MODEL_CALL
from connectors.sql.engine import Database
from connectors.sql.tables import assessments, corrections, model_calls

LIMIT = 2000


def lessons(db: Database) -> tuple[tuple[str, str, str], ...]:
    """(what the model read, redacted; the category that a person gave; the severity assessed), newest first.

    One a case, its last correction of the category; at most LIMIT.
    """
    asked = (
        select(
            corrections.c.case_id,
            corrections.c.body,
            model_calls.c.body.label("call"),
            assessments.c.severity,
        )
        .join(model_calls, model_calls.c.case_id == corrections.c.case_id)
        .join(
            assessments,
            (assessments.c.case_id == model_calls.c.case_id)
            & (assessments.c.revision == model_calls.c.revision),
        )
        .where(corrections.c.field == "category")
        .order_by(corrections.c.at.desc(), model_calls.c.seq.desc())
        .limit(LIMIT)
    )
    with db.read() as connection:
        rows = connection.execute(asked).all()
    newest = {row.case_id: row for row in reversed(rows)}
    return tuple(
        (MODEL_CALL.load(row.call).rendered, CORRECTION.load(row.body).after, row.severity)
        for row in reversed(newest.values())
    )
