"""The sandbox's own port: read the write log, plan faults, move time, let the engineers act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from aiohttp import web

from sandbox.faults import Fault, Faults
from sandbox.vendor import Vendor
from sandbox.world import World, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Plain JSON over the sandbox; it needs no credential because it listens on loopback only."""

    world: World
    faults: Faults
    vendors: Sequence[Vendor]
    tickets: Callable[[], list[dict[str, object]]]
    engineers_step: Callable[[], list[dict[str, object]]]
    storm: Callable[[int, int, int], None]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/writes", self._writes),
            web.get("/state", self._state),
            web.get("/tickets", self._tickets),
            web.get("/faults", self._read_faults),
            web.post("/faults", self._add_faults),
            web.delete("/faults", self._clear_faults),
            web.post("/clock", self._clock),
            web.post("/engineers/step", self._engineers),
            web.post("/storm", self._storm),
        ]

    async def _writes(self, request: web.Request) -> web.Response:
        since = int(request.query.get("since", "0"))
        return web.json_response([_plain(write) for write in self.world.writes[since:]])

    async def _state(self, _: web.Request) -> web.Response:
        counts: dict[str, object] = {vendor.name: vendor.counts() for vendor in self.vendors}
        counts["writes"] = len(self.world.writes)
        counts["now"] = self.world.clock.now().isoformat()
        return web.json_response(counts)

    async def _tickets(self, _: web.Request) -> web.Response:
        return web.json_response(self.tickets())

    async def _read_faults(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"plan": [asdict(fault) for fault in self.faults.plan], "taken": self.faults.taken}
        )

    async def _storm(self, request: web.Request) -> web.Response:
        """Takes {"alerts", "monitors", "round"}: so many alerts from so many monitors that no other round has."""
        asked = await request.json()
        self.storm(asked["alerts"], asked["monitors"], asked["round"])
        return web.json_response({"fired": asked["alerts"]})

    async def _add_faults(self, request: web.Request) -> web.Response:
        """Takes one fault or a list of them, with the fields of `Fault`."""
        asked = await request.json()
        try:
            self.faults.add(*(Fault(**fault) for fault in (asked if isinstance(asked, list) else [asked])))
        except (TypeError, ValueError) as wrong:
            return web.json_response({"error": str(wrong)}, status=400)
        return web.json_response({"planned": len(self.faults.plan)}, status=201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self.faults.clear()
        return web.json_response({"planned": 0})

    async def _clock(self, request: web.Request) -> web.Response:
        self.world.clock.step(timedelta(seconds=float((await request.json())["step_s"])))
        return web.json_response({"now": self.world.clock.now().isoformat()})

    async def _engineers(self, _: web.Request) -> web.Response:
        return web.json_response(self.engineers_step())


def _plain(write: Write) -> dict[str, object]:
    return {**asdict(write), "at": write.at.isoformat()}
