"""The kill switch: after `countersign stop` nothing is written, and nothing is lost on resuming."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from countersign.actions import Action
from countersign.tickets import Receipt
from sandbox.world import Write
from tests.workers.house import House

TICKETS = 24


def _full_of_work(home: House) -> House:
    """A house that has a note to write in each of many tickets."""
    for number in range(TICKETS):
        _open(home, number)
    home.run_only("pull", "assess")
    return home


def _open(home: House, number: int) -> None:
    words = f"Report {'abcdefghijklmnopqrstuvwxyz'[number]} of the night run is late"
    home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=words, description="The job took longer", impact="2", urgency="2"
        )
    )


def _marked(home: House) -> list[Write]:
    return [write for write in home.box.world.writes if write.marker]


def _stop(home: House) -> None:
    home.controls.stop(by="ann")


def _resume(home: House) -> None:
    assert home.controls.resume(by="ann")


class Interrupted:
    """A desk during whose third write somebody does something."""

    def __init__(self, desk: object, then: Callable[[], object]) -> None:
        self._desk, self._then, self._writes = desk, then, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._desk, name)

    def write(self, action: Action) -> Receipt:
        self._writes += 1
        {3: self._then}.get(self._writes, bool)()
        return self._desk.write(action)  # type: ignore[attr-defined]


def test_a_stop_is_heard_between_the_writes_of_a_batch(home: House) -> None:
    """Stopped just before the third of many writes: that one is not sent any more, nor are the rest."""
    home = _full_of_work(home)
    desk = Interrupted(home.parts.desks["servicenow"], lambda: _stop(home))
    stopping = replace(home, parts=replace(home.parts, desks={**home.parts.desks, "servicenow": desk}))
    stopping.run("sweep")
    assert len(_marked(home)) == 2
    home.later(minutes=10)
    assert len(_marked(home)) == 2
    _resume(home)
    home.later(minutes=10)
    assert len(_marked(home)) == TICKETS
    assert set(Counter(write.marker for write in _marked(home)).values()) == {1}


class Held:
    """A desk whose answers are on their way until something has happened."""

    def __init__(self, desk: object) -> None:
        self._desk, self.written, self.happened = desk, threading.Semaphore(0), threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._desk, name)

    def write(self, action: Action) -> Receipt:
        receipt: Receipt = self._desk.write(action)  # type: ignore[attr-defined]
        self.written.release()
        assert self.happened.wait(60)
        return receipt


def test_the_drill(home: House) -> None:
    """Four workers at full load: after the stop only what was on its way arrives, and all is done on resuming."""
    home = _full_of_work(home)
    desk = Held(home.parts.desks["servicenow"])
    held = replace(home, parts=replace(home.parts, desks={**home.parts.desks, "servicenow": desk}))
    due = home.parts.ledger.actions.due_actions(limit=100)
    workers = [threading.Thread(target=held.act, args=(due[start::4],)) for start in range(4)]
    for worker in workers:
        worker.start()
    assert all(desk.written.acquire(timeout=60) for _ in workers)
    _stop(home)
    desk.happened.set()
    for worker in workers:
        worker.join()
    assert len(_marked(home)) == len(workers)
    _resume(home)
    home.later(minutes=10)
    assert Counter(write.marker for write in _marked(home)).most_common(1)[0][1] == 1
    assert len(_marked(home)) == TICKETS


def test_only_the_use_case_that_is_named_is_stopped(home: House) -> None:
    """Stopping another use case stops this one not; resuming all leaves it stopped."""
    home = _full_of_work(home)
    assert "stopped: jira-triage, by" in home.command("stop", "--use-case", "jira-triage").stdout
    home.run("sweep")
    assert len(_marked(home)) == TICKETS
    assert "still stopped: jira-triage" in home.command("resume").stdout
    assert home.command("resume", "--use-case", "jira-triage").stdout == "jira-triage: goes on\n"


def test_a_name_that_no_policy_has_is_refused(home: House) -> None:
    """A misspelt use case would stop nothing while somebody believes that all is quiet."""
    refused = home.command("stop", "--use-case", "alert-traige")
    assert refused.returncode == 1
    assert "No policy is called alert-traige; name one of alert-triage" in refused.stderr
