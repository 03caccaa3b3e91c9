"""Checks: one cheap call per right that a connection needs, as `countersign doctor` shows them."""

from __future__ import annotations

from collections.abc import Callable

from countersign.errors import Denied, OutsideError
from countersign.ports import Check


def tried(what: str, call: Callable[[], object], *, grant: str) -> Check:
    """Whether the call worked. `grant` is the sentence on what to grant, shown where it was forbidden."""
    try:
        call()
    except Denied as error:
        return Check(what=what, ok=False, detail=grant if error.status == 403 else str(error))
    except OutsideError as error:
        return Check(what=what, ok=False, detail=str(error))
    return Check(what=what, ok=True, detail="ok")
