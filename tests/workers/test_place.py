"""Place: a process that is gone gives back what it held, and nobody else is taken for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery

from tests.workers.house import House, house
from workers import place, sweep
from workers.parts import Wake
from workers.tasks import STAGES, register

LEASE = timedelta(hours=1)
HERE = place.place()


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str) -> Iterator[House]:
    with house(tmp_path, sqlite_url) as one:
        yield one


def _ended() -> int:
    """The number of a process that has run and is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _held(home: House, worker: str) -> tuple[str, ...]:
    """Two cases that this worker has claimed."""
    desk = home.box.servicenow
    titles = ("Report of the night run is late", "Queue of the mail relay grows")
    home.box.run(
        lambda: [desk.open_incident(short_description=title, description="Look") for title in titles]
    )
    home.run_only("pull")
    due = home.ledger.cases.due_cases(limit=5)
    assert len(home.ledger.cases.claim_cases(due, worker=worker, lease=LEASE)) == 2
    return due


def _woken(home: House) -> list[tuple[str, ...]]:
    return [wake.ids for wake in STAGES["sweep"](home.parts, []) if wake.stage == "assess"]


def test_batch_mates_of_the_dead_go_alone_at_the_next_sweep(home: House) -> None:
    """Their lease of an hour ends with its process, and each is woken by a message of its own."""
    held = _held(home, f"here:{_ended()}@{HERE}")
    assert sorted(_woken(home)) == sorted((one,) for one in held)


def test_batch_mates_of_the_dead_go_alone_as_soon_as_another_process_begins(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its first task, whatever that is; with the next ones it does not look again."""
    app, sent = Celery(), list[tuple[str, list[str]]]()
    monkeypatch.setattr(app, "send_task", lambda name, args, **_: sent.append((name, args[0])))
    register(app, lambda: home.parts)
    held = _held(home, f"here:{_ended()}@{HERE}")
    app.tasks["countersign.act"].apply(args=[[]])
    assert sorted(sent) == sorted(("countersign.assess", [one]) for one in held)
    assert home.ledger.cases.claim_cases(held[:1], worker=f"here:{_ended()}@{HERE}", lease=LEASE)
    app.tasks["countersign.act"].apply(args=[[]])
    assert len(sent) == 2


def test_who_waits_for_the_last_try_of_another_goes_on_when_that_has_ended(home: House) -> None:
    """Only one at a time has its last try; a message that comes meanwhile does nothing, and is not missed."""
    first, second = _held(home, "here:1@elsewhere")
    for one in (first, second):
        home.ledger.cases.end_leases(lambda _worker: True)
        home.ledger.cases.claim_cases([one], worker="here:2@elsewhere", lease=LEASE)
    home.ledger.cases.end_leases(lambda _worker: True)
    (trying,) = home.ledger.cases.claim_cases([first], worker="here:3@elsewhere", lease=LEASE)
    assert trying.last_try
    assert list(STAGES["assess"](home.parts, [second])) == []
    home.ledger.cases.give_back(first, trying.fence, due_in=timedelta(0), error="stopped", count=False)
    assert Wake("assess", (second,)) in list(STAGES["assess"](home.parts, [first]))


def test_untold_of_the_dead_they_wait_for_the_lease(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: when nobody looks who is gone, nothing is woken before the lease has passed."""
    _held(home, f"here:{_ended()}@{HERE}")

    def nobody_looks() -> Callable[[str], bool]:
        return lambda _worker: False

    monkeypatch.setattr(sweep, "gone_from_here", nobody_looks)
    assert _woken(home) == []
    home.clock.ahead += LEASE
    assert len(_woken(home)) == 2


def test_only_who_is_gone_for_certain_is_gone() -> None:
    """A living process, another machine or container, and a name of an older release are left to their leases."""
    gone, number = place.gone_from_here(), _ended()
    assert gone(f"host:{number}@{HERE}")
    told = {one: gone(one) for one in (place.name(), f"host:{os.getpid()}@{HERE}", f"host:{number}@0a1b2c3d",
                                       f"host:{number}", "bench", "")}  # fmt: skip
    assert told == dict.fromkeys(told, False)
