"""Results: corrections, model calls, certificates and labels of a use case, as a report needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from connectors.sql.codec import CORRECTION
from connectors.sql.engine import Database
from connectors.sql.promises import certificates, labels
from connectors.sql.tables import assessments, audit, cases, corrections, feeds, model_calls
from countersign.reports import CorrectionLine
from countersign.results import Granted, LabelCount, ModelUse, Results
from countersign.thresholds.certificate import Certificate

MOST_CORRECTED = 10


def read_results(db: Database, use_case: str, *, since: datetime, until: datetime) -> Results:
    """What is told from `since` (included) to `until` (excluded), and the certificates and labels known then."""
    with db.read() as connection:
        return Results(
            corrections=_corrections(connection, use_case, since, until),
            models=_models(connection, use_case, since, until),
            certificates=_certificates(connection, use_case, until),
            labels=_labels(connection, use_case, until),
        )


def known_until(db: Database) -> datetime | None:
    """When the ledger last heard of anything: a feed was read or a record was written. None while it is empty."""
    with db.read() as connection:
        heard = connection.execute(select(func.max(feeds.c.last_ok))).scalar_one()
        wrote = connection.execute(select(audit.c.at).order_by(audit.c.seq.desc()).limit(1)).scalar()
    return max((at for at in (heard, wrote) if at is not None), default=None)


def _corrections(
    connection: Connection, use_case: str, since: datetime, until: datetime
) -> tuple[CorrectionLine, ...]:
    """What was changed most often; what a category was changed from is what the model had said."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in connection.execute(_corrected(use_case, since, until)):
        told = CORRECTION.load(row.body)
        said = row.category if told.field == "category" else ""
        counts[told.field, told.before or said, told.after] += 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CORRECTED]
    return tuple(
        CorrectionLine(field=field, before=before, after=after, count=count)
        for (field, before, after), count in ranked
        if before != after
    )


def _corrected(use_case: str, since: datetime, until: datetime) -> Select[Any]:
    return (
        select(corrections.c.body, assessments.c.category)
        .join(cases, cases.c.id == corrections.c.case_id)
        .outerjoin(
            assessments, (assessments.c.case_id == corrections.c.case_id) & (assessments.c.revision == 1)
        )
        .where(
            cases.c.use_case == use_case,
            corrections.c.field != "",
            corrections.c.verdict != "edited",
            corrections.c.source == "person",
            corrections.c.at >= since,
            corrections.c.at < until,
        )
    )


def _models(connection: Connection, use_case: str, since: datetime, until: datetime) -> tuple[ModelUse, ...]:
    asked = (
        select(
            model_calls.c.model,
            func.count().label("calls"),
            func.sum(model_calls.c.micro_usd).label("micro_usd"),
            func.sum(model_calls.c.tokens_in).label("tokens_in"),
            func.sum(model_calls.c.tokens_out).label("tokens_out"),
        )
        .where(model_calls.c.use_case == use_case, model_calls.c.at >= since, model_calls.c.at < until)
        .group_by(model_calls.c.model)
        .order_by(model_calls.c.model)
    )
    return tuple(
        ModelUse(
            model=row.model, calls=row.calls, micro_usd=int(row.micro_usd), tokens_in=int(row.tokens_in),
            tokens_out=int(row.tokens_out),
        )
        for row in connection.execute(asked)
    )  # fmt: skip


def _certificates(connection: Connection, use_case: str, until: datetime) -> Mapping[str, Granted]:
    rows = connection.execute(
        select(certificates)
        .where(certificates.c.use_case == use_case, certificates.c.at < until)
        .order_by(certificates.c.at, certificates.c.id)
    )
    return {
        row.category: Granted(
            certificate=Certificate.from_json(row.body), withdrawn=row.withdrawn_at, why=row.why
        )
        for row in rows
    }


def _labels(connection: Connection, use_case: str, until: datetime) -> Mapping[str, LabelCount]:
    rows = connection.execute(
        select(labels.c.category, labels.c.wrong, func.count().label("many"))
        .where(labels.c.use_case == use_case, labels.c.recorded_at < until)
        .group_by(labels.c.category, labels.c.wrong)
    )
    counts: dict[str, LabelCount] = {}
    for row in rows:
        old = counts.get(row.category, LabelCount(n=0, wrong=0))
        counts[row.category] = LabelCount(
            n=old.n + row.many, wrong=old.wrong + (row.many if row.wrong else 0)
        )
    return counts
