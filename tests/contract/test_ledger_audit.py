"""The audit log: no action without its record, no gap, no change afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from connectors.sql import audit
from connectors.sql.engine import Database
from countersign.audit import Event, verify_chain
from countersign.errors import CountersignError
from tests.ledger_world import LEASE, NOTE, START, World, done, firing, ticket, verdict

_BREAK = "UPDATE audit_head SET seq = seq - 1"
_MEND = "UPDATE audit_head SET seq = seq + 1"


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def run(world: World, statement: str) -> None:
    engine = create_engine(world.url)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def chain_problem(world: World) -> object:
    with world.ledger.reading.audit() as records:
        return verify_chain(records)


def test_no_audit_record_no_action(world: World) -> None:
    """While the log can't be appended to nothing is claimed, and the attempt is not counted; afterwards it goes on."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    (key,) = world.ledger.actions.due_actions(limit=5)
    run(world, _BREAK)
    with pytest.raises(CountersignError):
        world.ledger.actions.claim_actions([key], worker="a", lease=LEASE)
    assert world.states(case_id) == {"note": "approved"}
    run(world, _MEND)
    assert world.take_one().attempt == 1


def test_no_audit_record_no_decision(world: World) -> None:
    """A verdict whose record can't be written is not recorded, and nothing is planned."""
    world.decided(firing(1, rule="a"))
    claimed = world.case(firing(2, rule="b"))
    run(world, _BREAK)
    with pytest.raises(CountersignError):
        world.ledger.cases.record_verdicts([verdict(claimed, effects=[NOTE], on=ticket())])
    assert world.ledger.actions.due_actions(limit=5) == ()


def test_a_result_that_can_not_be_recorded_is_a_doubt(world: World) -> None:
    """The action stays with its holder until the lease ends, and is then probed."""
    world.decided(effects=[NOTE], on=ticket())
    claimed = world.take_one()
    run(world, _BREAK)
    with pytest.raises(CountersignError):
        world.ledger.actions.settle([done(claimed)])
    run(world, _MEND)
    world.clock.turn(LEASE)
    assert world.take_one().in_doubt


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_log_is_only_appended_to(world: World, statement: str) -> None:
    """The database itself refuses to change or remove a record."""
    world.decided()
    with pytest.raises(DBAPIError, match="only ever appended to"):
        run(world, statement)


def test_the_chain_of_a_day_s_work_holds(world: World) -> None:
    """Read back from the database, with whatever people wrote, every hash is right."""
    case_id = world.decided(effects=[NOTE], on=ticket())
    world.ledger.actions.drop(case_id, "", by="a\0nn \ud83d", why="nothing planned")
    world.ledger.controls.stop(by="ann\0 \ud83d é")
    world.ledger.controls.resume(by="ann")
    world.do_all()
    assert chain_problem(world) is None


def test_many_writers_leave_no_gap(ledger_url: str) -> None:
    """Eight threads that append fifty times each make one chain of four hundred records."""
    world = World(ledger_url)
    db = Database(ledger_url)

    def append(writer: int) -> None:
        for number in range(50):
            said = Event(
                actor=f"w{writer}", event="test", case_id="", subject=str(number), detail={"n": number}
            )
            with db.write() as connection:
                audit.append(connection, [said], at=START)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(8)))
    with world.ledger.reading.audit() as records:
        assert [record.seq for record in records] == list(range(1, 401))
    assert chain_problem(world) is None
    db.close()
    world.close()


def test_the_log_can_be_read_from_anywhere(world: World) -> None:
    """A reader that has seen it up to a record goes on after it."""
    world.decided(effects=[NOTE], on=ticket())
    with world.ledger.reading.audit(after=1) as records:
        assert [record.seq for record in records] == [2]


def test_stopping_twice_is_on_record_once(world: World) -> None:
    """Who stops what is stopped changes nothing; resuming what runs says so."""
    controls = world.ledger.controls
    controls.stop(by="ann")
    controls.stop(by="bob")
    assert [(stop.use_case, stop.by) for stop in controls.stopped()] == [("*", "ann")]
    assert controls.resume(by="ann")
    assert not controls.resume(by="ann")
    with world.ledger.reading.audit() as records:
        assert [record.event for record in records] == ["use_case.stopped", "use_case.resumed"]
