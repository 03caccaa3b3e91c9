"""Ways through a workflow, found by what a status means: every project names its own transitions."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.jira import mapping
from connectors.jira.client import JiraClient, Json
from countersign.errors import Permanent

DONE, UNDER_WAY, NEW = "done", "indeterminate", "new"
_LONGEST_WAY = 3


class Workflow:
    """Moves issues. Each step asks which transitions are open to us now."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client

    def finish(self, key: str, resolution: str, properties: list[Json]) -> None:
        """To a done status, by way of one under way if need be. The properties are set in the last step's call.

        Raises Permanent where no such way is open.
        """
        for _ in range(_LONGEST_WAY):
            steps = self._client.transitions(key)
            last = self._leading_to(steps, DONE)
            if last is not None:
                self._go(key, last, _resolved(last, resolution), properties)
                return
            step = self._leading_to(steps, UNDER_WAY)
            if step is None:
                break
            self._go(key, step, {}, [])
        raise Permanent(
            f"No transition of {key} that we may use leads to a done status; "
            f"let the integration user transition issues, or close it by hand.",
            where=mapping.DESK,
        )

    def finish_at_once(self, key: str, resolution: str, properties: list[Json]) -> bool:
        """To a done status in one step; False where the workflow has no such step."""
        step = self._leading_to(self._client.transitions(key), DONE)
        if step is None:
            return False
        self._go(key, step, _resolved(step, resolution), properties)
        return True

    def reopen(self, key: str, properties: list[Json]) -> None:
        """To a status that is not done, rather one under way. Raises Permanent where there is no way back."""
        steps = self._client.transitions(key)
        step = self._leading_to(steps, UNDER_WAY) or self._leading_to(steps, NEW)
        if step is None:
            raise Permanent(
                f"The workflow of {key} has no way back from done; open a new issue and link it.",
                where=mapping.DESK,
            )
        self._go(key, step, {}, properties)

    def _leading_to(self, steps: list[Json], category: str) -> Json | None:
        """The first such step whose screen asks for nothing that we can't give."""
        return next((step for step in steps if _fits(step, category)), None)

    def _go(self, key: str, step: Json, fields: Mapping[str, object], properties: list[Json]) -> None:
        body: Json = {"transition": {"id": str(step["id"])}, "fields": dict(fields)}
        if properties:
            body["properties"] = properties
        self._client.do("POST", f"issue/{key}/transitions", body)


def _fits(step: Json, category: str) -> bool:
    asked = {name for name, field in (step.get("fields") or {}).items() if _insists(field)}
    return mapping.category_of(step.get("to")) == category and asked <= {"resolution"}


def _insists(field: Json) -> bool:
    return bool(field.get("required")) and not field.get("hasDefaultValue")


def _resolved(step: Json, resolution: str) -> dict[str, object]:
    """The resolution, where the screen has one: the one wanted, or the first that is allowed."""
    field = (step.get("fields") or {}).get("resolution")
    if field is None:
        return {}
    allowed = [str(value.get("name")) for value in field.get("allowedValues") or ()]
    return {"resolution": {"name": resolution if resolution in allowed or not allowed else allowed[0]}}
