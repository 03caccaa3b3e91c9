"""Promising: labels, certificates and their monitors in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Connection, Row, func, insert, select, type_coerce, update

from connectors.sql import audit, guarding, policies
from connectors.sql.codec import CIRCUMSTANCES, LABEL, VERSIONS
from connectors.sql.corrections import told_of_cases
from connectors.sql.engine import Database
from connectors.sql.promises import (
    certificates,
    certifications,
    circumstances,
    grounds,
    labels,
)
from connectors.sql.relabelling import OF_CASES, finding_row, relabel, told_of
from connectors.sql.tables import cases, corrections, decisions
from countersign.audit import Event
from countersign.guards import Fallen, Guarded
from countersign.ids import new_ids
from countersign.labelling import RULE_VERSION, Finding, Judgeable, Told
from countersign.labels import Label
from countersign.lanes import Lane
from countersign.monitors import Monitor
from countersign.promises import Demotion, Issued, Kept, Relabelled, Reopens, Standing, Withdrawn
from countersign.thresholds.certificate import Certificate
from countersign.thresholds.words import promise_words

if TYPE_CHECKING:
    from countersign.backtest import History


class SqlPromises:
    """The PromiseBook port."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def standing(self, use_case: str) -> Standing:
        with self._db.read() as connection:
            return Standing(
                issued=tuple(_newest(connection, use_case).values()),
                fallen=guarding.fallen(connection, use_case),
            )

    def judgeable(self, case_ids: Sequence[str]) -> tuple[Judgeable, ...]:
        """As the port says; of a case that was decided again, the last decision counts."""
        wanted = (
            select(grounds, cases.c.fingerprint)
            .join(cases, cases.c.id == grounds.c.case_id)
            .where(
                grounds.c.case_id.in_(list(case_ids)), grounds.c.wanted.is_(True), grounds.c.risk.is_not(None)
            )
            .order_by(grounds.c.case_id, grounds.c.revision)
        )
        with self._db.read() as connection:
            rows = {row.case_id: row for row in connection.execute(wanted)}
            told = told_of_cases(connection, case_ids)
        return tuple(_judgeable(row, told[case]) for case, row in rows.items())

    def record_findings(
        self, findings: Sequence[Finding], guarded: Mapping[str, Guarded]
    ) -> tuple[Demotion, ...]:
        lost: list[Demotion] = []
        with self._db.write() as connection:
            self._db.alone(connection, "countersign promises")
            now = self._db.now(connection)
            for one in findings:
                if not self._is_news(connection, one, now) or not one.case.alone:
                    continue
                watch = guarded.get(one.case.case_id)
                lost += guarding.heard(connection, one, watch, now) if watch else _heard(connection, one, now)
            self._demote(connection, lost, now)
        return tuple(lost)

    def trip(self, use_case: str, rule: str, *, case_id: str, why: str) -> Fallen | None:
        with self._db.write() as connection:
            self._db.alone(connection, "countersign promises")
            now = self._db.now(connection)
            fallen = guarding.trip(connection, use_case, rule, case_id, why, now)
            self._demote(connection, [fallen] if fallen else [], now)
        return fallen

    def lift(self, use_case: str, rule: str, *, by: str) -> bool:
        with self._db.write() as connection:
            return guarding.lift(connection, use_case, rule, by, self._db.now(connection))

    def demotions(self, *, within: timedelta) -> tuple[Demotion, ...]:
        with self._db.read() as connection:
            since = self._db.now(connection) - within
            asked = select(certificates).where(
                certificates.c.withdrawn_at >= since, certificates.c.withdrawn_case.is_not(None)
            )
            withdrawn = [
                Withdrawn(case_id=row.withdrawn_case, use_case=row.use_case, issued=_issued(row))
                for row in connection.execute(asked)
            ]
            return (*withdrawn, *guarding.since(connection, since))

    def _demote(self, connection: Connection, lost: Sequence[Demotion], now: datetime) -> None:
        for one in lost:
            guarding.hold_back(connection, one.use_case, one.rule, one.why, now)
        audit.append(connection, [_demoted_event(one) for one in lost], at=now)

    def told_of(self, use_case: str, *, after: str, limit: int) -> tuple[str, ...]:
        with self._db.read() as connection:
            return told_of(connection, use_case, after=after, limit=limit)

    def relabel(self, case_ids: Sequence[str], findings: Sequence[Finding]) -> Relabelled:
        with self._db.write() as connection:
            self._db.alone(connection, "countersign promises")
            now = self._db.now(connection)
            rows = [finding_row(one, now) for one in findings]
            return relabel(connection, OF_CASES, case_ids, rows, at=now)

    def reopens(self, case_ids: Sequence[str], *, within: timedelta) -> tuple[Reopens, ...]:
        """As the port says; the window ends now."""
        with self._db.read() as connection:
            now = self._db.now(connection)
            hit = connection.execute(
                select(
                    decisions.c.use_case, decisions.c.rule, func.max(corrections.c.case_id).label("case_id")
                )
                .join(corrections, corrections.c.case_id == decisions.c.case_id)
                .where(
                    decisions.c.case_id.in_(list(case_ids)),
                    decisions.c.closes.is_(True),
                    corrections.c.verdict == "reopened",
                )
                .group_by(decisions.c.use_case, decisions.c.rule)
            ).all()
            return tuple(
                _reopens(connection, row.use_case, row.rule, row.case_id, now - within) for row in hit
            )

    def labels(self, use_case: str) -> tuple[Label, ...]:
        asked = select(labels.c.body).where(labels.c.use_case == use_case, labels.c.body != "")
        with self._db.read() as connection:
            return tuple(LABEL.load(body) for body in connection.execute(asked).scalars())

    def history(self, use_case: str, *, since: datetime) -> History:
        """As the port says. Times stay integers: a million datetimes would take longer than deciding."""
        from countersign.backtest import History  # numpy, which only figures need

        asked = (
            select(
                grounds.c.case_id,
                type_coerce(grounds.c.at, BigInteger),
                grounds.c.risk,
                grounds.c.alerts,
                grounds.c.kind,
            )
            .where(grounds.c.use_case == use_case, grounds.c.at >= since)
            .order_by(grounds.c.at, grounds.c.case_id)
        )
        with self._db.read() as connection:
            rows = connection.execute(asked).all()
            bodies = connection.execute(select(circumstances.c.kind, circumstances.c.body)).all()
        return History.of_rows(rows, {kind: CIRCUMSTANCES.load(body) for kind, body in bodies})

    def begin_certification(self, use_case: str) -> int:
        with self._db.write() as connection:
            self._db.alone(connection, "countersign promises")
            last = select(func.coalesce(func.max(certifications.c.tuning), 0)).where(
                certifications.c.use_case == use_case
            )
            tuning = int(connection.execute(last).scalar_one()) + 1
            row = {"use_case": use_case, "tuning": tuning, "at": self._db.now(connection)}
            connection.execute(insert(certifications), [row])
        return tuning

    def issue(self, use_case: str, rule: str, certificate: Certificate, monitor: Monitor) -> None:
        with self._db.write() as connection:
            now = self._db.now(connection)
            row = {
                "id": new_ids("p", now, 1)[0],
                "use_case": use_case,
                "category": certificate.category,
                "rule": rule,
                "versions": VERSIONS.dump(certificate.versions),
                "at": now,
                "body": certificate.to_json(),
                "monitor": monitor.to_json(),
            }
            connection.execute(insert(certificates), [row])
            detail: dict[str, object] = {
                "rule": rule, "category": certificate.category, "threshold": certificate.threshold,
                "labels": certificate.n, "wrong": certificate.errors, "promise": promise_words(certificate.promise),
            }  # fmt: skip
            event = Event(
                actor="policy", event="rule.certified", case_id="", subject=str(row["id"]), detail=detail
            )
            audit.append(connection, [event], at=now)

    def keep_policy(
        self, use_case: str, version: int, *, content_hash: str, file: str, text: str, prompt: str
    ) -> None:
        body = {"file": file, "text": text, "prompt": prompt}
        with self._db.write() as connection:
            policies.keep(self._db, connection, use_case, version, content_hash, body)

    def good_policy(self, *, file: str, use_case: str = "") -> Kept | None:
        with self._db.read() as connection:
            return policies.last_good(connection, file, use_case)

    def policy_hashes(self, use_case: str, version: int) -> frozenset[str]:
        with self._db.read() as connection:
            return policies.hashes(connection, use_case, version)

    def policies_kept(self) -> str:
        with self._db.read() as connection:
            return policies.state(connection)

    def _is_news(self, connection: Connection, one: Finding, now: datetime) -> bool:
        """Keeps the finding; False if it was known."""
        row = finding_row(one, now)
        new = self._db.insert(labels).values(row).on_conflict_do_nothing().returning(labels.c.case_id)
        if connection.execute(new).first() is not None:
            return True
        turned = (
            update(labels)
            .where(labels.c.case_id == one.case.case_id, labels.c.wrong.is_(False))
            .values(wrong=True, body=row["body"], recorded_at=now, rule_version=RULE_VERSION)
        )
        return one.wrong and connection.execute(turned).rowcount > 0


def _newest(connection: Connection, use_case: str) -> Mapping[tuple[str, str], Issued]:
    asked = select(certificates).where(certificates.c.use_case == use_case).order_by(certificates.c.at)
    return {(row.category, row.versions): _issued(row) for row in connection.execute(asked)}


def _issued(row: Row[Any]) -> Issued:
    return Issued(
        id=row.id,
        rule=row.rule,
        at=row.at,
        certificate=Certificate.from_json(row.body),
        monitor=Monitor.from_json(row.monitor),
        withdrawn_at=row.withdrawn_at,
        why=row.why,
    )


def _judgeable(row: Row[Any], told: tuple[Told, ...]) -> Judgeable:
    return Judgeable(
        case_id=row.case_id,
        use_case=row.use_case,
        fingerprint=row.fingerprint,
        at=row.at,
        category=row.category,
        rule=row.rule,
        risk=row.risk,
        lane=Lane(row.lane),
        control_share=row.control_share,
        alone=row.alone,
        versions=VERSIONS.load(row.versions),
        told=told,
    )


def _heard(connection: Connection, one: Finding, now: datetime) -> list[Withdrawn]:
    """Moves the monitor of the certificate that the case was, or would have been, closed by."""
    key = (one.case.category, VERSIONS.dump(one.case.versions))
    issued = _newest(connection, one.case.use_case).get(key)
    if issued is None or issued.withdrawn_at is not None:
        return []
    monitor = issued.monitor
    # What was not drawn weighs as much as anything can: it may only make the alarm sooner.
    drawn = one.label.probability if one.label is not None else monitor.floor
    monitor = monitor.audited(wrong=one.wrong, probability=max(drawn, monitor.floor))
    values: dict[str, object] = {"monitor": monitor.to_json()}
    after = replace(issued, monitor=monitor)
    if monitor.alarm is not None:
        after = replace(after, withdrawn_at=now, why=_why(after))
        values |= {"withdrawn_at": now, "why": after.why, "withdrawn_case": one.case.case_id}
    connection.execute(update(certificates).where(certificates.c.id == issued.id).values(values))
    if monitor.alarm is None:
        return []
    return [Withdrawn(case_id=one.case.case_id, use_case=one.case.use_case, issued=after)]


def _why(issued: Issued) -> str:
    monitor, promise = issued.monitor, promise_words(issued.certificate.promise)
    return (
        f'rule "{issued.rule}" has lost its autonomy for {issued.certificate.category}: {monitor.wrong} of '
        f"{monitor.audits} audited closes were wrong, which breaks the promise ({promise})"
    )


def _reopens(connection: Connection, use_case: str, rule: str, case_id: str, since: datetime) -> Reopens:
    lifted = guarding.lifted_at(connection, use_case, rule)
    since = max(since, lifted) if lifted else since
    closed = (
        decisions.c.use_case == use_case,
        decisions.c.rule == rule,
        decisions.c.closes.is_(True),
        decisions.c.at > since,
    )
    closes = connection.execute(select(func.count()).select_from(decisions).where(*closed)).scalar_one()
    times = connection.execute(
        select(func.min(corrections.c.at))
        .join(decisions, decisions.c.case_id == corrections.c.case_id)
        .where(*closed, corrections.c.verdict == "reopened")
        .group_by(corrections.c.case_id)
    ).scalars()
    return Reopens(
        use_case=use_case,
        rule=rule,
        case_id=case_id,
        closes=int(closes),
        at=tuple(times),
        since=since,
    )


def _demoted_event(one: Demotion) -> Event:
    detail: dict[str, object] = {"rule": one.rule, "why": one.why}
    return Event(actor="monitor", event="rule.demoted", case_id=one.case_id, subject=one.id, detail=detail)
