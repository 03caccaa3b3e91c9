"""Scales: calibrations in the ledger, and the labels that ask for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from connectors.sql import audit
from connectors.sql.codec import CALIBRATION, LABEL, VERSIONS
from connectors.sql.engine import Database
from connectors.sql.model_figures import scales
from connectors.sql.promises import certificates, grounds, labels
from connectors.sql.tables import assessments
from countersign.audit import Event
from countersign.calibration import Calibration
from countersign.ids import new_ids
from countersign.labels import Versions
from countersign.scales import Told


class SqlScales:
    """The ScaleBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def in_force(self, use_case: str) -> Mapping[Versions, Calibration]:
        asked = select(scales).where(scales.c.use_case == use_case).order_by(scales.c.at, scales.c.id)
        with self._db.read() as connection:
            rows = connection.execute(asked).all()
        return {VERSIONS.load(row.versions): CALIBRATION.load(row.body) for row in rows}

    def told(self, use_case: str) -> Mapping[Versions, Sequence[Told]]:
        """As the port says; of a case that was decided again, the last decision counts, as for its label."""
        asked = (
            select(labels.c.case_id, labels.c.wrong, labels.c.body, assessments.c.confidence)
            .join(grounds, grounds.c.case_id == labels.c.case_id)
            .join(
                assessments,
                (assessments.c.case_id == grounds.c.case_id) & (assessments.c.revision == grounds.c.revision),
            )
            .where(
                labels.c.use_case == use_case,
                labels.c.body != "",
                grounds.c.wanted.is_(True),
                assessments.c.confidence.is_not(None),
            )
            .order_by(labels.c.case_id, grounds.c.revision)
        )
        with self._db.read() as connection:
            rows = {row.case_id: row for row in connection.execute(asked)}
        found: dict[Versions, list[Told]] = defaultdict(list)
        for row in rows.values():
            versions = replace(LABEL.load(row.body).versions, calibration="")
            found[versions].append((row.confidence, not row.wrong))
        return found

    def put_in_force(
        self, use_case: str, versions: Versions, calibration: Calibration, *, by: str
    ) -> tuple[str, ...]:
        with self._db.write() as connection:
            self._db.alone(connection, "countersign promises")
            now = self._db.now(connection)
            row = {
                "id": new_ids("k", now, 1)[0],
                "use_case": use_case,
                "at": now,
                "author": by,
                "versions": VERSIONS.dump(versions),
                "body": CALIBRATION.dump(calibration),
            }
            connection.execute(insert(scales), [row])
            why = f"{by} has calibrated {versions.model} anew, and the promise was made on another scale of risk"
            lost = _withdraw(connection, use_case, replace(versions, calibration=calibration.name), why, now)
            events = [_event(by, use_case, versions, calibration)]
            events += [
                Event(
                    actor=by, event="rule.demoted", case_id="", subject=id, detail={"rule": rule, "why": why}
                )
                for id, rule in lost
            ]
            audit.append(connection, events, at=now)
        return tuple(sorted({rule for _, rule in lost}))


def _withdraw(
    connection: Connection, use_case: str, versions: Versions, why: str, now: datetime
) -> list[tuple[str, str]]:
    """Withdraws what these versions hold on another scale: (certificate, rule) of each."""
    held = select(certificates.c.id, certificates.c.rule, certificates.c.versions).where(
        certificates.c.use_case == use_case, certificates.c.withdrawn_at.is_(None)
    )
    lost = []
    for row in connection.execute(held):
        given = VERSIONS.load(row.versions)
        if given != versions and replace(given, calibration=versions.calibration) == versions:
            lost.append((str(row.id), str(row.rule)))
    if lost:
        ids = [id for id, _ in lost]
        change = update(certificates).where(certificates.c.id.in_(ids))
        connection.execute(change.values(withdrawn_at=now, why=why))
    return lost


def _event(by: str, use_case: str, versions: Versions, calibration: Calibration) -> Event:
    detail: dict[str, object] = {
        "model": versions.model,
        "prompt": versions.prompt,
        "calibration": calibration.name,
        "slope": calibration.slope,
        "shift": calibration.shift,
        "labels": calibration.labels,
    }
    return Event(actor=by, event="model.calibrated", case_id="", subject=use_case, detail=detail)
