"""The sandbox as servers: every vendor on its own loopback port, all on one event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sandbox.control import Control
from sandbox.datadog import Datadog
from sandbox.engineers import Engineers
from sandbox.faults import Faults, strike
from sandbox.jira import Jira
from sandbox.model import ModelEndpoint
from sandbox.pagerduty import PagerDuty
from sandbox.servicenow import ServiceNow
from sandbox.splunk import Splunk
from sandbox.tickets import plain, tickets
from sandbox.vendor import Vendor
from sandbox.witness import show
from sandbox.world import Clock, World

T = TypeVar("T")
_LARGEST_BODY = 64 * 1024 * 1024


class Sandbox:
    """All vendors in one process. `with Sandbox(seed=7) as box:` serves until the block ends.

    `urls` maps each vendor's name, and "control", to its base URL. State may be touched from outside only
    through `run`. `speed` and `start` belong to the sandbox's clock, `latency` is added before every answer.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        start: datetime | None = None,
        speed: float = 1.0,
        latency: timedelta = timedelta(0),
        port_base: int = 0,
    ) -> None:
        clock = Clock(start=start or datetime.now(UTC), speed=speed)
        self.world = World(clock=clock, seed=seed, latency=latency)
        self.faults = Faults(seed=seed)
        self.urls: dict[str, str] = {}
        self.servicenow = ServiceNow(self.world)
        self.jira = Jira(self.world)
        self.pagerduty = PagerDuty(self.world)
        self.datadog = Datadog(self.world)
        self.splunk = Splunk(self.world)
        self.model = ModelEndpoint(self.world)
        # The order gives the ports from port_base on.
        self.vendors: tuple[Vendor, ...] = (
            self.servicenow,
            self.jira,
            self.pagerduty,
            self.datadog,
            self.splunk,
            self.model,
        )
        self.engineers = Engineers(self.world, self.servicenow, self.jira, self.pagerduty)
        self._port_base = port_base
        self._loop = asyncio.new_event_loop()
        self._runners: list[web.AppRunner] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    def run(self, fn: Callable[[], T]) -> T:
        """Call `fn` on the sandbox's loop, between two requests, and give back what it returns or raises."""

        async def on_loop() -> T:
            return fn()

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(timeout=60)

    async def _start(self) -> None:
        for vendor in self.vendors:
            app = web.Application(middlewares=[self._gate(vendor)], client_max_size=_LARGEST_BODY)
            app.add_routes(vendor.routes())
            await self._serve(vendor.name, app)
        control = web.Application(client_max_size=_LARGEST_BODY)
        control.add_routes(
            Control(
                world=self.world,
                faults=self.faults,
                vendors=self.vendors,
                tickets=lambda: [plain(ticket) for ticket in tickets(self.servicenow, self.jira)],
                engineers_step=lambda: [asdict(act) for act in self.engineers.step()],
                storm=self.datadog.storm,
            ).routes()
        )
        await self._serve("control", control)

    async def _serve(self, name: str, app: web.Application) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        port = self._port_base + len(self._runners) if self._port_base else 0
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        self.urls[name] = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    def _gate(self, vendor: Vendor) -> Middleware:
        """What every request passes before its handler: latency, planned faults, then authentication."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                await request.read()  # so that no handler has to wait for its body and each stays atomic
            except ConnectionResetError:
                # The client was killed while it wrote: it asked for nothing, and nobody hears the answer.
                return web.Response(status=400)
            if self.world.latency:
                await asyncio.sleep(self.world.latency.total_seconds())

            async def answer(asked: web.Request) -> web.StreamResponse:
                return await _answer(vendor, asked, handler)

            fault = self.faults.take(vendor.name, f"{request.method} {request.path_qs}")
            response = await (strike(fault, vendor, request, answer) if fault else answer(request))
            await show(vendor.name, request, response, fault.kind if fault else "")
            return response

        return gate


async def _answer(vendor: Vendor, request: web.Request, handler: Handler) -> web.StreamResponse:
    if vendor.actor(request) is None:
        return vendor.error(401)
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as missing:
        return vendor.error(missing.status)
