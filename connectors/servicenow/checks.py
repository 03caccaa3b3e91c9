"""What `doctor` tries on a ServiceNow instance: one cheap read per right that we need."""

from __future__ import annotations

from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.query import quoted, raw
from countersign.errors import OutsideError
from countersign.ports import Check

# What the right is for, the table that shows whether we have it, and what to grant.
_RIGHTS = (
    ("read incidents", "incident", "role itil"),
    ("read work notes", "sys_journal_field", "read access to sys_journal_field (role itil or an ACL)"),
    ("read who changed what", "sys_audit", "role audit_viewer; until then corrections of fields go unseen"),
    ("read and draft change requests", "change_request", "role sn_change_write"),
    ("read configuration items", "cmdb_ci", "role cmdb_read"),
    ("read group members", "sys_user_grmember", "read access to sys_user_grmember; approvals depend on it"),
)


def checks(client: ServiceNowClient) -> tuple[Check, ...]:
    """One Check for reaching the instance as our user, and one per right."""
    return (_known(client), *(_right(client, *right) for right in _RIGHTS))


def _known(client: ServiceNowClient) -> Check:
    user, what = client.config.user, f"reach {client.url} as {client.config.user}"
    try:
        rows = client.rows("sys_user", f"user_name={quoted(user)}", ("user_name", "active"), limit=1).rows
    except OutsideError as error:
        return Check(what=what, ok=False, detail=str(error))
    if [raw(row, "user_name") for row in rows] != [user]:
        return Check(
            what=what,
            ok=False,
            detail=f"the user {user} can't be seen; let it read sys_user",
        )
    return Check(what=what, ok=True, detail="reached, and the user is known")


def _right(client: ServiceNowClient, what: str, table: str, grant: str) -> Check:
    try:
        got = client.rows(table, "ORDERBYsys_created_on", ("sys_id",), limit=1)
    except OutsideError as error:
        return Check(what=what, ok=False, detail=f"grant {grant} ({error})")
    if got.total and not got.rows:
        return Check(what=what, ok=False, detail=f"there are rows, but none is shown; grant {grant}")
    return Check(what=what, ok=True, detail="allowed" if got.rows else "allowed, and there is nothing yet")
