"""The ledger's book of promises, on both databases: last good policies, looks at the labels, and history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.sql.ledger import SqlLedger
from countersign.guards import Guarded
from countersign.labelling import Finding, Judgeable
from countersign.labels import Versions
from countersign.lanes import Lane
from countersign.promises import Kept
from tests.ledger_world import USE_CASE, World, firing

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> SqlLedger:
    return SqlLedger.open(ledger_url)


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


def test_the_policy_that_was_last_in_force_is_kept(ledger: SqlLedger) -> None:
    """By its file, or by its use case; the same content put in force again is the newest again."""
    book = ledger.promises
    for version, content in ((1, "a"), (2, "b"), (1, "a")):
        book.keep_policy(
            "triage", version, content_hash=content, file="p.yaml", text=f"v{version}", prompt="p"
        )
    assert book.good_policy(file="p.yaml") == Kept(text="v1", prompt="p")
    assert book.good_policy(file="q.yaml", use_case="triage") == Kept(text="v1", prompt="p")
    assert book.good_policy(file="q.yaml") is None
    assert [book.policy_hashes("triage", version) for version in (1, 2, 3)] == [{"a"}, {"b"}, set()]
    ledger.close()


def test_each_look_at_the_labels_is_counted(ledger: SqlLedger) -> None:
    """From 1, for each use case of its own."""
    book = ledger.promises
    looks = [book.begin_certification(case) for case in ("triage", "triage", "other", "triage")]
    assert (looks, book.labels("triage"), book.standing("triage").issued) == ([1, 2, 1, 3], (), ())
    ledger.close()


def test_a_use_case_without_decisions_has_an_empty_history(ledger: SqlLedger) -> None:
    """No rows: no error."""
    assert len(ledger.promises.history("triage", since=NOW)) == 0
    ledger.close()


def _wrong(world: World, number: int) -> Finding:
    """A close without a person that people called wrong."""
    case_id = world.decided(firing(number, rule=f"rule {number}"))
    case = Judgeable(
        case_id=case_id, use_case=USE_CASE, fingerprint=f"f{number}", at=NOW, category="informational", rule="noise",
        risk=0.04, lane=Lane.TREATED, control_share=0.1, alone=True,
        versions=Versions(policy="p", prompt="q", model="local"), told=(),
    )  # fmt: skip
    return Finding(case=case, wrong=True, label=None)


def test_a_rule_falls_once(world: World) -> None:
    """Whatever more goes wrong after its guard has spoken moves nothing, and nobody is told again."""
    watch = Guarded(
        use_case=USE_CASE, rule="noise", category="informational", boundary="p", allowed=0.1, floor=1.0
    )
    told = [
        [one.why for one in world.ledger.promises.record_findings([found], {found.case.case_id: watch})]
        for found in (_wrong(world, number) for number in range(7))
    ]
    assert [len(one) for one in told] == [0, 0, 0, 1, 0, 0, 0]
    assert [one.why for one in world.ledger.promises.standing(USE_CASE).fallen] == told[3]


def test_a_trip_wire_that_lies_touched_is_not_touched_again(world: World) -> None:
    """Until somebody lifts it; then it may be."""
    book, case_id = world.ledger.promises, world.decided()
    touched = [book.trip(USE_CASE, "noise", case_id=case_id, why="reopened too often") for _ in range(2)]
    assert [one is not None for one in touched] == [True, False]
    assert book.trip(USE_CASE, "another rule", case_id=case_id, why="reopened too often") is not None
    assert book.lift(USE_CASE, "noise", by="ann")
    assert book.trip(USE_CASE, "noise", case_id=case_id, why="reopened too often") is not None
