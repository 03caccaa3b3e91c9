"""What `doctor` tries on a ServiceNow instance: one cheap read per right that we need."""

from __future__ import annotations

from connectors.checks import found
from connectors.manifest import Scope, read_manifest
from connectors.servicenow.client import ServiceNowClient
from connectors.servicenow.mapping import same_user
from connectors.servicenow.query import quoted, raw
from countersign.errors import OutsideError
from countersign.ports import Check

# Scope of the manifest -> what the right is for, and the table that shows whether we have it.
_RIGHTS = {
    "role itil": ("read incidents", "incident"),
    "read sys_journal_field": ("read work notes", "sys_journal_field"),
    "role audit_viewer": ("read who changed what", "sys_audit"),
    "role cmdb_read": ("read configuration items", "cmdb_ci"),
    "read sys_user_grmember": ("read group members", "sys_user_grmember"),
    "role sn_change_write": ("read and draft change requests", "change_request"),
}


def checks(client: ServiceNowClient) -> tuple[Check, ...]:
    """One Check for reaching the instance as our user, and one per right."""
    scope = read_manifest("servicenow").scope
    rights = (_right(client, scope(name), *right) for name, right in _RIGHTS.items())
    return (_known(client, scope("read sys_user")), *rights)


def _known(client: ServiceNowClient, scope: Scope) -> Check:
    user, what = client.config.user, f"reach {client.url} as {client.config.user}"
    try:
        rows = client.rows("sys_user", f"user_name={quoted(user)}", ("user_name", "active"), limit=1).rows
    except OutsideError as error:
        return found(what, scope, f"{error} {scope.grant if error.status == 403 else ''}".strip())
    if not any(same_user(raw(row, "user_name"), user) for row in rows):
        return found(what, scope, f"the user {user} can't be seen. {scope.grant}")
    return found(what, scope)


def _right(client: ServiceNowClient, scope: Scope, what: str, table: str) -> Check:
    try:
        got = client.rows(table, "ORDERBYsys_created_on", ("sys_id",), limit=1)
    except OutsideError as error:
        return found(what, scope, f"{scope.grant} ({error})" if error.status == 403 else str(error))
    if got.withheld:
        return found(what, scope, f"There are rows, but none is shown. {scope.grant}")
    return found(what, scope)
