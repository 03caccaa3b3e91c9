"""Crowd: cases of one message are asked about side by side, and none is claimed before there is room for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from threading import Barrier, Event, Semaphore, Thread, current_thread

import pytest

from countersign.ports import Completion, Model
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


def _asking(home: House, model: Model, crowd: Crowd, cases: int) -> House:
    """A house that asks this model over the network, for all that it can see, about so many new tickets."""
    document = home.parts.policies["alert-triage"].model.model_dump()
    home = home.with_policy(model=document | {"candidates": ["openai/slow"]}).with_models(model)
    home = replace(home, parts=replace(home.parts, crowd=crowd))
    titles = [f"Report {'abcdef'[n]} is late" for n in range(cases)]
    home.box.run(lambda: [home.box.servicenow.open_incident(short_description=title) for title in titles])
    home.run_only("pull")
    return home


def _outcomes(home: House) -> list[str]:
    reading = home.parts.ledger.reading
    stories = [reading.story(case.id) for case in reading.cases(limit=10)]
    return [call.outcome for story in stories for decided in story.decisions for call in decided.calls]


def test_cases_of_one_message_are_asked_about_side_by_side(home: House, crowd: Crowd) -> None:
    """Four cases under a model that waits for four: all are decided, in one batch."""
    home = _asking(home, Meeting(4), crowd, cases=4)
    home.run("sweep")
    assert _outcomes(home) == ["answered"] * 4


class Gate:
    """A model that tells of everyone who asks, and answers when it is opened."""

    name = "gate"

    def __init__(self) -> None:
        self.asked, self.open = Semaphore(0), Event()

    def most(self, prompt: Prompt) -> int | None:
        return 1

    def complete(self, prompt: Prompt) -> Completion:
        self.asked.release()
        assert self.open.wait(20)
        return Completion(text=json.dumps(SAID), model=self.name, is_llm=True)


def test_more_cases_are_in_hand_than_calls_are_under_way(home: House) -> None:
    """Four threads may have two calls: the model is asked about two cases, the others are ready; all are decided."""
    crowd, gate = Crowd(4, calls=2), Gate()
    home = _asking(home, gate, crowd, cases=4)
    working = Thread(target=lambda: home.run("sweep"))
    working.start()
    assert [gate.asked.acquire(timeout=20) for _ in range(2)] == [True, True]
    assert not gate.asked.acquire(timeout=0.3)
    gate.open.set()
    working.join()
    crowd.close()
    assert _outcomes(home) == ["answered"] * 4


def test_the_embedded_model_is_asked_one_case_after_the_other(home: House, crowd: Crowd) -> None:
    """It waits for nothing: on several threads it would only be slower."""
    busy = Busy()
    home = home.with_models(busy)
    home = replace(home, parts=replace(home.parts, crowd=crowd))
    home.box.run(lambda: [home.box.servicenow.open_incident(short_description=f"Report {n}") for n in "abcd"])
    home.run("pull")
    assert len(busy.threads) == 4
    assert set(busy.threads) == {current_thread().name}


class Busy:
    """A model that remembers who asked it."""

    name = "local"

    def __init__(self) -> None:
        self.threads: list[str] = []

    def most(self, prompt: Prompt) -> int | None:
        return 0

    def complete(self, prompt: Prompt) -> Completion:
        self.threads.append(current_thread().name)
        return Completion(text=json.dumps(SAID), model=self.name, is_llm=False)


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
