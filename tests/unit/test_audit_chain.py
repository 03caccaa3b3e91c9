"""The audit chain shows what was changed, removed or put in; a kept hash shows the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.audit import GENESIS, Event, canonical_line, chained, verify_chain
from countersign.ledger import AuditRecord

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def events(count: int) -> list[Event]:
    return [
        Event(actor="ann", event="action.done", case_id="c1", subject=f"key-{n}", detail={"n": n})
        for n in range(count)
    ]


def chain(count: int) -> list[AuditRecord]:
    return list(chained(events(count), at=AT, last_seq=0, last_hash=GENESIS))


def test_an_untouched_chain_holds() -> None:
    """From its beginning, and from any record on whose hash is known."""
    records = chain(5)
    assert [record.seq for record in records] == [1, 2, 3, 4, 5]
    assert verify_chain(records) is None
    assert verify_chain(records[2:], last_seq=2, last_hash=records[1].hash) is None
    assert verify_chain([]) is None


def test_a_chain_goes_on_where_it_ended() -> None:
    """Records appended later continue the same chain."""
    first = chain(2)
    more = list(chained(events(2), at=AT, last_seq=2, last_hash=first[-1].hash))
    assert verify_chain([*first, *more]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "bob"},
        {"event": "action.dead"},
        {"case_id": "c2"},
        {"subject": "other"},
        {"detail": {"n": 99}},
        {"at": AT + timedelta(microseconds=1)},
        {"hash": "0" * 64},
        {"previous": "f" * 64},
    ],
)
def test_a_changed_record_is_found(change: dict[str, object]) -> None:
    """Whatever of a record was changed, the chain breaks there."""
    records = chain(3)
    records[1] = replace(records[1], **change)
    problem = verify_chain(records)
    assert problem is not None
    assert problem.seq == 2


def test_a_record_of_another_chain_is_told_from_a_changed_one() -> None:
    """Put in whole, it has a sound hash, and follows something else."""
    other = list(chained(events(1), at=AT, last_seq=1, last_hash="f" * 64))
    problem = verify_chain([*chain(1), *other])
    assert problem is not None
    assert problem.sentence == "Record 2 does not continue the record before it."


def test_a_removed_record_is_found() -> None:
    """The gap is named by the number that is missing."""
    records = chain(3)
    del records[1]
    problem = verify_chain(records)
    assert problem is not None
    assert (problem.seq, problem.sentence) == (2, "Record 2 is missing: 3 follows 1.")


def test_a_record_put_in_is_found() -> None:
    """A second record of the same number does not continue the chain."""
    records = chain(3)
    assert verify_chain([records[0], records[1], records[1], records[2]]) is not None


def test_a_rewritten_tail_is_found_only_with_a_kept_hash() -> None:
    """Who may rewrite everything after a record fools the chain, but not a hash that was kept elsewhere."""
    honest = chain(3)
    forged = list(chained(events(1) + events(1), at=AT, last_seq=1, last_hash=honest[0].hash))
    assert verify_chain([honest[0], *forged]) is None
    assert forged[-1].hash != honest[-1].hash


def test_a_cut_off_tail_is_not_found() -> None:
    """That is why checkpoints are kept elsewhere."""
    assert verify_chain(chain(3)[:2]) is None


@given(
    st.lists(st.text(), min_size=4, max_size=4),
    st.lists(st.text(), min_size=4, max_size=4),
    st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans(), max_size=3),
)
def test_different_events_have_different_lines(
    words: list[str], others: list[str], detail: dict[str, object]
) -> None:
    """No two events share a line, however their words are cut."""
    names = ("actor", "event", "case_id", "subject")
    one = Event(**dict(zip(names, words, strict=True)), detail=detail)  # type: ignore[arg-type]
    other = Event(**dict(zip(names, others, strict=True)), detail=detail)  # type: ignore[arg-type]
    assert (canonical_line(1, AT, one) == canonical_line(1, AT, other)) is (words == others)
