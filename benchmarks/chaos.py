"""`make chaos`: the main job while workers, schedulers and Redis are killed, answers get lost and clocks jump.

The clocks that jump are the vendors'; what becomes of a worker whose own is off, tests/workers/test_clocks.py says.
The oracle is the sandbox's own write log. CHAOS=long runs for hours; --short is the form that the tests run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

import redis

from benchmarks.plant import Plant, plant, signal_to, wait
from sandbox.faults import Fault
from tests.services import NoPostgres, OwnCluster

SEARCH_LAG = timedelta(seconds=1)
LONGER_THAN_A_LEASE_S = 8.0
PAUSE_S = 0.4
LONGEST_WITHOUT_PROGRESS_S = 240.0
SIZES = {"short": (250, 25), "": (5_000, 200), "long": (60_000, 4_000)}
# What was promised: all pending work moves again so long after Redis was lost with all it held.
LONGEST_RECOVERY_S = 30.0
# So soon `up` takes a role that is frozen for good for hung, and starts it anew.
HANG_AFTER = "10s"
PROGRESS_EVERY_S = 10.0


@dataclass(slots=True)
class Told:
    """What came of a run. `recovered_s`: the longest from a total loss of Redis until work moved again."""

    ledger: str
    actions: int = 0
    faults: int = 0
    lost: int = 0
    doubled: int = 0
    recovered_s: float = 0.0
    seconds: float = 0.0
    books_even: bool = True
    dead_letters: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)

    def line(self) -> str:
        return (
            f"chaos: actions={self.actions} faults={self.faults} lost={self.lost} doubled={self.doubled} "
            f"recovered_s={self.recovered_s:.1f} seconds={self.seconds:.0f} ledger={self.ledger}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    size = "long" if os.environ.get("CHAOS") == "long" else ""
    parser.add_argument("--short", dest="size", action="store_const", const="short", default=size)
    parser.add_argument("--tickets", type=int, help="As many actions come of them: each gets its note.")
    parser.add_argument("--faults", type=int)
    parser.add_argument("--ledger", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    tickets, faults = SIZES[asked.size]
    kinds = ("sqlite", "postgresql") if asked.ledger == "both" else (asked.ledger,)
    found = [
        _on(kind, tickets=asked.tickets or tickets, faults=asked.faults or faults, seed=asked.seed)
        for kind in kinds
    ]
    for told in found:
        print(told.line())
    print(json.dumps([asdict(told) for told in found]))
    if any(told.lost or told.doubled or not told.books_even or told.dead_letters for told in found):
        sys.exit("Something was lost or done twice: see above.")
    if any(told.recovered_s > LONGEST_RECOVERY_S for told in found):
        sys.exit(f"It took longer than {LONGEST_RECOVERY_S:g} s until work moved again: see above.")


def _on(kind: str, *, tickets: int, faults: int, seed: int) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            return run(
                Path(folder), f"sqlite:///{folder}/ledger.db", tickets=tickets, faults=faults, seed=seed
            )
        try:
            with OwnCluster() as cluster:
                return run(Path(folder), cluster.admin, tickets=tickets, faults=faults, seed=seed)
        except NoPostgres as reason:
            sys.exit(f"There is no PostgreSQL to run on: {reason}")


def run(folder: Path, ledger: str, *, tickets: int, faults: int, seed: int = 7) -> Told:
    """So many tickets come in while so many faults strike; then all comes to rest, and is counted."""
    told = Told(ledger=ledger.partition(":")[0].partition("+")[0])
    workers = {"health_port": 0, "processes": 2, "model_threads": 4, "hang_after": HANG_AFTER}
    with plant(folder, ledger, workers=workers) as one:
        one.box.run(lambda: setattr(one.box.world, "search_lag", SEARCH_LAG))
        one.start("up")
        chaos = _Chaos(one, random.Random(seed), told)
        started = time.monotonic()
        opened = 0
        while told.faults < faults or opened < tickets:
            batch = min(max(tickets // max(faults, 1), 1), tickets - opened)
            one.open_tickets(opened, batch)
            opened += batch
            if told.faults < faults:
                chaos.strike()
            chaos.tell_progress(faults)
            time.sleep(PAUSE_S)
        chaos.calm()
        wait(lambda: chaos.at_rest(tickets), _patience(tickets), "all at rest")
        told.seconds = time.monotonic() - started
        told.actions = one.done()
        told.lost, told.doubled = one.lost(), one.doubled()
        told.books_even = all(balance.even for balance in one.ledger.books.balances())
        told.dead_letters = one.ledger.reading.tally().dead_letters
    return told


def _patience(tickets: int) -> float:
    return LONGEST_WITHOUT_PROGRESS_S + tickets / 5


class _Chaos:
    """What goes wrong, chosen by a seeded chance. Each strike counts as one fault."""

    def __init__(self, one: Plant, chance: random.Random, told: Told) -> None:
        self.one, self.chance, self.told = one, chance, told
        self._timers: list[threading.Timer] = []
        self._told_at = 0.0
        self._strikes: dict[str, tuple[int, Callable[[], bool]]] = {
            "kill worker": (3, lambda: self._kill("--queues", pool=False)),
            "kill pool child": (4, lambda: self._kill("--queues", pool=True)),
            "kill sweeper": (2, lambda: self._kill("--queues act", pool=False)),
            "kill scheduler": (2, lambda: self._kill(" beat", pool=False)),
            "pool child sleeps longer than a lease": (4, lambda: self._sleep("--queues", pool=True)),
            "worker sleeps longer than a lease": (3, lambda: self._sleep("--queues", pool=False)),
            "scheduler sleeps longer than a lease": (1, lambda: self._sleep(" beat", pool=False)),
            "worker frozen for good": (1, self._freeze),
            "Redis killed": (1, self._kill_redis),
            "Redis flushed": (2, self._flush_redis),
            "answer lost": (6, lambda: self._desk_fault("reset_after")),
            "question lost": (4, lambda: self._desk_fault("reset_before")),
            "error after the write": (3, lambda: self._desk_fault("error_after_commit")),
            "desk away": (2, lambda: self._desk_fault("status", status=503)),
            "clock step": (2, self._step_clock),
        }

    def strike(self) -> None:
        """One fault of any kind. After a total loss of Redis it waits until the next decision, of what waits."""
        kinds = list(self._strikes)
        (kind,) = self.chance.choices(kinds, [self._strikes[name][0] for name in kinds])
        if not self._strikes[kind][1]():
            return
        self.told.faults += 1
        self.told.by_kind[kind] = self.told.by_kind.get(kind, 0) + 1
        decided = self._decided()
        if kind.startswith("Redis") and decided < self.one.opened:
            took = wait(lambda: self._decided() > decided, 120.0, "work moves again after Redis was lost")
            self.told.recovered_s = max(self.told.recovered_s, took)

    def _decided(self) -> int:
        """Cases whose decision is on record, of the tickets that were opened."""
        return self.one.ledger.reading.tally().cases.get("decided", 0)

    def at_rest(self, tickets: int) -> bool:
        self.tell_progress(self.told.faults)
        return self.one.at_rest(tickets)

    def tell_progress(self, faults: int) -> None:
        if time.monotonic() - self._told_at < PROGRESS_EVERY_S:
            return
        self._told_at = time.monotonic()
        sys.stderr.write(
            f"chaos: {self.told.ledger}: {self.told.faults} of {faults} faults, {self.one.opened} tickets, "
            f"{self.one.done()} actions done\n"
        )
        sys.stderr.flush()

    def calm(self) -> None:
        """Nothing new goes wrong; what sleeps wakes."""
        for timer in self._timers:
            timer.join()
        self.one.box.run(self.one.box.faults.clear)
        self.one.broker.revive()

    def _pids(self, word: str, *, pool: bool) -> list[int]:
        """Processes with a word in their command: of those `up` started itself, or of what these have forked."""
        (up,) = self.one.processes
        heads = [pid for pid, command in self.one.children(up.pid).items() if word in command]
        return [child for head in heads for child in self.one.children(head)] if pool else heads

    def _kill(self, word: str, *, pool: bool) -> bool:
        pids = self._pids(word, pool=pool)
        if pids:
            signal_to(self.chance.choice(pids), signal.SIGKILL)
        return bool(pids)

    def _sleep(self, word: str, *, pool: bool) -> bool:
        pids = self._pids(word, pool=pool)
        if not pids:
            return False
        pid = self.chance.choice(pids)
        signal_to(pid, signal.SIGSTOP)
        timer = threading.Timer(LONGER_THAN_A_LEASE_S, signal_to, (pid, signal.SIGCONT))
        timer.start()
        self._timers.append(timer)
        return True

    def _freeze(self) -> bool:
        """Only who watches over it can help."""
        pids = self._pids("--queues", pool=False)
        if pids:
            signal_to(self.chance.choice(pids), signal.SIGSTOP)
        return bool(pids)

    def _kill_redis(self) -> bool:
        """Without persistence: all that it held is gone."""
        killed = self.one.broker.pid
        if killed is None:
            return False
        signal_to(killed, signal.SIGKILL)
        time.sleep(self.chance.uniform(0.2, 1.5))
        wait(lambda: self.one.broker.revive() or self.one.broker.pid != killed, 20.0, "Redis runs again")
        return True

    def _flush_redis(self) -> bool:
        with redis.Redis.from_url(self.one.broker.url, socket_timeout=5) as client:
            client.flushall()
        return True

    def _desk_fault(self, kind: str, **more: int) -> bool:
        vendor = self.chance.choice(("servicenow", "jira"))
        fault = Fault(vendor=vendor, kind=kind, match="^(PATCH|POST|PUT)", times=3, **more)  # type: ignore[arg-type]
        self.one.box.run(lambda: self.one.box.faults.add(fault))
        return True

    def _step_clock(self) -> bool:
        step = timedelta(seconds=self.chance.uniform(-5, 5))
        self.one.box.run(lambda: self.one.box.world.clock.step(step))
        return True


if __name__ == "__main__":
    main()
