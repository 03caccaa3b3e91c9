"""Real processes: what is killed comes back, what is told to end gives back what it holds, poison is put away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from benchmarks.plant import Plant, plant, signal_to, wait
from countersign.errors import ConfigError
from sandbox.faults import Fault
from workers.app import new_app
from workers.health import serve
from workers.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TICKETS = 30


@pytest.fixture
def running(tmp_path: Path, sqlite_url: str) -> Iterator[Plant]:
    with plant(tmp_path, sqlite_url) as one:
        yield one


def _all_done(one: Plant) -> bool:
    return one.at_rest(TICKETS)


def test_up_restarts_what_died_or_hangs_and_nothing_is_lost(tmp_path: Path, sqlite_url: str) -> None:
    """While work comes in the writer is frozen with its pool, and the others are killed; each ticket has one note."""
    quick = {"health_port": 0, "processes": 2, "model_threads": 4, "hang_after": "8s"}
    with plant(tmp_path, sqlite_url, workers=quick) as one:
        up = one.start("up")
        wait(lambda: len(_roles(one, up)) == 4, 60, "all roles run")
        one.open_tickets(0, TICKETS)
        wait(lambda: bool(one.writes()), 60, "the first note is written")
        before = _roles(one, up)
        frozen = [before.pop("writer"), *one.children(_roles(one, up)["writer"])]
        for pid in frozen:
            signal_to(pid, signal.SIGSTOP)
        for pid in before.values():
            signal_to(pid, signal.SIGKILL)
        wait(
            lambda: len(_roles(one, up)) == 4 and frozen[0] not in one.children(up.pid),
            60,
            "all roles run again",
        )
        wait(lambda: _all_done(one), 90, "every note is written")
        assert {*before.values(), *frozen}.isdisjoint(one.family(up.pid))
        assert "role.hung" in one.log.read_text()
        assert (one.lost(), one.doubled()) == (0, 0)


def test_a_worker_on_threads_takes_the_next_message_at_once(running: Plant) -> None:
    """Thirty messages go through one thread long before its loop's ten-second timer would have woken it as often."""
    running.start("worker", "--queues", "assess", "--threads", "1")
    app = new_app(load_settings(running.config), running.broker.url)
    for number in range(30):
        app.send_task("countersign.assess", args=[[f"c{number}"]], ignore_result=True)
    queue = f"{load_settings(running.config).key_prefix}assess"
    with redis.Redis.from_url(running.broker.url, socket_timeout=5, socket_connect_timeout=5) as client:
        wait(lambda: client.llen(queue) == 0, 100, "all messages are taken")
    assert (running.lost(), running.doubled()) == (0, 0)


def test_a_worker_that_is_told_to_end_gives_back_what_it_holds(running: Plant) -> None:
    """SIGTERM in the middle of a slow batch: it ends by itself soon, and its actions wait, free and not counted."""
    running.box.run(lambda: setattr(running.box.world, "latency", timedelta(milliseconds=120)))
    running.open_tickets(0, TICKETS)
    worker = running.start("worker", "--queues", "pull,assess,act,control", "--processes", "1")
    running.start("beat")
    wait(lambda: len(running.writes()) >= 2, 90, "two notes are written")
    worker.terminate()
    assert worker.wait(timeout=20) == 0
    held = [one for one in running.ledger.reading.actions(limit=100) if one.state == "posting"]
    assert (held, _all_done(running)) == ([], False)
    running.box.run(lambda: setattr(running.box.world, "latency", timedelta(0)))
    running.start("worker", "--queues", "pull,assess,act,control", "--processes", "1")
    wait(lambda: _all_done(running), 90, "another worker does the rest")
    assert (running.lost(), running.doubled()) == (0, 0)


def test_redis_lost_with_all_it_held_costs_a_delay(running: Plant) -> None:
    """Killed without persistence while messages lie in it: all pending work is done; `make chaos` says how soon."""
    running.start("up")
    running.open_tickets(0, TICKETS)
    wait(lambda: bool(running.writes()), 90, "the first note is written")
    assert running.broker.pid is not None
    signal_to(running.broker.pid, signal.SIGKILL)
    wait(lambda: _revived(running), 20, "Redis runs again")
    wait(lambda: _all_done(running), 90, "every note is written")
    assert (running.lost(), running.doubled()) == (0, 0)


# A thread can't be killed alone: its whole worker dies three times, which takes two minutes (`make nightly`).
POOLS = ["--processes", "--threads"] if os.environ.get("COUNTERSIGN_NIGHTLY") else ["--processes"]


@pytest.mark.parametrize("pool", POOLS)
def test_a_case_that_kills_its_process_is_a_dead_letter(running: Plant, pool: str) -> None:
    """After three attempts it is put away; the others of its batches and of its process are all done."""
    running.open_tickets(0, TICKETS)
    _open_poison(running)
    running.start("beat")
    keeper = _keep_alive(running, pool)
    try:
        wait(lambda: _all_done(running), 150, "the others are done")
        wait(lambda: bool(running.ledger.reading.dead_letters(limit=5)), 60, "the poison is put away")
    finally:
        keeper.terminate()
        keeper.wait(timeout=30)
    letters = running.ledger.reading.dead_letters(limit=5)
    assert [(one.kind, one.attempts) for one in letters] == [("case", 3)]
    assert "begun 3 times" in letters[0].reason
    assert (running.lost(), running.doubled()) == (0, 0)


def test_a_worker_of_threads_has_a_memory_limit(tmp_path: Path, sqlite_url: str) -> None:
    """Above its limit it ends in order, so that a small one takes its place."""
    small = {"health_port": 0, "processes": 1, "model_threads": 2, "memory_mb": 100}
    with plant(tmp_path, sqlite_url, workers=small) as one:
        worker = one.start("worker", "--queues", "assess", "--threads", "2")
        # Older than two seconds on a busy machine: its nursery, which is small, forks the next one.
        wait(lambda: worker.poll() == 0 or "worker.ended" in one.log.read_text(), 90, "it has ended")
        assert "it holds" in one.log.read_text()


def test_a_worker_of_threads_has_a_time_limit(tmp_path: Path, sqlite_url: str) -> None:
    """One thread waits for a desk that does not answer: the worker ends, although its other thread is free."""
    quick = {"health_port": 0, "processes": 1, "task_limit": "2s", "hang_after": "4s"}
    with plant(tmp_path, sqlite_url, workers=quick) as one:
        one.box.run(
            lambda: one.box.faults.add(Fault(vendor="servicenow", kind="hang", times=None, seconds=8.0))
        )
        one.start("beat")
        one.start("worker", "--queues", "watch", "--threads", "2")
        wait(lambda: "worker.ended" in one.log.read_text(), 90, "another has taken its place")
        assert "a task takes" in one.log.read_text()


def _revived(one: Plant) -> bool:
    """Whether another Redis, empty, has taken the place of the one that was killed."""
    killed = one.broker.pid
    one.broker.revive()
    return one.broker.pid != killed


def _open_poison(one: Plant) -> None:
    desk = one.box.servicenow
    one.box.run(
        lambda: desk.open_incident(short_description="poison", description="This one kills its process")
    )


def _keep_alive(one: Plant, pool: str) -> subprocess.Popen[bytes]:
    """A worker whose model dies of one prompt, started again and again as `up` does."""
    with one.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.poison", "--config", str(one.config), "--broker", one.broker.url, pool],
            stdout=log, stderr=log,
        )  # fmt: skip
    one.processes.append(process)
    return process


def _roles(one: Plant, up: subprocess.Popen[bytes]) -> dict[str, int]:
    """The processes that `up` itself has started, by their role."""
    words = {
        "--queues pull": "reader",
        "--queues act": "writer",
        "--queues assess": "models",
        " beat": "beat",
    }
    direct = one.children(up.pid)
    return {
        role: pid
        for pid, command in direct.items()
        for word, role in words.items()
        if "workers" in command and word in command
    }


def test_a_health_page_on_a_taken_port_says_what_to_mend() -> None:
    """Two `up` on one machine: the second ends with a sentence."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"can't listen on 127\.0\.0\.1:{port} .* mend workers.health_host"
        ):
            serve("127.0.0.1", port, lambda: (True, {}))
