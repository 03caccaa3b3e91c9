"""Permits: a call with an effect is sent only while whoever makes it still may, asked right before it is sent.

A worker may sleep between its last look at the ledger and its call: long enough for its lease to end, or for
somebody to have stopped everything. So the question is asked again where the call leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from countersign.errors import Transient, Unsure

Refusal = Callable[[], str]


@dataclass(slots=True)
class _Permit:
    refusal: Refusal
    sent: int = 0


_permit: ContextVar[_Permit | None] = ContextVar("permit", default=None)


@contextmanager
def permitted(refusal: Refusal) -> Iterator[None]:
    """Calls with an effect in this block are sent while `refusal` gives ""; else it says why not, as a sentence."""
    token = _permit.set(_Permit(refusal))
    try:
        yield
    finally:
        _permit.reset(token)


def ask_permit(where: str) -> None:
    """For transports: raises Transient if nothing was sent yet and nothing may be, Unsure after a first call."""
    permit = _permit.get()
    if permit is None:
        return
    if why := permit.refusal():
        kind = Unsure if permit.sent else Transient
        raise kind(why, where=where)
    permit.sent += 1
