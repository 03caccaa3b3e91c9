"""The shape that every imitated vendor has, so that the server can mount it without knowing it."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from sandbox.world import World


class Vendor(Protocol):
    """One imitated system. Its state lives in plain dicts.

    The server reads the whole request body before it calls a handler, so `await request.json()` never gives
    way to another request: a handler that awaits nothing else is atomic.
    """

    @property
    def name(self) -> str: ...

    @property
    def world(self) -> World: ...

    def routes(self) -> list[web.RouteDef]: ...

    def actor(self, request: web.Request) -> str | None:
        """Who is asking, in this vendor's way of giving credentials; None is answered with 401."""

    def error(self, status: int) -> web.Response:
        """A refusal in this vendor's own words, with its own rate headers on 429."""

    def counts(self) -> dict[str, int]:
        """How many objects of each kind it holds."""
