"""What `doctor` tries on a Jira site: who we are, and each permission that we need in the project."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.checks import found
from connectors.jira.client import JiraClient
from connectors.manifest import Scope, read_manifest
from countersign.errors import OutsideError
from countersign.ports import Check

_SIGNED_IN = "API token"


def checks(client: JiraClient) -> tuple[Check, ...]:
    """One Check for reaching the site as our user, and one per permission of the manifest."""
    manifest = read_manifest("jira")
    signed_in, what = manifest.scope(_SIGNED_IN), f"reach {client.url} as {client.config.user}"
    try:
        client.myself()
    except OutsideError as error:
        return (found(what, signed_in, str(error)),)
    permissions = [scope for scope in manifest.scopes if scope.name != _SIGNED_IN]
    return (found(what, signed_in), *_permissions(client, permissions))


def _permissions(client: JiraClient, scopes: list[Scope]) -> tuple[Check, ...]:
    project = client.config.project
    try:
        have = client.permissions([scope.name for scope in scopes])
    except OutsideError as error:
        return tuple(found(f"{scope.why} in {project}", scope, str(error)) for scope in scopes)
    return tuple(
        found(f"{scope.why} in {project}", scope, "" if _held(have.get(scope.name)) else scope.grant)
        for scope in scopes
    )


def _held(permission: object) -> bool:
    return isinstance(permission, Mapping) and permission.get("havePermission") is True
