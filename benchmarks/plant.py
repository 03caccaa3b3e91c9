"""A plant: the product as it runs in production, on a real Redis, against a sandbox that keeps the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from connectors.redis.server import EmbeddedRedis
from connectors.sql.ledger import SqlLedger
from sandbox.server import Sandbox
from tests.workers.house import write_config
from workers.settings import load_settings
from workers.supervisor import PARENT_VARIABLE
from workers.wiring import migrate

ROOT = Path(__file__).resolve().parent.parent
# Everything that waits is short, so that minutes show what else takes hours. Holds outlast the lag.
TIMING = {"settle": "0s", "vendor_settle": "0s", "look_back": "9h", "pull": "1s", "watch": "2s", "sweep": "1s",
          "lease": "6s", "overlap": "1m"}  # fmt: skip
HOLD = "3s"


@dataclass(slots=True)
class Plant:
    """The parts of a running plant. `ledger` is for looking at; the processes have their own."""

    box: Sandbox
    broker: EmbeddedRedis
    ledger: SqlLedger
    config: Path
    log: Path
    opened: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts `countersign COMMAND` in a group of its own, its words in the plant's log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers", *command, "--config", str(self.config)],
                env={
                    **os.environ,
                    "COUNTERSIGN_BROKER": self.broker.url,
                    PARENT_VARIABLE: str(os.getpid()),
                },
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def family(self, pid: int) -> dict[int, str]:
        """Every process below this one, with its command line (Linux)."""
        parents = self._parents()
        found: dict[int, str] = {}
        waiting = [pid]
        while waiting:
            for child in parents.get(waiting.pop(), ()):
                found[child] = _command_of(child)
                waiting.append(child)
        return found

    def children(self, pid: int) -> dict[int, str]:
        """The processes that this one has started itself."""
        return {one: _command_of(one) for one in self._parents().get(pid, ())}

    def open_tickets(self, start: int, number: int) -> None:
        """So many tickets at both desks that each get one note."""
        self.box.run(lambda: [_ticket(self.box, n) for n in range(start, start + number)])
        self.opened += number

    @staticmethod
    def _parents() -> dict[int, list[int]]:
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (parent := _parent_of(entry)):
                parents.setdefault(parent, []).append(int(entry.name))
        return parents

    def writes(self) -> Counter[tuple[str, str, str, str]]:
        """How often each of our writes arrived, by vendor, kind, target and marker: the oracle."""
        writes = self.box.run(lambda: list(self.box.world.writes))
        return Counter((w.vendor, w.kind, w.target, w.marker) for w in writes if w.marker)

    def doubled(self) -> int:
        """Writes that arrived more than once."""
        return sum(times > 1 for times in self.writes().values())

    def lost(self) -> int:
        """Actions that the ledger has and no desk has seen."""
        seen = {marker for _, _, _, marker in self.writes()}
        return sum(f"countersign:{one.key}" not in seen for one in self.ledger.reading.actions(limit=100_000))

    def done(self) -> int:
        return self.states().get("done", 0)

    def at_rest(self, tickets: int) -> bool:
        """Every ticket has its case, every case is decided, every action done."""
        tally = self.ledger.reading.tally()
        decided = tally.cases.get("decided", 0)
        return tickets == decided <= tally.actions.get("done", 0) and not tally.waiting

    def states(self) -> dict[str, int]:
        return dict(self.ledger.reading.tally().actions)

    def stop(self, patience_s: float = 40.0) -> None:
        """Ends every process that was started here, and all below it."""
        for process in self.processes:
            family = [process.pid, *self.family(process.pid)]
            for pid in family:
                signal_to(pid, signal.SIGCONT)
            process.terminate()
            try:
                process.wait(timeout=patience_s)
            except subprocess.TimeoutExpired:
                for pid in family:
                    signal_to(pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


def _ticket(box: Sandbox, n: int) -> None:
    """A title of its own words, since equal words but for numbers are one case."""
    title = f"Report {_word(n)} of the night run is late"
    text = "The job took longer than an hour, look at the queue"
    if n % 2:
        box.servicenow.open_incident(short_description=title, description=text, impact="2", urgency="2")
    else:
        box.jira.open_issue(summary=title, description=text, issuetype="Incident")


def _word(n: int) -> str:
    letters = "bcdfghjklmnpqrstvwxz"
    return "".join(letters[n // 20**place % 20] for place in range(4))


@contextmanager
def plant(folder: Path, ledger: str, **settings: Any) -> Iterator[Plant]:
    """A plant on an empty ledger; nothing runs yet. Ends all that was started."""
    with Sandbox(seed=7) as box, EmbeddedRedis() as broker:
        workers = {"health_port": 0, "processes": 2, "model_threads": 4}
        config = write_config(
            folder, box, ledger, policies=_policies(folder),
            **{"timing": TIMING, "workers": workers, "log_level": "WARNING", **settings},
        )  # fmt: skip
        migrate(load_settings(config))
        one = Plant(box, broker, SqlLedger.open(ledger), config, folder / "plant.log")
        try:
            yield one
        finally:
            one.stop(patience_s=10.0)
            one.ledger.close()


def _policies(folder: Path) -> list[str]:
    """The shipped policies, without a control lane and with holds as short as the sandbox's search lag allows."""
    files = []
    for name in ("alert-triage", "jira-triage"):
        policy = yaml.safe_load((ROOT / "policies" / f"{name}.yaml").read_text(encoding="utf-8"))
        policy |= {"control_lane": 0.0, "desk_hold": HOLD}
        policy["model"]["timeout"] = "1s"  # a case's lease outlasts its models, asked twice
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(policy, allow_unicode=True), encoding="utf-8")
    return [str(file) for file in files]


def wait(done: Callable[[], bool], longest_s: float, what: str) -> float:
    """Seconds until `done`. Raises TimeoutError."""
    started = time.monotonic()
    while not done():
        if time.monotonic() - started > longest_s:
            raise TimeoutError(f"After {longest_s:g} s still not: {what}.")
        time.sleep(0.1)
    return time.monotonic() - started


def cpu_s(pids: Iterable[int], *, with_ended: bool = False) -> float:
    """Seconds that these computed, in user and kernel mode; with those of children that they waited for, if asked."""
    ticks, last = 0, 15 if with_ended else 13
    for pid in pids:
        with suppress(OSError):  # gone since it was listed
            row = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += sum(map(int, row[11:last]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _parent_of(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def signal_to(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
