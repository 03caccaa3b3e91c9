"""Crash points: whatever happens at whichever step, nothing is lost and nothing is done twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.sql import settling
from countersign.errors import CountersignError
from countersign.ledger import Settled
from tests.workers.crashes import HAPPENINGS, Killed, Stages, Trap, Watcher, night, recover, unknown_parts
from tests.workers.house import House, house
from workers.tasks import STAGES

LEAD = "dana.okafor"
# Every call on a port that the stages make in `night`, as `test_every_step_has_its_crash_point` finds them.
STEPS = {
    "pull": ("intake.claim_feed", "source.read", "intake.record_page", "intake.release_feed"),
    "assess": (
        "cases.claim_cases", "desk.find", "cmdb.item", "cmdb.recent_changes", "memory.similar", "promises.standing",
        "scales.in_force", "drifts.raised", "model.most", "model.complete", "cases.closes", "cases.record_verdicts",
    ),
    "act": ("actions.claim_actions", "actions.refusal", "desk.changes_in", "desk.write", "actions.settle"),
    "watch": (
        "intake.claim_feed", "watch.unhandled", "desk.changes", "watch.record_changes", "directory.groups_of",
        "watch.changes_since_offer", "actions.approve", "watch.record_corrections", "promises.reopens",
        "promises.judgeable", "promises.record_findings", "local_readings.of", "watch.mark_handled",
        "reading.story", "intake.release_feed",
    ),
    "sweep": (
        "deliveries.fire", "deliveries.due", "watch.overdue", "actions.newer_kinds", "cases.end_leases",
        "cases.due_cases", "actions.due_actions", "drifts.due", "drifts.begun", "promises.demotions",
        "rollups.waiting", "rollups.sum_up",
    ),
}  # fmt: skip
# Delivers reports, on days of their own: test_scheduled_reports.py ends it where it must not end.
ELSEWHERE = {"report"}
POINTS = [
    f"{stage} {call} {when}"
    for stage, calls in STEPS.items()
    for call in calls
    for when in ("before", "after")
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One sandbox for all points; each has a ledger and tickets of its own."""
    folder = tmp_path_factory.mktemp("crashes")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as one:
        yield one


@pytest.fixture
def fresh(home: House, memory_path: Path, sqlite_template: Path) -> Iterator[House]:
    """A house with one ticket to note, and one whose close a lead has approved already."""
    with home.with_ledger(memory_path, sqlite_template) as one:
        yield _prepared(one)


def _prepared(home: House) -> House:
    """Three tickets; the first asks whether it may be closed, and the lead has said yes."""
    home.clear()
    home.box.run(lambda: home.box.servicenow.add_ci("report-host"))
    home = home.with_policy(autonomy="draft")
    number = _open(home, "Certificate of mail-relay was renewed", "Renewal finished, no action needed")
    home.run("pull", "sweep")
    code = next(
        one.action.code for one in home.ledger.reading.story(number).actions if one.state == "planned"
    )
    desk = home.box.servicenow
    home.box.run(lambda: desk.add_note(desk.incident(number)["sys_id"], LEAD, f"/countersign approve {code}"))
    _open(home, "Report of the night run is late", "The job took longer", cmdb_ci="report-host")
    _open(home, "Queue of the mail relay grows", "Nobody takes from it")
    return home


def _open(home: House, title: str, text: str, **more: str) -> str:
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=title, description=text, impact="3", urgency="3", **more
        )
    )
    return str(row["number"])


def _told(home: House) -> tuple[int, int, dict[str, int], int]:
    """Lost, doubled, actions by state, dead letters: (0, 0, {"done": 4}, 0) when all went well."""
    done = {f"countersign:{one.key}" for one in home.ledger.reading.actions(limit=100)}
    writes = Counter((w.vendor, w.kind, w.target, w.marker) for w in home.writes if w.marker in done)
    lost = done - {marker for _, _, _, marker in writes}
    doubled = [write for write, times in writes.items() if times > 1]
    tally = home.ledger.reading.tally()
    return len(lost), len(doubled), dict(tally.actions), tally.dead_letters


# The first action of the night is the approved close, which is by nature done once; then come the notes.
A_NOTE = 1
ALL_WELL = (0, 0, {"done": 4}, 0)


def test_every_step_has_its_crash_point(fresh: House) -> None:
    """A new call on a port in a stage is missing here until it is in STEPS, and so among the crash points."""
    seen: dict[str, None] = {}
    night(Stages(fresh, Watcher(seen)))
    assert {point.rpartition(" ")[0] for point in seen} == {point.rpartition(" ")[0] for point in POINTS}
    assert _told(fresh) == ALL_WELL


def test_every_stage_and_every_port_is_among_them() -> None:
    """A new stage is run here or named with where it is; a new part of a process is wired, or named as no port."""
    assert STEPS.keys() | ELSEWHERE == STAGES.keys()
    assert unknown_parts() == set()


# What is away before a call did not do it; an answer can be lost only after one.
EVERY = [
    (point, happening)
    for point in POINTS
    for happening in HAPPENINGS
    if not point.endswith({"away": "after", "drop": "before"}.get(happening, "never"))
]
# All of them take minutes (`make nightly`); a normal run has every ninth: as each call has eight, nearly every call
# has its turn, each with another of them.
CRASHES = EVERY if os.environ.get("COUNTERSIGN_NIGHTLY") else EVERY[::9]


@pytest.mark.parametrize(("point", "happening"), CRASHES)
def test_nothing_is_lost_and_nothing_is_doubled(fresh: House, point: str, happening: str) -> None:
    """Killed, failing, asleep beyond its lease, or with its answer lost: afterwards all is done once."""
    trap = _spring(fresh, point, happening)
    recover(fresh)
    lost, doubled, states, dead = _told(fresh)
    assert trap.sprung
    assert (lost, doubled, dead, states.keys()) == (0, 0, 0, {"done"})
    # Where no model answers, a case is routed to people besides.
    assert states["done"] in (4, 5)
    assert all(balance.even for balance in fresh.ledger.books.balances())


def _spring(home: House, point: str, happening: str, *, skip: int = 0) -> Trap:
    trap = Trap(point, skip=skip, then=HAPPENINGS[happening](home, lambda: trap))
    with suppress(Killed, CountersignError, RuntimeError):
        night(Stages(home, trap))
    return trap


# The twins: with a guard off, the fault shows.


def test_without_the_hold_the_duplicates_come_back(fresh: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write whose answer was lost, looked for before the desk can find it: it is written again."""
    monkeypatch.setattr(
        type(fresh.parts.desks["servicenow"]), "probe", _blind_for(timedelta(seconds=20), fresh)
    )
    home = fresh.with_policy(desk_hold=timedelta(0))
    _spring(home, "act desk.write after", "drop", skip=A_NOTE)
    home.later(seconds=1)
    assert _told(home)[1] == 1


def test_with_the_hold_they_do_not(fresh: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same desk and the same lost answer, with the hold."""
    monkeypatch.setattr(
        type(fresh.parts.desks["servicenow"]), "probe", _blind_for(timedelta(seconds=20), fresh)
    )
    _spring(fresh, "act desk.write after", "drop", skip=A_NOTE)
    fresh.later(seconds=1)
    recover(fresh)
    assert _told(fresh) == ALL_WELL


def test_without_the_probe_a_lost_answer_is_a_second_note(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for the marker."""
    monkeypatch.setattr(type(fresh.parts.desks["servicenow"]), "probe", lambda *_: None)
    _spring(fresh, "act desk.write after", "drop", skip=A_NOTE)
    recover(fresh)
    assert _told(fresh)[1] == 1


def test_without_the_permit_a_sleeper_writes_a_second_time(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps between its last look and its call, while another does the work."""
    monkeypatch.setattr("connectors.transport.ask_permit", lambda *_: None)
    _spring(fresh, "act desk.write before", "hang", skip=A_NOTE)
    recover(fresh)
    assert _told(fresh)[1] >= 1


def test_without_the_fence_a_sleeper_has_the_last_word(fresh: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another holds now is told dead by the one before."""
    monkeypatch.setattr(settling, "_holds", lambda row, _: row.worker is not None)
    assert _told_by_a_sleeper(fresh) == "dead"


def test_with_the_fence_it_has_not(fresh: House) -> None:
    """The same sleeper is passed over, and the newer holder goes on."""
    assert _told_by_a_sleeper(fresh) == "posting"


def _told_by_a_sleeper(home: House) -> str:
    """The state of an action after its first holder, whose lease has ended, has told it dead."""
    home.run_only("pull", "assess")
    book = home.ledger.actions
    due = book.due_actions(limit=1)
    (sleeper,) = book.claim_actions(due, worker="sleeper", lease=timedelta(minutes=2))
    home.clock.ahead += timedelta(minutes=3)
    book.claim_actions(due, worker="other", lease=timedelta(minutes=2))
    book.settle([Settled(key=due[0], fence=sleeper.fence, result="dead")])
    return next(one.state for one in home.ledger.reading.actions(limit=10) if one.key == due[0])


def _blind_for(lag: timedelta, home: House) -> object:
    """A probe that finds nothing which is younger than `lag` on the ledger's clock."""
    desk = home.parts.desks["servicenow"]
    probe = type(desk).probe
    since = home.clock.ahead
    return lambda self, action: probe(self, action) if home.clock.ahead - since > lag else None
