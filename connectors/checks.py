"""Checks: one cheap call per right that a connection needs, as `countersign doctor` shows them."""

from __future__ import annotations

from collections.abc import Callable

from connectors.manifest import Scope
from countersign.errors import Denied, OutsideError
from countersign.ports import Check


def tried(what: str, call: Callable[[], object], scope: Scope) -> Check:
    """Whether the call worked. Where it was forbidden, the scope says what to grant."""
    try:
        call()
    except Denied as error:
        return found(what, scope, scope.grant if error.status == 403 else str(error))
    except OutsideError as error:
        return found(what, scope, str(error))
    return found(what, scope)


def found(what: str, scope: Scope, problem: str = "") -> Check:
    """The check of one scope: all is well without a problem."""
    return Check(what=what, ok=not problem, detail=problem or "ok", needs=scope.autonomy)
