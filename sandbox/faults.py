"""What goes wrong between a client and a vendor: planned faults, chosen by the request line."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from aiohttp import web

from sandbox.vendor import Vendor

Kind = Literal[
    "status",
    "hang",
    "slow",
    "reset_before",
    "reset_after",
    "error_after_commit",
    "truncated",
    "nonsense",
    "empty",
]
KINDS: tuple[str, ...] = get_args(Kind)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
_RST = struct.pack("ii", 1, 0)


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    `vendor` is a vendor's name or "*". `match` is searched in "METHOD /path?query". `times` counts down to 0;
    None means for ever. `status` belongs to status and error_after_commit, `seconds` to slow and hang.
    """

    vendor: str
    kind: Kind
    match: str = ""
    times: int | None = 1
    probability: float = 1.0
    status: int = 500
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind of fault {self.kind!r}; use one of {', '.join(KINDS)}.")
        try:
            re.compile(self.match)
        except re.error as wrong:
            raise ValueError(
                f"The fault's match {self.match!r} is no regular expression: {wrong}."
            ) from wrong


@dataclass(slots=True)
class Faults:
    """The faults that still wait for a request that they fit; `taken` counts those that struck, by kind."""

    seed: int = 7
    plan: list[Fault] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def add(self, *faults: Fault) -> None:
        self.plan.extend(faults)

    def clear(self) -> None:
        self.plan.clear()

    def take(self, vendor: str, line: str) -> Fault | None:
        """The first planned fault that fits this request and wins its throw, counted down."""
        for fault in self.plan:
            fits = fault.vendor in (vendor, "*") and fault.times != 0 and re.search(fault.match, line)
            if fits and self._rng.random() < fault.probability:
                if fault.times is not None:
                    fault.times -= 1
                self.taken[fault.kind] = self.taken.get(fault.kind, 0) + 1
                return fault
        return None


async def strike(fault: Fault, vendor: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """Answer as the fault wants it; the kinds differ in whether `answer` runs, and so commits."""
    return await _STRIKES[fault.kind](fault, vendor, request, answer)


async def _status(fault: Fault, vendor: Vendor, _: web.Request, __: Answer) -> web.StreamResponse:
    return vendor.error(fault.status)


async def _hang(fault: Fault, _: Vendor, request: web.Request, __: Answer) -> web.StreamResponse:
    await asyncio.sleep(fault.seconds)
    return reset(request)


async def _slow(fault: Fault, _: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    await asyncio.sleep(fault.seconds)
    return await answer(request)


async def _reset_before(_: Fault, __: Vendor, request: web.Request, ___: Answer) -> web.StreamResponse:
    return reset(request)


async def _reset_after(_: Fault, __: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    await answer(request)
    return reset(request)


async def _error_after_commit(
    fault: Fault, vendor: Vendor, request: web.Request, answer: Answer
) -> web.StreamResponse:
    await answer(request)
    return vendor.error(fault.status)


async def _truncated(_: Fault, __: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    whole = await answer(request)
    body = _bytes_of(whole)
    broken = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/json"})
    broken.content_length = len(body) + 1
    await broken.prepare(request)
    await broken.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return broken


async def _nonsense(_: Fault, __: Vendor, ___: web.Request, ____: Answer) -> web.StreamResponse:
    return web.Response(
        text="<html><body><h1>Your instance is hibernating</h1></body></html>", content_type="text/html"
    )


async def _empty(_: Fault, __: Vendor, ___: web.Request, ____: Answer) -> web.StreamResponse:
    return web.Response(body=b"", content_type="application/json")


_STRIKES: dict[str, Callable[[Fault, Vendor, web.Request, Answer], Awaitable[web.StreamResponse]]] = {
    "status": _status,
    "hang": _hang,
    "slow": _slow,
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "error_after_commit": _error_after_commit,
    "truncated": _truncated,
    "nonsense": _nonsense,
    "empty": _empty,
}


def reset(request: web.Request) -> web.Response:
    """Drop the connection with a TCP reset; the response returned is never sent."""
    if request.transport is not None:
        tcp = request.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        request.transport.abort()
    return web.Response(status=500)


def _bytes_of(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else b""
    return body if isinstance(body, bytes) else b""
