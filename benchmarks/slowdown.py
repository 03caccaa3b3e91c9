"""What one case that kills its process costs the others: `python -m benchmarks.slowdown`, a ratio taken in one run.

Rounds with and without such a case take turns on one plant. Timed is until nine of ten others have their notes, and
until all have: those that were in one batch with it wait until the lease of the dead ends, and go alone then.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.plant import Plant, plant, wait

MOST = 1.05
MANY = 0.9
LONGEST_ROUND_S = 600.0
POOLS = {"processes": "--processes", "threads": "--threads"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slowdown", description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pool", choices=POOLS, default="processes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain, poisoned = measure(Path(folder), cases=asked.cases, rounds=asked.rounds, pool=asked.pool)
    slowdown, of_all = (
        statistics.median(one[which] for one in poisoned) / statistics.median(one[which] for one in plain)
        for which in (0, 1)
    )
    print(
        f"poison: slowdown={slowdown:.3f} slowdown_of_all={of_all:.3f} cases={asked.cases} rounds={asked.rounds} "
        f"pool={asked.pool}"
    )
    if slowdown > MOST:
        sys.exit(f"One case slows the others by more than {MOST - 1:.0%}.")


Times = tuple[float, float]


def measure(folder: Path, *, cases: int, rounds: int, pool: str) -> tuple[list[Times], list[Times]]:
    """Seconds until many and until all, of each round without and with such a case; a first round is thrown away."""
    plain: list[Times] = []
    poisoned: list[Times] = []
    with plant(folder, f"sqlite:///{folder}/ledger.db") as one:
        one.start("beat")
        keeper = _keep_alive(one, POOLS[pool])
        try:
            _round(one, cases)
            for number in range(rounds):
                plain.append(_round(one, cases))
                poisoned.append(_round(one, cases, poison=number + 1))
        finally:
            keeper.terminate()
            keeper.wait(timeout=30)
    return plain, poisoned


def _round(one: Plant, cases: int, *, poison: int = 0) -> Times:
    """Opens so many tickets, the `poison`th that kills in their midst; gives when many and all others are noted."""
    many = one.opened + MANY * cases
    one.open_tickets(one.opened, cases // 2)
    if poison:
        desk = one.box.servicenow
        title = f"poison {'abcdefghijklmnopqrstuvwxyz'[poison]}"
        one.box.run(lambda: desk.open_incident(short_description=title, description="This one kills"))
    one.open_tickets(one.opened, cases - cases // 2)
    first = wait(lambda: _noted(one) >= many, LONGEST_ROUND_S, "many of the others are noted")
    rest = wait(lambda: _noted(one) >= one.opened, LONGEST_ROUND_S, "all the others are noted")
    wait(lambda: len(one.ledger.reading.dead_letters(limit=100)) >= poison, 120.0, "it is put away")
    return first, first + rest


def _noted(one: Plant) -> int:
    """Tickets that have a note of ours."""
    return one.box.run(lambda: len({(w.vendor, w.target) for w in one.box.world.writes if w.marker}))


def _keep_alive(one: Plant, pool: str) -> subprocess.Popen[bytes]:
    """A worker whose model dies of one prompt, started again and again as `up` does."""
    with one.log.open("ab") as log:
        command = ["--config", str(one.config), "--broker", one.broker.url, pool]
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.poison", *command], stdout=log, stderr=log
        )
    one.processes.append(process)
    return process


if __name__ == "__main__":
    main()
