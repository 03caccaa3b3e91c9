"""`countersign up`: everything that production runs, from one configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory

import structlog

from workers import logs
from workers.console import Config, new_app
from workers.heartbeat import FOLDER_VARIABLE, Heartbeat, of_worker
from workers.settings import EMBEDDED, Settings, load_settings
from workers.supervisor import Role, Supervisor, die_with_parent

app = new_app("Run everything that production runs: workers, scheduler and health.")
_log = structlog.get_logger()
# Reading waits for vendors, so threads will do; each feed is read by one at a time.
READERS = 4


@app.command()
def up(config: Config = None) -> None:
    """Start the workers, the scheduler and the health page; restart what dies; stop all on Ctrl-C."""
    from workers.wiring import embedded_broker, migrate

    die_with_parent()
    settings = load_settings(config)
    logs.set_up(settings.log_level)
    migrate(settings)
    broker = settings.broker.get_secret_value()
    with TemporaryDirectory(prefix="countersign-") as folder:
        # A container names its own, where its probe looks too.
        os.environ.setdefault(FOLDER_VARIABLE, folder)
        if broker != EMBEDDED:
            _supervise(settings, broker)
            return
        with embedded_broker() as server:
            _supervise(settings, server.url, server.revive)


def _supervise(settings: Settings, broker: str, tick: Callable[[], None] = lambda: None) -> None:
    from workers.health import serve
    from workers.wiring import broker_works, reachable

    environment = {"COUNTERSIGN_BROKER": broker}
    supervisor = Supervisor(roles(settings), environment, can_work=lambda: broker_works(broker))

    def state() -> tuple[bool, dict[str, object]]:
        states, outside = supervisor.states(), reachable(settings, broker)
        well = all(role["alive"] for role in states.values()) and all(outside.values())
        return well, {"roles": states, **outside}

    host, port = settings.workers.health_host, settings.workers.health_port
    health = serve(host, port, state) if port else None
    _log.info("up", health=f"http://{host}:{port}/healthz" if health else "none")
    try:
        supervisor.run(tick=tick)
    finally:
        if health is not None:
            health.shutdown()


def roles(settings: Settings) -> tuple[Role, ...]:
    """The processes of one machine. Reading, writing and asking models hold one another up nowhere: long pages of
    changes and slow models keep no close waiting, nor the sweeper that wakes everybody.
    """
    counts = settings.workers
    silent_s = counts.hang_after.total_seconds()

    def worker(name: str, queues: str, *, processes: int = 0, threads: int = 0) -> Role:
        pool: list[str] = []
        for what, number in (("--processes", processes), ("--threads", threads)):
            pool += [what, str(number)] if number else []
        beating = of_worker(queues, processes if threads else 1)
        return Role(name, ("worker", "--queues", queues, *pool), beating, silent_s)

    beats_s = min(settings.timing.pull, settings.timing.watch, settings.timing.sweep).total_seconds()
    return (
        worker("reader", "pull,watch", threads=READERS),
        worker("writer", "act,control", processes=counts.processes),
        worker("models", "assess", processes=counts.model_processes, threads=counts.model_threads),
        Role("beat", ("beat",), (Heartbeat("beat"),), max(silent_s, 3 * beats_s)),
    )
