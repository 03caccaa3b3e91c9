"""What goes wrong between a client and a vendor: planned faults, chosen by the request line."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, get_args

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
    "partial",
    "nonsense",
    "empty",
    "mistyped",
    "limited",
    "revoked",
    "late",
    "repeat",
    "lag",
    "skew",
    "echo",
]
KINDS: tuple[str, ...] = get_args(Kind)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
_RST = struct.pack("ii", 1, 0)
# How a 429 says when to come back. No vendor uses all of them, and proxies in between use their own.
FORMS: dict[str, Callable[[datetime, timedelta], dict[str, str]]] = {
    "seconds": lambda _, wait: {"Retry-After": f"{wait.total_seconds():.0f}"},
    "date": lambda now, wait: {"Retry-After": format_datetime(now + wait, usegmt=True)},
    "reset_seconds": lambda _, wait: _reset(f"{wait.total_seconds():.0f}"),
    "reset_iso": lambda now, wait: _reset((now + wait).isoformat(timespec="seconds")),
    "reset_unix": lambda now, wait: _reset(f"{(now + wait).timestamp():.0f}"),
    "silent": lambda _, __: {},
}
_ANY_HEADER = frozenset({"retry-after", "x-ratelimit-reset", "ratelimit-reset"})


def _reset(value: str) -> dict[str, str]:
    return {"X-RateLimit-Reset": value, "ratelimit-reset": value}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    `vendor` is a vendor's name or "*". `match` is searched in "METHOD /path?query". `times` counts down to 0;
    None means for ever. `status` belongs to status and error_after_commit; `form`, one of FORMS, to limited.
    `seconds` is how long it takes (slow, hang, late), what to wait for (limited), how old a thing must be to be
    found (lag), or how far the vendor's clock is ahead (skew; behind if negative).
    """

    vendor: str
    kind: Kind
    match: str = ""
    times: int | None = 1
    probability: float = 1.0
    status: int = 500
    seconds: float = 3600.0
    form: str = "seconds"
    kept: str = field(default="", init=False)  # what a repeat repeats

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind of fault {self.kind!r}; use one of {', '.join(KINDS)}.")
        try:
            re.compile(self.match)
        except re.error as wrong:
            raise ValueError(
                f"The fault's match {self.match!r} is no regular expression: {wrong}."
            ) from wrong
        if self.form not in FORMS:
            raise ValueError(f"Unknown form of a 429 {self.form!r}; use one of {', '.join(FORMS)}.")


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


async def _partial(_: Fault, vendor: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """Its time was up: what was found by then, with the status 200, and a word about it where the vendor has one."""
    whole = await answer(request)
    cut = _CUT.get(vendor.name)
    return _with_text(whole, json.dumps(cut(json.loads(_bytes_of(whole))))) if cut else whole


async def _nonsense(_: Fault, __: Vendor, ___: web.Request, ____: Answer) -> web.StreamResponse:
    return web.Response(
        text="<html><body><h1>Your instance is hibernating</h1></body></html>", content_type="text/html"
    )


async def _empty(_: Fault, __: Vendor, ___: web.Request, ____: Answer) -> web.StreamResponse:
    return web.Response(body=b"", content_type="application/json")


async def _mistyped(_: Fault, __: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """The right shape, and in it texts as lists and numbers as texts."""
    whole = await answer(request)
    return _with_text(whole, _wrong(_bytes_of(whole)))


async def _limited(fault: Fault, vendor: Vendor, _: web.Request, __: Answer) -> web.StreamResponse:
    """429 in the vendor's words, and the time to come back in the form that was asked for."""
    refusal = vendor.error(429)
    for name in [name for name in refusal.headers if name.lower() in _ANY_HEADER]:
        del refusal.headers[name]
    refusal.headers.update(FORMS[fault.form](vendor.world.clock.now(), timedelta(seconds=fault.seconds)))
    return refusal


async def _revoked(_: Fault, vendor: Vendor, __: web.Request, ___: Answer) -> web.StreamResponse:
    return vendor.error(403)


async def _late(fault: Fault, _: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """What it says was true when it was asked, and is old when it arrives."""
    whole = await answer(request)
    await asyncio.sleep(fault.seconds)
    return whole


async def _repeat(fault: Fault, _: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """The first answer is true, and the same is given to the other requests that this fault takes."""
    if fault.kept:
        return web.Response(text=fault.kept, content_type="application/json")
    whole = await answer(request)
    fault.kept = _bytes_of(whole).decode()
    return whole


async def _lag(fault: Fault, vendor: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """Searches don't know yet what is younger than `seconds`."""
    known = vendor.world.search_lag
    vendor.world.search_lag = max(known, timedelta(seconds=fault.seconds))
    try:
        return await answer(request)
    finally:
        vendor.world.search_lag = known


async def _skew(fault: Fault, vendor: Vendor, request: web.Request, answer: Answer) -> web.StreamResponse:
    """The vendor's clock is `seconds` ahead while it answers. Handlers are atomic, so no other sees it."""
    ahead = timedelta(seconds=fault.seconds)
    vendor.world.clock.step(ahead)
    try:
        return await answer(request)
    finally:
        vendor.world.clock.step(-ahead)


async def _echo(_: Fault, __: Vendor, request: web.Request, ___: Answer) -> web.StreamResponse:
    """A refusal that repeats what was sent, as validations of fields do."""
    said = f"Field validation failed for: {await request.text()}"
    return web.json_response({"error": {"message": said}, "errorMessages": [said]}, status=400)


_TOO_LONG = "Transaction cancelled: maximum execution time exceeded"
_CUT: dict[str, Callable[[Any], Any]] = {
    "datadog": lambda body: body | {"data": body["data"][:-1], "meta": {"status": "timeout"}},
    "servicenow": lambda body: {
        "error": {"message": _TOO_LONG, "detail": f"{_TOO_LONG} Check logs for error trace"},
        "result": body["result"][:-1],
        "status": "failure",
    },
}
_STRIKES: dict[str, Callable[[Fault, Vendor, web.Request, Answer], Awaitable[web.StreamResponse]]] = {
    "status": _status,
    "hang": _hang,
    "slow": _slow,
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "error_after_commit": _error_after_commit,
    "truncated": _truncated,
    "partial": _partial,
    "nonsense": _nonsense,
    "empty": _empty,
    "mistyped": _mistyped,
    "limited": _limited,
    "revoked": _revoked,
    "late": _late,
    "repeat": _repeat,
    "lag": _lag,
    "skew": _skew,
    "echo": _echo,
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


def _with_text(response: web.StreamResponse, text: str) -> web.Response:
    kept = {name: value for name, value in response.headers.items() if not name.startswith("Content-")}
    return web.Response(
        text=text, status=response.status, headers=kept, content_type=response.content_type or None
    )


def _wrong(body: bytes) -> str:
    try:
        return json.dumps(_mistype(json.loads(body)))
    except ValueError:
        return body.decode(errors="replace")


def _mistype(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mistype(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_mistype(inside) for inside in value]
    if isinstance(value, bool) or value is None:
        return value
    return [value] if isinstance(value, str) else str(value)
