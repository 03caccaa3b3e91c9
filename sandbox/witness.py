"""Witnesses: who is shown every exchange with an imitated vendor, to judge whether it is true to the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request as it came and the answer to it. `fault` is the kind of the fault that struck, or ""."""

    vendor: str
    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Sequence[tuple[str, str]]
    body: bytes
    status: int
    answer_headers: Sequence[tuple[str, str]]
    answer: bytes
    fault: str


Witness = Callable[[Exchange], None]
_watching: list[Witness] = []


@contextmanager
def watching(witness: Witness) -> Iterator[None]:
    """Shows every exchange of every sandbox of this process to the witness, on the sandbox's own thread."""
    _watching.append(witness)
    try:
        yield
    finally:
        _watching.remove(witness)


async def show(vendor: str, request: web.Request, response: web.StreamResponse, fault: str) -> None:
    if not _watching:
        return
    shown = response.body if isinstance(response, web.Response) else b""
    exchange = Exchange(
        vendor=vendor,
        method=request.method,
        path=request.raw_path.partition("?")[0],
        query=tuple(request.query.items()),
        headers=tuple(request.headers.items()),
        body=await request.read(),
        status=response.status,
        answer_headers=tuple(response.headers.items()),
        answer=shown if isinstance(shown, bytes) else b"",
        fault=fault,
    )
    for witness in tuple(_watching):
        witness(exchange)
