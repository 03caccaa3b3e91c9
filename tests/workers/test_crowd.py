"""Crowd: cases of one message are asked about side by side, and none is claimed before there is room for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from threading import Barrier, Event, Semaphore, Thread

import pytest

from countersign.ports import Completion
from countersign.prompts import Prompt
from tests.workers.house import House
from workers.crowd import Crowd, messages_at_once

SAID = {
    "category": "performance", "severity": "low", "actionability": "act", "group": None,
    "summary": "It is slow", "likely_cause": "unknown", "evidence": [], "confidence": "low",
}  # fmt: skip


class Meeting:
    """A model that answers nobody before so many ask at once."""

    name = "meeting"

    def __init__(self, together: int) -> None:
        self._barrier = Barrier(together, timeout=20)

    def most(self, prompt: Prompt) -> int | None:
        return 0

    def complete(self, prompt: Prompt) -> Completion:
        self._barrier.wait()
        return Completion(text=json.dumps(SAID), model=self.name, is_llm=True)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    one = Crowd(4)
    yield one
    one.close()


def test_cases_of_one_message_are_asked_about_side_by_side(home: House, crowd: Crowd) -> None:
    """Four cases under a model that waits for four: all are decided, in one batch."""
    home = home.with_models(Meeting(4))
    home = replace(home, parts=replace(home.parts, crowd=crowd))
    for n in range(4):
        home.box.run(
            lambda n=n: home.box.servicenow.open_incident(  # type: ignore[misc]
                short_description=f"Report {'abcd'[n]} is late", description=f"Job {'abcd'[n]} is slow"
            )
        )
    home.run("pull")
    cases = home.parts.ledger.reading.cases(limit=10)
    said = [home.parts.ledger.reading.story(case.id).decisions for case in cases]
    assert [len(one) for one in said] == [1, 1, 1, 1]
    assert {one[0].calls[0].outcome for one in said} == {"answered"}


def test_none_begins_before_there_is_room(crowd: Crowd) -> None:
    """Three of four threads are taken: two more wait until they are given back; more than all wait for all."""
    began = Event()

    def waiting() -> None:
        with crowd.room(99):
            began.set()

    with crowd.room(3):
        thread = Thread(target=waiting)
        thread.start()
        assert not began.wait(0.05)
    assert began.wait(10)
    thread.join()


def test_who_finds_no_room_in_time_is_told(crowd: Crowd) -> None:
    """Else a task that only waits would be taken for one that hangs. It has taken nothing, and there is room later."""
    with crowd.room(4), crowd.room(1, patience_s=0.01) as in_vain:
        assert in_vain is None
    with crowd.room(4, patience_s=0.01) as later:
        assert later is not None


def test_who_was_answered_makes_room_while_the_neighbours_wait(crowd: Crowd) -> None:
    """One of a message's four cases is slow: three threads serve others meanwhile, and all four do in the end."""
    slow, answered = Semaphore(0), Semaphore(0)

    def ask(one: int) -> None:
        assert (slow if one else answered).acquire(timeout=20)

    with crowd.room(4) as room:
        asking = Thread(target=lambda: room.map(ask, [0, 0, 0, 1]))  # type: ignore[union-attr]
        asking.start()
        answered.release(3)
        with crowd.room(3, patience_s=20) as others:
            assert others is not None
        with crowd.room(4, patience_s=0.01) as too_many:
            assert too_many is None
        slow.release()
        asking.join()
    with crowd.room(4, patience_s=0.01) as later:
        assert later is not None


def test_more_cases_than_threads_keep_all_of_them_until_few_are_left(crowd: Crowd) -> None:
    """Six cases on four threads: after the first answer five are to come, so nobody else has room."""
    going, begun = Event(), Barrier(2, timeout=20)

    def ask(one: int) -> None:
        (begun if one else going).wait()

    with crowd.room(6) as room:
        asking = Thread(target=lambda: room.map(ask, [1, 0, 0, 0, 0, 0]))  # type: ignore[union-attr]
        asking.start()
        begun.wait()
        with crowd.room(1, patience_s=0.05) as in_vain:
            assert in_vain is None
        going.set()
        asking.join()


def test_the_first_failure_is_told_when_all_have_ended(crowd: Crowd) -> None:
    """Nobody works on a case whose batch was given up already."""
    ended: list[int] = []

    def do(one: int) -> int:
        ended.append(one)
        return 1 // one

    with crowd.room(3) as room, pytest.raises(ZeroDivisionError):
        room.map(do, [0, 1, 2])  # type: ignore[union-attr]
    assert sorted(ended) == [0, 1, 2]


def test_a_worker_has_more_in_hand_than_fills_its_threads() -> None:
    """So that a message whose cases wait for the slowest leaves none idle; few threads take few messages."""
    assert [messages_at_once(threads) for threads in (1, 4, 16, 500)] == [1, 4, 4, 125]
