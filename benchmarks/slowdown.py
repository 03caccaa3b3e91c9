"""What one case that kills its process costs the others: `python -m benchmarks.slowdown`, a ratio taken in one run.

Rounds with and without such a case take turns, each on a fresh plant. All tickets are there before the first is read,
and from then on it is timed when each other one gets its note: compared are the mean over all of them, which is what
the case costs the others together, and beside it until when half, nine of ten and all have theirs, and the seconds that
all processes computed for it. Those in one batch with it go alone, after the others that wait.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plant import TIMING, Plant, cpu_s, plant, wait
from workers.app import new_app
from workers.parts import Wake
from workers.settings import load_settings
from workers.tasks import send

MOST = 1.05
SHARES = {"half": 0.5, "nine_of_ten": 0.9, "all": 1.0}
# Read when the round begins, not when the scheduler's next second comes; swept and watched as by default. Watching
# reads the last minute's changes anew: every two seconds, a longer round has more to read and gets longer still.
BY_HAND = {**TIMING, "pull": "1h", "sweep": "5s", "watch": "30s"}
WARM_UP = 50
LONGEST_ROUND_S = 600.0
# As under `up`: processes where the embedded model alone is asked, which answers at once; threads where one over the
# network is, which takes its time. Another pool of processes does the rest.
POOLS = {
    "processes": ["--queues", "assess", "--processes"],
    "threads": ["--queues", "assess", "--threads", "--latency", "0.5"],
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slowdown", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pool", choices=POOLS, default="processes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain, poisoned = measure(Path(folder), cases=asked.cases, rounds=asked.rounds, pool=asked.pool)
    told = {name: _ratio(plain, poisoned, name) for name in plain[0]}
    print(json.dumps({"plain": plain, "poisoned": poisoned}, indent=2))
    words = " ".join(f"{name}={value:.3f}" for name, value in told.items())
    print(f"poison: slowdown {words} cases={asked.cases} rounds={asked.rounds} pool={asked.pool}")
    if told["mean"] > MOST:
        sys.exit(f"One case slows the others by more than {MOST - 1:.0%}.")


Times = dict[str, float]


def _ratio(plain: list[Times], poisoned: list[Times], name: str) -> float:
    with_it, without = (statistics.fmean(one[name] for one in rounds) for rounds in (poisoned, plain))
    return with_it / without


def measure(folder: Path, *, cases: int, rounds: int, pool: str) -> tuple[list[Times], list[Times]]:
    """Seconds of each round without and with such a case.

    Each has a plant of its own: the imitated desks take longer for a search the more tickets they have.
    """
    took: dict[bool, list[Times]] = {False: [], True: []}
    for number in range(rounds):
        for poisoned in (number % 2 == 0, number % 2 == 1):
            home = folder / f"{number}-{poisoned}"
            home.mkdir()
            took[poisoned].append(_measured(home, cases, pool, poisoned=poisoned))
    return took[False], took[True]


def _measured(home: Path, cases: int, pool: str, *, poisoned: bool) -> Times:
    with plant(home, f"sqlite:///{home}/ledger.db", timing=BY_HAND) as one:
        one.start("beat")
        one.start("worker", "--queues", "pull,watch,act,control", "--processes", "2")
        keeper = _keep_alive(one, POOLS[pool])
        try:
            trial = Trial(one)
            trial.round(WARM_UP)
            return trial.round(cases, poisoned=poisoned)
        finally:
            keeper.terminate()
            keeper.wait(timeout=30)


@dataclass(slots=True)
class Trial:
    """Rounds of tickets on one plant, and the tickets that kill, which count for nothing."""

    plant: Plant
    killers: set[str] = field(default_factory=set)

    def round(self, cases: int, *, poisoned: bool = False) -> Times:
        """Opens the tickets, with one that kills in their midst; gives when the others were noted."""
        self.plant.open_tickets(self.plant.opened, cases // 2)
        if poisoned:
            self.plant.box.run(self._open_killer)
        self.plant.open_tickets(self.plant.opened, cases - cases // 2)
        spent = self._computed_s()
        app = new_app(load_settings(self.plant.config), self.plant.broker.url)
        send(app, Wake("pull", ("servicenow", "jira")))
        times = self._times(cases) | {"computed": self._computed_s() - spent}
        wait(self._put_away, 120.0, "what kills is put away")
        return times

    def _open_killer(self) -> None:
        desk = self.plant.box.servicenow
        row = desk.open_incident(short_description="poison", description="This one kills")
        self.killers.add(str(row["sys_id"]))

    def _computed_s(self) -> float:
        """By this process, which plays the desks, and by the plant's, of those too that have ended meanwhile."""
        own = [os.getpid()]
        return cpu_s(own) + cpu_s(self.plant.family(own[0]), with_ended=True)

    def _put_away(self) -> bool:
        return len(self.plant.ledger.reading.dead_letters(limit=100)) >= len(self.killers)

    def _times(self, cases: int) -> Times:
        """Seconds until the notes of this round arrived: on the average, and for shares of them."""
        began = time.monotonic()
        arrived: list[float] = []

        def all_are_there() -> bool:
            there = cases - (self.plant.opened - self._noted())
            arrived.extend([time.monotonic() - began] * (there - len(arrived)))
            return there >= cases

        wait(all_are_there, LONGEST_ROUND_S, "all the others are noted")
        until = {name: arrived[round(share * cases) - 1] for name, share in SHARES.items()}
        return {"mean": statistics.fmean(arrived), **until}

    def _noted(self) -> int:
        """Tickets that have a note of ours."""
        writes = self.plant.box.run(lambda: list(self.plant.box.world.writes))
        return len({(w.vendor, w.target) for w in writes if w.marker and w.target not in self.killers})


def _keep_alive(one: Plant, pool: list[str]) -> subprocess.Popen[bytes]:
    """A worker whose model dies of one prompt, started again and again as `up` does."""
    with one.log.open("ab") as log:
        command = ["--config", str(one.config), "--broker", one.broker.url, *pool]
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.poison", *command], stdout=log, stderr=log
        )
    one.processes.append(process)
    return process


if __name__ == "__main__":
    main()
