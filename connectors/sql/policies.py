"""Policies that were in force, so that every worker can go on with the last good one."""

from __future__ import annotations

import json

from sqlalchemy import Connection, func, or_, select

from connectors.sql import audit
from connectors.sql.engine import Database
from connectors.sql.promises import good_policies
from countersign.audit import Event


def keep(
    db: Database,
    connection: Connection,
    use_case: str,
    version: int,
    content_hash: str,
    file: str,
    text: str,
) -> None:
    """Keeps a copy of a policy that took effect, with an audit record if another one was in force before."""
    db.alone(connection, "countersign policies")
    now = db.now(connection)
    body = json.dumps({"file": file, "text": text})
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
    detail: dict[str, object] = {"version": version, "content_hash": content_hash, "file": file}
    event = Event(actor="policy", event="policy.in_force", case_id="", subject=use_case, detail=detail)
    audit.append(connection, [event], at=now)


def last_good(connection: Connection, file: str, use_case: str) -> str:
    """The text of the policy that was last in force from this file, else for this use case; "" without one."""
    beginning = json.dumps({"file": file})[:-1] + ","
    named = func.substr(good_policies.c.body, 1, len(beginning)) == beginning
    asked = (
        select(good_policies.c.body)
        .where(or_(named, good_policies.c.use_case == use_case))
        .order_by(good_policies.c.at.desc())
        .limit(1)
    )
    body = connection.execute(asked).scalar_one_or_none()
    return str(json.loads(body)["text"]) if body else ""


def state(connection: Connection) -> str:
    """Another text whenever another policy has come into force."""
    count, last = connection.execute(select(func.count(), func.max(good_policies.c.at))).one()
    return f"{count} {last}"
