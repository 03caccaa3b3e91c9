"""Policies that were in force, so that every worker can go on with the last good one."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, func, or_, select

from connectors.sql import audit
from connectors.sql.engine import Database
from connectors.sql.promises import good_policies
from countersign.audit import Event
from countersign.promises import Kept


def keep(
    db: Database,
    connection: Connection,
    use_case: str,
    version: int,
    content_hash: str,
    said: Mapping[str, str],
) -> None:
    """Keeps what took effect (file, text, prompt), with an audit record if another policy was in force before."""
    db.alone(connection, "countersign policies")
    now = db.now(connection)
    body = json.dumps(said)
    newest = (
        select(good_policies.c.content_hash, good_policies.c.body)
        .where(good_policies.c.use_case == use_case)
        .order_by(good_policies.c.at.desc())
        .limit(1)
    )
    before = connection.execute(newest).one_or_none()
    if before is not None and (before.content_hash, before.body) == (content_hash, body):
        return
    row = {
        "use_case": use_case,
        "version": version,
        "content_hash": content_hash,
        "at": now,
        "body": body,
    }
    kept = db.insert(good_policies).values(row)
    connection.execute(
        kept.on_conflict_do_update(
            index_elements=["use_case", "version", "content_hash"], set_={"at": now, "body": body}
        )
    )
    if before is not None and before.content_hash == content_hash:
        return
    detail: dict[str, object] = {"version": version, "content_hash": content_hash, "file": said["file"]}
    event = Event(actor="policy", event="policy.in_force", case_id="", subject=use_case, detail=detail)
    audit.append(connection, [event], at=now)


def hashes(connection: Connection, use_case: str, version: int) -> frozenset[str]:
    """The contents that were in force under a version."""
    asked = select(good_policies.c.content_hash).where(
        good_policies.c.use_case == use_case, good_policies.c.version == version
    )
    return frozenset(connection.execute(asked).scalars())


def last_good(connection: Connection, file: str, use_case: str) -> Kept | None:
    """The policy that was last in force from this file, else for this use case."""
    beginning = json.dumps({"file": file})[:-1] + ","
    named = func.substr(good_policies.c.body, 1, len(beginning)) == beginning
    asked = (
        select(good_policies.c.body)
        .where(or_(named, good_policies.c.use_case == use_case))
        .order_by(good_policies.c.at.desc())
        .limit(1)
    )
    body = connection.execute(asked).scalar_one_or_none()
    said = json.loads(body) if body else None
    return Kept(text=said["text"], prompt=said.get("prompt", "")) if said else None


def state(connection: Connection) -> str:
    """Another text whenever another policy has come into force."""
    count, last = connection.execute(select(func.count(), func.max(good_policies.c.at))).one()
    return f"{count} {last}"
