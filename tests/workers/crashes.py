"""Crash points: every call that a stage makes on a port, before and after it, made from a wrapper around the ports.

A point is `stage port.method when`. The wrapper knows no list of calls: a new step of a stage is a new point, which
the list of `test_crash_points.py` then lacks, and that fails the build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from countersign.errors import Transient, Unsure
from tests.workers.house import House
from workers.parts import Ledger, Parts
from workers.tasks import STAGES

BOOKS = frozenset(name for name, found in vars(Ledger).items() if isinstance(found, property))


class Killed(BaseException):
    """The process is gone: nothing catches it, and nothing that it would do afterwards is done."""


@dataclass(slots=True)
class Trap:
    """Springs once, at the first call at its point after `skip` others; dead, it lets no call pass any more."""

    point: str
    then: Callable[[], None]
    skip: int = 0
    sprung: bool = False
    dead: bool = False

    def pass_by(self, point: str) -> None:
        if self.dead:
            raise Killed
        if point != self.point or self.sprung:
            return
        if self.skip:
            self.skip -= 1
            return
        self.sprung = True
        self.then()


@dataclass(slots=True)
class Watcher:
    """Writes down each point that is passed, in order, each once."""

    seen: dict[str, None]

    def pass_by(self, point: str) -> None:
        self.seen.setdefault(point)


class Wired:
    """A port whose every call passes by a trap, before and after. Iterators pass by at each page."""

    def __init__(self, port: Any, name: str, house: Stages) -> None:
        self._port, self._name, self._house = port, name, house

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            point = f"{self._house.stage} {self._name}.{name}"
            self._house.trap.pass_by(f"{point} before")
            answer = found(*args, **named)
            if isinstance(answer, Iterator):
                return self._pages(answer, point)
            self._house.trap.pass_by(f"{point} after")
            return answer

        return call

    def _pages(self, answer: Iterator[Any], point: str) -> Iterator[Any]:
        for page in answer:
            self._house.trap.pass_by(f"{point} after")
            yield page


@dataclass(slots=True)
class Stages:
    """A house whose stages pass by a trap at every call."""

    house: House
    trap: Any
    stage: str = ""

    def run(self, stage: str, ids: list[str]) -> list[Any]:
        """Runs one stage over wired ports; gives what it wakes."""
        self.stage = stage
        return list(STAGES[stage](self._wired(), ids))

    def do(self, command: str, what: Callable[[Parts], Any]) -> Any:
        """Does what a command does, over wired ports; gives what it gives."""
        self.stage = command
        return what(self._wired())

    def one(self, name: str, port: Any) -> Any:
        return None if port is None else Wired(port, name, self)

    def each(self, name: str, ports: Mapping[str, Any]) -> dict[str, Any]:
        return {which: Wired(port, name, self) for which, port in ports.items()}

    def _wired(self) -> Parts:
        parts = self.house.parts
        return replace(parts, **{name: wire(self, getattr(parts, name)) for name, wire in PORTS.items()})


class _Ledger:
    """The ledger as its books, each wired; what it answers itself too."""

    def __init__(self, stages: Stages, ledger: Any) -> None:
        self.__dict__.update({name: Wired(getattr(ledger, name), name, stages) for name in BOOKS})
        self._itself = Wired(ledger, "ledger", stages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._itself, name)


# The parts that ask or tell the outside or the ledger, and how each is wired. What is not here is a value, or tells
# this process about itself; a new part has to be one or the other, which a test holds.
PORTS: dict[str, Callable[[Stages, Any], Any]] = {
    "ledger": _Ledger,
    "sources": lambda stages, found: stages.each("source", found),
    "desks": lambda stages, found: stages.each("desk", found),
    "directories": lambda stages, found: stages.each("directory", found),
    "logs": lambda stages, found: stages.each("logs", found),
    "cmdb": lambda stages, found: stages.one("cmdb", found),
    "local": lambda stages, found: stages.one("local", found),
    "purse": lambda stages, found: stages.one("purse", found),
    "answers": lambda stages, found: stages.one("answers", found),
    "mailer": lambda stages, found: stages.one("mailer", found),
    "marked": lambda stages, found: stages.each("marked", found),
    "models": lambda stages, found: lambda policy: [stages.one("model", model) for model in found(policy)],
}
NO_PORTS = frozenset({
    "crowd",
    "settings", "worker", "clock", "started", "policies", "prompts", "taught", "monotonic", "stopping", "clients",
})  # fmt: skip
LONGER_THAN_ANY_LEASE = timedelta(minutes=10)


def unknown_parts() -> set[str]:
    """Parts that nobody has said are ports or no ports."""
    return {part.name for part in fields(Parts)} - PORTS.keys() - NO_PORTS


def night(stages: Stages) -> None:
    """One round of everything, as messages would have it: read, assess, act, look what people did, act."""
    awake = [("pull", ["servicenow"]), ("watch", ["servicenow"]), ("sweep", [])]
    while awake:
        stage, ids = awake.pop(0)
        awake += [(wake.stage, list(wake.ids)) for wake in stages.run(stage, ids)]


def recover(house: House) -> None:
    """What the sweeper and the other workers do when every lease has ended."""
    for _ in range(4):
        house.clock.ahead += LONGER_THAN_ANY_LEASE
        house.jump(LONGER_THAN_ANY_LEASE)
        house.run("pull", "sweep", "watch", "sweep")


# What may happen at a point; each takes the house and its trap, and gives what the trap does.


def kill(_: House, trap: Callable[[], Trap]) -> Callable[[], None]:
    def die() -> None:
        trap().dead = True
        raise Killed

    return die


def fail(_: House, __: Callable[[], Trap]) -> Callable[[], None]:
    """A mistake of ours: only the task boundary takes it."""

    def raise_() -> None:
        raise RuntimeError("a mistake")

    return raise_


def away(_: House, __: Callable[[], Trap]) -> Callable[[], None]:
    def raise_() -> None:
        raise Transient("The outside is away for a moment.", where="somewhere")

    return raise_


def hang(house: House, _: Callable[[], Trap]) -> Callable[[], None]:
    """It sleeps through its lease: others take over and do everything, then it wakes and goes on."""

    def sleep() -> None:
        recover(house)

    return sleep


def drop(_: House, __: Callable[[], Trap]) -> Callable[[], None]:
    def lose() -> None:
        raise Unsure("The answer was lost on its way.", where="somewhere")

    return lose


HAPPENINGS: dict[str, Callable[[House, Callable[[], Trap]], Callable[[], None]]] = {
    "kill": kill,
    "raise": fail,
    "away": away,
    "hang": hang,
    "drop": drop,
}
