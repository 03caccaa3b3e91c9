"""Bad days by name: works, breaks as a plan of the sandbox says, recovers; nothing is lost and nothing done twice."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

from countersign.errors import OutsideError
from sandbox.plan import names, read_plan
from tests.workers.house import House
from workers.parts import Wake
from workers.tasks import STAGES


def _happen(home: House, number: int) -> None:
    """One thing at each vendor."""
    box, text = home.box, f"Disk of node-{number} is full"
    box.datadog.add_monitor(text, monitor_id=number)
    box.datadog.fire(text, number, f"host:node-{number}")
    box.splunk.fire(text, [{"host": f"node-{number}"}], 3)
    box.pagerduty.fire(text, "storage", "warning", f"node-{number}", {})
    box.servicenow.open_incident(short_description=text, description="the disk is full")
    box.jira.open_issue(user="dana.okafor", summary=text, description="the disk is full")


def _try(home: House, *wakes: Wake) -> None:
    """Runs stages as their tasks do: what fails is due again, and does not stop the rest."""
    waiting = list(wakes)
    while waiting:
        wake = waiting.pop(0)
        with suppress(OutsideError):
            for woken in STAGES[wake.stage](home.parts, list(wake.ids)):
                waiting.append(woken)


def _round(home: House) -> None:
    pulls = [Wake("pull", (name,)) for name in sorted(home.parts.sources)]
    looks = [Wake("watch", (name,)) for name in sorted(home.parts.desks)]
    _try(home, *pulls, Wake("sweep", ("",)), *looks, Wake("sweep", ("",)))


@pytest.mark.parametrize("name", names())
def test_a_bad_day_loses_and_doubles_nothing(home: House, name: str) -> None:
    """Every alert is recorded or a dead letter, and every marker stands where it belongs exactly once."""
    home.box.run(lambda: _happen(home, 1))
    _round(home)
    faults = [replace(fault, seconds=min(fault.seconds, 0.1)) if fault.kind in ("slow", "late") else fault
              for fault in read_plan(name).faults]  # fmt: skip
    home.box.run(lambda: home.box.faults.add(*faults))
    home.box.run(lambda: _happen(home, 2))
    for _ in range(3):
        _round(home)
        home.clock.ahead += home.parts.settings.timing.lease
    assert home.box.faults.taken
    home.box.run(home.box.faults.clear)
    for _ in range(3):
        home.clock.ahead += 4 * home.parts.policies["jira-triage"].desk_hold
        _round(home)
    letters = home.parts.ledger.reading.dead_letters(limit=100)
    unreadable = sum(letter.kind == "alert" for letter in letters)
    assert home.parts.ledger.reading.tally().alerts + unreadable >= 10
    marks = Counter(
        (write.vendor, write.kind, write.marker) for write in home.box.world.writes if write.marker
    )
    assert marks
    assert set(marks.values()) == {1}
    assert [letter.reason for letter in letters if letter.kind == "action"] == []
    assert home.parts.ledger.reading.tally().outcomes.get("waiting", 0) == 0
