"""Grounds: what each decision rested on, written with it, and read as the columns of a backtest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert

from connectors.sql.codec import CIRCUMSTANCES, FACTS, VERSIONS
from connectors.sql.engine import Database
from connectors.sql.promises import circumstances, grounds
from countersign.assessment import Assessment
from countersign.circumstances import Circumstances
from countersign.ledger import Grounds, Verdict


def write_grounds(
    db: Database, connection: Connection, judged: Sequence[tuple[Verdict, Row[Any]]], *, at: datetime
) -> None:
    """One row a decision; circumstances that many share are kept once."""
    rows, kinds = [], {}
    for verdict, row in judged:
        if verdict.grounds is None:
            continue
        kind, body = _kind(verdict.grounds.circumstances)
        kinds[kind] = body
        rows.append(_row(verdict, verdict.grounds, row, kind, at))
    if rows:
        shared = db.insert(circumstances).on_conflict_do_nothing()
        # In order, so that two workers can't wait for each other.
        connection.execute(shared, [{"kind": kind, "body": kinds[kind]} for kind in sorted(kinds)])
        connection.execute(insert(grounds), rows)


def _kind(found: Circumstances) -> tuple[str, str]:
    body = CIRCUMSTANCES.dump(found)
    # A set has no order of its own, so that its JSON may differ from process to process.
    tags = "\x1f".join(sorted(found.tags))
    rest = CIRCUMSTANCES.dump(replace(found, tags=frozenset()))
    return hashlib.sha256(f"{rest}\x1e{tags}".encode("utf-8", "replace")).hexdigest()[:32], body


def _row(verdict: Verdict, found: Grounds, row: Row[Any], kind: str, at: datetime) -> dict[str, object]:
    said = verdict.assessment
    return {
        "case_id": verdict.case_id,
        "revision": row.revision,
        "use_case": row.use_case,
        "at": at,
        "risk": found.risk,
        "alerts": found.alerts,
        "kind": kind,
        "category": said.category if isinstance(said, Assessment) else "",
        "rule": verdict.decision.rule,
        "lane": verdict.decision.lane.value,
        "control_share": found.facts.control_share,
        "wanted": found.wanted,
        "alone": found.alone,
        "versions": VERSIONS.dump(found.versions) if found.versions is not None else "",
        "facts": FACTS.dump(found.facts),
    }
