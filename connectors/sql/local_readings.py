"""Readings: what the embedded model read, what people told of it, and its certificates, in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from connectors.sql import audit
from connectors.sql.codec import ASSESSMENT, LABEL, VERSIONS
from connectors.sql.corrections import told_of_cases
from connectors.sql.engine import Database
from connectors.sql.model_figures import local_certificates, local_labels
from connectors.sql.promises import grounds
from connectors.sql.relabelling import OF_READINGS, reading_row, relabel
from connectors.sql.tables import assessments, cases
from countersign.assessment import Assessment
from countersign.audit import Event
from countersign.ids import new_ids
from countersign.labelling import Finding, Told
from countersign.labels import Label
from countersign.lanes import Lane
from countersign.local_readings import Lost, Reading
from countersign.monitors import Monitor
from countersign.promises import Issued, Relabelled, Standing
from countersign.thresholds.certificate import Certificate
from countersign.thresholds.words import promise_words


class SqlLocalReadings:
    """The LocalReadingBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def standing(self, use_case: str) -> Standing:
        with self._db.read() as connection:
            return Standing(issued=tuple(_newest(connection, use_case).values()))

    def of(self, case_ids: Sequence[str]) -> tuple[Reading, ...]:
        """As the port says; of a case that was decided again, the last reading counts."""
        read = (
            select(grounds, cases.c.fingerprint, assessments.c.body)
            .join(cases, cases.c.id == grounds.c.case_id)
            .join(
                assessments,
                (assessments.c.case_id == grounds.c.case_id) & (assessments.c.revision == grounds.c.revision),
            )
            .where(grounds.c.case_id.in_(list(case_ids)), assessments.c.category != "")
            .order_by(grounds.c.case_id, grounds.c.revision)
        )
        with self._db.read() as connection:
            rows = {row.case_id: row for row in connection.execute(read)}
            told = told_of_cases(connection, case_ids)
        found = (_reading(row, told[case_id]) for case_id, row in rows.items())
        return tuple(one for one in found if one is not None)

    def record(self, findings: Sequence[Finding]) -> tuple[Lost, ...]:
        lost: list[Lost] = []
        with self._db.write() as connection:
            self._db.alone(connection, "countersign readings")
            now = self._db.now(connection)
            for one in findings:
                if self._is_news(connection, one, now):
                    lost += _heard(connection, one, now)
            audit.append(connection, [_withdrawn_event(one) for one in lost], at=now)
        return tuple(lost)

    def relabel(self, case_ids: Sequence[str], findings: Sequence[Finding]) -> Relabelled:
        with self._db.write() as connection:
            self._db.alone(connection, "countersign readings")
            now = self._db.now(connection)
            rows = [reading_row(one, now) for one in findings]
            return relabel(connection, OF_READINGS, case_ids, rows, at=now)

    def labels(self, use_case: str) -> tuple[Label, ...]:
        asked = select(local_labels.c.body).where(
            local_labels.c.use_case == use_case, local_labels.c.body != ""
        )
        with self._db.read() as connection:
            return tuple(LABEL.load(body) for body in connection.execute(asked).scalars())

    def issue(self, use_case: str, certificate: Certificate, monitor: Monitor) -> None:
        with self._db.write() as connection:
            now = self._db.now(connection)
            row = {
                "id": new_ids("p", now, 1)[0],
                "use_case": use_case,
                "category": certificate.category,
                "versions": VERSIONS.dump(certificate.versions),
                "at": now,
                "body": certificate.to_json(),
                "monitor": monitor.to_json(),
            }
            connection.execute(insert(local_certificates), [row])
            detail: dict[str, object] = {
                "category": certificate.category, "model": certificate.versions.model,
                "threshold": certificate.threshold, "labels": certificate.n, "wrong": certificate.errors,
                "promise": promise_words(certificate.promise),
            }  # fmt: skip
            event = Event(
                actor="policy", event="local.certified", case_id="", subject=str(row["id"]), detail=detail
            )
            audit.append(connection, [event], at=now)

    def _is_news(self, connection: Connection, one: Finding, now: datetime) -> bool:
        """Keeps the finding; False if it was known. One that turns from right to wrong counts again."""
        row = reading_row(one, now)
        new = self._db.insert(local_labels).values(row).on_conflict_do_nothing()
        if connection.execute(new.returning(local_labels.c.case_id)).first() is not None:
            return True
        turned = (
            update(local_labels)
            .where(local_labels.c.case_id == one.case.case_id, local_labels.c.wrong.is_(False))
            .values(wrong=True, body=row["body"], recorded_at=now)
        )
        return one.wrong and connection.execute(turned).rowcount > 0


def _newest(connection: Connection, use_case: str) -> Mapping[tuple[str, str], Issued]:
    asked = (
        select(local_certificates)
        .where(local_certificates.c.use_case == use_case)
        .order_by(local_certificates.c.at, local_certificates.c.id)
    )
    return {(row.category, row.versions): _issued(row) for row in connection.execute(asked)}


def _issued(row: Row[Any]) -> Issued:
    return Issued(
        id=row.id,
        rule="",
        at=row.at,
        certificate=Certificate.from_json(row.body),
        monitor=Monitor.from_json(row.monitor),
        withdrawn_at=row.withdrawn_at,
        why=row.why,
    )


def _reading(row: Row[Any], told: tuple[Told, ...]) -> Reading | None:
    said = ASSESSMENT.load(row.body)
    if not isinstance(said, Assessment) or said.read is None or said.read.versions is None:
        return None
    return Reading(
        case_id=row.case_id,
        use_case=row.use_case,
        fingerprint=row.fingerprint,
        at=row.at,
        category=said.read.category,
        confidence=said.read.confidence,
        said=said.category,
        lane=Lane(row.lane),
        control_share=row.control_share,
        alone=row.alone,
        versions=said.read.versions,
        told=told,
    )


def _heard(connection: Connection, one: Finding, now: datetime) -> list[Lost]:
    """Moves the monitor of the certificate that covers the reading, if one does."""
    key = (one.case.category, VERSIONS.dump(one.case.versions))
    issued = _newest(connection, one.case.use_case).get(key)
    if (
        issued is None
        or issued.withdrawn_at is not None
        or one.case.risk > issued.certificate.threshold + 1e-9
    ):
        return []
    monitor = issued.monitor.audited(wrong=one.wrong)
    values: dict[str, object] = {"monitor": monitor.to_json()}
    after = replace(issued, monitor=monitor)
    if monitor.alarm is not None:
        after = replace(after, withdrawn_at=now, why=_why(after))
        values |= {"withdrawn_at": now, "why": after.why}
    connection.execute(update(local_certificates).where(local_certificates.c.id == issued.id).values(values))
    if monitor.alarm is None:
        return []
    return [Lost(case_id=one.case.case_id, use_case=one.case.use_case, issued=after)]


def _why(issued: Issued) -> str:
    monitor, certificate = issued.monitor, issued.certificate
    return (
        f"{certificate.versions.model} no longer answers alone for {certificate.category}: {monitor.wrong} of "
        f"{monitor.audits} answers since its certificate were wrong, which breaks the promise "
        f"({promise_words(certificate.promise)})"
    )


def _withdrawn_event(one: Lost) -> Event:
    return Event(
        actor="monitor",
        event="local.withdrawn",
        case_id=one.case_id,
        subject=one.issued.id,
        detail={"category": one.issued.certificate.category, "why": one.issued.why},
    )
