"""What `doctor` tries on a Jira site: who we are, and each permission that we need in the project."""

from __future__ import annotations

from connectors.jira.client import JiraClient
from countersign.errors import OutsideError
from countersign.ports import Check

# Their permission -> what we need it for.
_PERMISSIONS = {
    "BROWSE_PROJECTS": "read issues",
    "ADD_COMMENTS": "write notes",
    "DELETE_OWN_COMMENTS": "take notes back",
    "EDIT_ISSUES": "set fields and route",
    "TRANSITION_ISSUES": "close and reopen",
    "CREATE_ISSUES": "draft changes and open tickets",
    "LINK_ISSUES": "link a change to its ticket",
}


def checks(client: JiraClient) -> tuple[Check, ...]:
    """One Check for reaching the site as our user, one for the project, and one per permission."""
    what = f"reach {client.url} as {client.config.user}"
    try:
        name = str(client.myself().get("displayName", ""))
    except OutsideError as error:
        return (Check(what=what, ok=False, detail=str(error)),)
    return (Check(what=what, ok=True, detail=f"reached, and known as {name}"), *_permissions(client))


def _permissions(client: JiraClient) -> tuple[Check, ...]:
    project = client.config.project
    try:
        have = client.permissions(tuple(_PERMISSIONS))
    except OutsideError as error:
        return (Check(what=f"permissions in {project}", ok=False, detail=str(error)),)
    return tuple(
        Check(
            what=f"{purpose} in {project}",
            ok=bool((have.get(name) or {}).get("havePermission")),
            detail=f"permission {name}"
            if (have.get(name) or {}).get("havePermission")
            else f"grant the permission {name} to the integration user in project {project}",
        )
        for name, purpose in _PERMISSIONS.items()
    )
