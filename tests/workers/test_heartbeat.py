"""Heartbeats: a role is believed alive while it takes work or has room for it, not while its process exists."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from connectors.redis.server import EmbeddedRedis
from workers.heart import BeatingScheduler, Limits, takes_work
from workers.heartbeat import FOLDER_VARIABLE, Heartbeat, heartbeats, of_worker, renew
from workers.main import main
from workers.settings import Settings
from workers.supervisor import Role, judged
from workers.wiring import celery_app, migrate

_PAST = timedelta(seconds=-1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def _probe() -> object:
    with pytest.raises(SystemExit) as ended:
        main(["alive"])
    return ended.value.code


@pytest.mark.usefixtures("folder")
def test_the_probe_is_content_while_every_role_beats(capsys: pytest.CaptureFixture[str]) -> None:
    """`countersign alive` ends with 0 and names the roles."""
    Heartbeat("pull,act").renew()
    Heartbeat("beat").renew()
    assert _probe() == 0
    assert capsys.readouterr().out == "alive: beat, pull-act\n"


@pytest.mark.usefixtures("folder")
def test_one_role_that_stopped_beating_fails_the_probe(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1 and says which role, whatever the others do; a new beat mends it."""
    Heartbeat("pull,act").renew()
    Heartbeat("assess").renew(_PAST)
    assert _probe() == 1
    said = capsys.readouterr().err
    assert said.startswith("assess has taken no work since ")
    assert "pull-act" not in said
    Heartbeat("assess").renew()
    assert _probe() == 0


@pytest.mark.usefixtures("folder")
def test_nothing_that_ever_beat_fails_the_probe(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder is a role that has not started."""
    assert _probe() == 1
    assert "No role has started here yet." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("named", "sentence"),
    [("", "Heartbeats are off; set COUNTERSIGN_HEARTBEATS"), ("/nowhere", "is no folder; make it")],
)
def test_a_probe_without_a_folder_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str, sentence: str
) -> None:
    """One sentence that says what to set."""
    monkeypatch.setenv(FOLDER_VARIABLE, named)
    assert _probe() == 1
    assert sentence in capsys.readouterr().err


def test_without_a_folder_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a laptop no files appear."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    Heartbeat("beat").renew()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("started", "alive"),
    [
        ([], True),
        ([10.0], True),  # one slot is held for ever, the other is free
        ([10.0, 950.0], True),  # all are held, but one was taken lately
        ([10.0, 20.0], False),
    ],
)
def test_a_worker_lives_while_it_has_room_or_took_something_lately(started: list[float], alive: bool) -> None:
    """Two slots at the time 1000: dead is who holds both for longer than the longest task may take."""
    assert takes_work(started, 2, now=1000.0, longest_s=360) is alive


@pytest.mark.parametrize(
    ("silent_s", "broker", "verdict"),
    [
        (59.0, False, "well"),
        (61.0, False, "excused"),  # counted anew from when the broker is back
        (61.0, True, "well"),
        (121.0, False, "excused"),
        (121.0, True, "hung"),
    ],
)
def test_a_silent_role_hangs_unless_nobody_can_work(silent_s: float, broker: bool, verdict: str) -> None:
    """Silent for longer than two minutes, which a role may not be; without a broker every role is silent."""
    assert judged(silent_s, 120, lambda: broker) == verdict


@pytest.mark.parametrize(
    ("started", "resident", "why"),
    [
        ([10.0, 900.0], 400, "a task takes 990 s, and may 300"),
        ([900.0], 700, "it holds 700 MB, and may 600"),
        ([900.0], 400, ""),
        ([], 0, ""),
    ],
)
def test_a_worker_of_threads_has_limits(started: list[float], resident: int, why: str) -> None:
    """At the time 1000: the sentence says which limit is exceeded; one slow task is enough, whatever is free."""
    assert Limits(memory_mb=600, task_s=300).exceeded(started, resident, now=1000.0) == why


@pytest.fixture
def broker() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def test_the_scheduler_beats_only_when_the_broker_took_its_message(
    folder: Path, broker: EmbeddedRedis
) -> None:
    """Works, breaks (no beat is added), recovers."""
    scheduler = BeatingScheduler(app=celery_app(Settings(broker=SecretStr(broker.url))))
    sweep = scheduler.schedule["sweep"]
    scheduler.apply_entry(sweep)
    assert heartbeats()["beat"] > datetime.now(UTC)
    (folder / "beat.alive").unlink()
    broker.kill()
    scheduler.apply_entry(sweep)
    assert heartbeats() == {}
    broker.start()
    scheduler.apply_entry(sweep)
    assert list(heartbeats()) == ["beat"]


@pytest.mark.slow
def test_a_real_worker_beats_in_both_kinds_of_pool(folder: Path, broker: EmbeddedRedis) -> None:
    """Processes and threads each leave a heartbeat once they are connected."""
    commands = (("--queues", "control,act", "--processes", "1"), ("--queues", "watch", "--threads", "2"))
    ledger = f"sqlite:///{folder / 'ledger.db'}"
    migrate(Settings(ledger=SecretStr(ledger)))
    environment = {**os.environ, "COUNTERSIGN_BROKER": broker.url, "COUNTERSIGN_LEDGER": ledger}
    workers = [
        subprocess.Popen([sys.executable, "-m", "workers", "worker", *command], env=environment)
        for command in commands
    ]
    try:
        deadline = time.monotonic() + 60
        while len(heartbeats()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _probe() == 0
        assert sorted(heartbeats()) == ["control-act", "watch"]
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(timeout=30)


@pytest.mark.usefixtures("folder")
def test_who_begins_may_be_silent_for_a_little_longer_and_no_more() -> None:
    """A process that freezes while it learns is not waited for long: five seconds more, until it takes messages."""
    beating = of_worker("assess", 2)
    role = Role("models", (), beating, 12.0)
    role.begin(100.0)
    assert role.listen(105.0) == 5.0
    allowed = []
    for _ in ("begun", "learnt", "connected"):
        allowed.append(role.may_be_silent_s)
        renew(beating)
        role.listen(106.0)
    assert (allowed, role.may_be_silent_s) == ([17.0, 17.0, 17.0], 12.0)


@pytest.mark.usefixtures("folder")
def test_one_silent_process_of_two_is_noticed() -> None:
    """A role is as silent as the most silent of its processes, whatever the others do."""
    first, second = beating = of_worker("assess", 2)
    role = Role("models", (), beating, 12.0)
    role.begin(100.0)
    first.renew()
    assert role.listen(105.0) == 5.0
    second.renew()
    assert role.listen(107.0) == 2.0
    renew(beating)
    assert role.listen(108.0) == 0.0


def test_a_worker_beats_before_it_has_learnt_anything(folder: Path, tmp_path: Path) -> None:
    """Here it can't even open its ledger: until then it has begun, which whoever watches over it hears."""
    config = tmp_path / "countersign.yaml"
    config.write_text(f"ledger: sqlite:///{tmp_path}/nothing/ledger.db\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="1"):
        main(["worker", "--queues", "assess", "--processes", "1", "--config", str(config)])
    assert [file.name for file in folder.glob("*.alive")] == ["assess.alive"]
